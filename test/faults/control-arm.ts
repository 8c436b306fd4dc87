/**
 * The control arm: the same guests, faults and oracle, and a driver as many write it: one `virsh migrate` on the source, and nobody who
 * looks at both hosts afterwards. It loses VMs, or leaves them stopped; if it did not, the campaign would prove nothing.
 */
import { type Lab, type LabHost, labUp, removeLab, waitFor } from '#lab/api.ts';
import { type Column, table } from '#cli/table.ts';
import { clusterOf } from '#test/e2e/cluster.ts';
import { judgeSamples, type Sight } from './oracle/judge.ts';
import { type GuestSight, Oracle } from './oracle/oracle.ts';
import type { FaultName } from './plan.ts';
import { aim } from './strikes/all.ts';
import type { Scene } from './strikes/scene.ts';
import { limits } from './verdict.ts';

const labName = 'faults-naive';
const load = { cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 20 };
const bandwidthMibPerSecond = 16;
/** Beyond the time after which a VM that runs nowhere counts as lost, and until a link that was dead is back. */
const watchMs = 70_000;

interface Trial {
  readonly driver: 'tunnelled' | 'peer to peer';
  readonly fault: FaultName;
  /** The source's QEMU says that it has stopped the VM, or that it has sent everything. */
  readonly moment: 'stopped' | 'sent';
}

const trials: readonly Trial[] = [
  { driver: 'tunnelled', fault: 'kill source libvirtd', moment: 'stopped' },
  { driver: 'tunnelled', fault: 'kill source libvirtd', moment: 'sent' },
  { driver: 'tunnelled', fault: 'kill destination qemu', moment: 'sent' },
  { driver: 'tunnelled', fault: 'link dead 60 s', moment: 'stopped' },
  { driver: 'tunnelled', fault: 'link dead 60 s', moment: 'sent' },
  { driver: 'peer to peer', fault: 'kill source libvirtd', moment: 'sent' },
  { driver: 'peer to peer', fault: 'link dead 60 s', moment: 'stopped' },
  { driver: 'peer to peer', fault: 'link dead 60 s', moment: 'sent' },
];

interface Outcome extends Trial {
  readonly said: string;
  readonly sight: Sight;
}

/** With `tunnelled` QEMU has no return path: its source does not hear whether the destination has the VM. */
function commandOf({ driver }: Trial, guest: string, destination: LabHost): readonly string[] {
  const control = `qemu+tls://${destination.underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`;
  const how = driver === 'tunnelled' ? ['--tunnelled'] : ['--migrateuri', `tcp://${destination.underlay}`];
  const rate = ['--bandwidth', `${bandwidthMibPerSecond}`];
  return ['migrate', '--live', '--p2p', '--persistent', '--undefinesource', ...rate, guest, control, ...how];
}

function strikeAt(
  sight: GuestSight,
  source: string,
  { moment }: Trial,
  strike: () => Promise<string>,
): { struck: Promise<number>; ignore: () => void } {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let isStruck = false;
  const ignore = sight.listen(({ host, name, status }) => {
    const isMoment = moment === 'stopped' ? name === 'STOP' : name === 'MIGRATION' && status === 'completed';
    if (host !== source || !isMoment || isStruck) return;
    isStruck = true;
    const atMs = Date.now();
    strike().then(() => resolve(atMs), reject);
  });
  return { struck: promise, ignore };
}

async function play(lab: Lab, oracle: Oracle, trial: Trial, name: string): Promise<Outcome> {
  const guest = lab.guest(name);
  const source = lab.host(guest.firstHost);
  const destination = lab.hosts.find((host) => host !== source) ?? source;
  const sight = oracle.guest(name);
  await guest.steer(load);
  const noMigrationId = (): never => {
    throw new Error('the naive driver has no migrations');
  };
  const scene: Scene = { cluster: clusterOf(lab), guest: name, source, destination, sight, migrationId: noMigrationId };
  const strike = await aim(trial.fault, scene);
  sight.clear();
  await lab.client.reset(name);
  const { struck: struckAt, ignore } = strikeAt(sight, source.name, trial, strike.strike);
  const driver = source.virsh(commandOf(trial, name, destination), { timeoutMs: watchMs }).then(
    () => 'moved',
    (error: Error) => error.message.split('\n').at(-1)?.slice(-100) ?? '',
  );
  try {
    await Promise.race([struckAt, driver.then(() => waitFor(() => false, { what: `the moment of ${trial.fault}`, timeoutMs: 1_000 }))]);
    const untilMs = Date.now() + watchMs;
    await waitFor(() => Date.now() > untilMs, { what: 'the watch to end', timeoutMs: 2 * watchMs, intervalMs: 250 });
    const heard = await guest.beats();
    const beats = { duplicates: heard?.duplicates ?? 0, largestGapMs: heard?.largestGapMs ?? 0 };
    return { ...trial, said: await driver, sight: judgeSamples(sight.samples, beats, Date.now()) };
  } finally {
    ignore();
    await strike.end();
  }
}

const columns: readonly Column<Outcome>[] = [
  { title: 'DRIVER', value: ({ driver }) => driver },
  { title: 'FAULT', value: ({ fault }) => fault },
  { title: 'WHEN THE VM IS', value: ({ moment }) => moment },
  { title: 'RUNS ON', value: ({ sight }) => sight.runsOn.join(', ') || 'NOWHERE' },
  { title: 'HALTED ON', value: ({ sight }) => sight.otherCopiesOn.join(', ') || '-' },
  { title: 'NONE FOR s', value: ({ sight }) => (sight.noneMs / 1000).toFixed(1), align: 'right' },
  { title: 'TWO', value: ({ sight }) => `${sight.twoCopies ? 1 : 0}`, align: 'right' },
  { title: 'DRIVER SAID', value: ({ said }) => said },
];

const isLost = ({ sight }: Outcome): boolean => sight.noneMs > limits.noneMsMax || sight.runsOn.length === 0 || sight.twoCopies;

/** Exit code: 0 when the naive driver loses VMs, as it must; 1 when it does not; 2 when a trial could not be played. */
export async function playControlArm(say: (line: string) => void): Promise<number> {
  await removeLab(labName);
  const lab = await labUp({ name: labName, hosts: 2, guests: trials.length, plimsoll: false });
  const oracle = await Oracle.start(lab);
  const outcomes: Outcome[] = [];
  try {
    for (const [index, trial] of trials.entries()) {
      say(`${index + 1}/${trials.length} ${trial.driver}: ${trial.fault} when the VM is ${trial.moment} ...`);
      const outcome = await play(lab, oracle, trial, lab.guests[index]?.name ?? '').catch((error: unknown) => {
        say(`  was no trial: ${error instanceof Error ? error.message : String(error)}`);
        return null;
      });
      if (outcome !== null) outcomes.push(outcome);
    }
  } finally {
    await oracle.stop();
    await lab.down();
  }
  const lost = outcomes.filter(isLost).length;
  say(
    `\n${table(columns, outcomes, 'nothing was played')}\n\nThe naive driver lost or stopped the VM in ${lost} of ${outcomes.length} trials.`,
  );
  if (outcomes.length < trials.length) return 2;
  return lost > 0 ? 0 : 1;
}
