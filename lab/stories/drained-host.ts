/** A host is emptied for maintenance while its VMs work, but for one that a rule keeps there until the rule goes; then all are brought back. */
import { formatPercent } from '#cli/format.ts';
import { printDrain } from '#cli/drain-printer.ts';
import type { HostResource } from '#wire/api.ts';
import type { DrainResource } from '#wire/placement-api.ts';
import { commonChecks } from './evidence.ts';
import type { Stage } from './stage.ts';
import { balancePolicy, check, type Check, commonLab, type Story, type Told } from './story.ts';

const drained = 'host1';
const homes = { vm1: 'host1', vm2: 'host1', vm3: 'host1', vm4: 'host2', vm5: 'host3' } as const;
const own = ['vm1', 'vm2', 'vm3'] as const;
const pinned = 'vm3';
const rule = 'licensed';
const cores = { host1: 0.8, host2: 1, host3: 1 };
/** Percent of a core. */
const burning = { vm1: 10, vm2: 10, vm3: 6, vm4: 10, vm5: 10 };
const drainMsMax = 420_000;
const roundsWatched = 4;
/** A burner's share of a core differs a little from one look to the next, more so on a busy machine. */
const sameWithinPercent = 15;

export const drainedHost: Story = {
  name: 'drained-host',
  title: 'A host drained and restored under load',
  lab: { ...commonLab, name: 'story-drain', hosts: 3, coresByHost: cores, guests: 5, placement: homes, controllerConfig: balancePolicy },
  tell,
};

async function tell(stage: Stage): Promise<Told> {
  const { moves } = stage;
  await stage.untilQuiet();
  await stage.plimsoll(['mode', 'automatic']);
  await stage.plimsoll(['rule', 'add', 'pin', rule, '--vm', pinned, '--host', drained]);
  await stage.burn(burning);
  await stage.watchRounds(roundsWatched);
  const before = stage.hosts;
  await stage.tellLoads('before');
  await stage.startCapture();

  await stage.plimsoll(['host', 'drain', drained, '--dry-run']);
  await stage.plimsoll(['host', 'drain', drained, '--yes', '--reason', 'new disk']);
  const stuck = await untilDrain(stage, ({ settled, stays }) => settled && stays.length > 0, 'what can leave to have left');
  await stage.plimsoll(['rule', 'remove', rule]);
  const empty = await untilDrain(stage, ({ phase }) => phase === 'drained', `${drained} to be empty`);
  const left = await stage.lab.host(drained).runningGuests();
  await stage.tellLoads('drained');
  const out = moves.moved.length;

  await stage.plimsoll(['host', 'restore', drained]);
  const restored = await untilDrain(stage, ({ phase }) => phase === 'restored', `the VMs of ${drained} to be back`);
  const scan = await stage.stopCapture();
  const calm = await stage.watchRounds(roundsWatched);
  await stage.tellLoads('after');
  const placement = await stage.lab.placement();
  const home = Object.entries(homes).filter(([vm, host]) => placement[vm]?.join() === host);
  const stayed = stuck.stays.map(({ vmName, code }) => `${vmName} (${code})`).join(', ');
  return {
    checks: [
      check(`while rule ${rule} was there, ${pinned} alone stayed, and the drain said why`, stayed === `${pinned} (rule-pin)`, stayed),
      check(
        `without the rule ${drained} became empty, by its own libvirtd`,
        empty.stays.length === 0 && left.length === 0,
        `${left.length} VMs left, ${out} moved away`,
      ),
      check(
        'every VM is back where it was',
        home.length === Object.keys(homes).length && restored.stays.length === 0,
        `${home.length} of ${Object.keys(homes).length}`,
      ),
      check('no more moves than that', moves.moved.length === 2 * own.length && calm.begun === 0, `${moves.moved.length} in all`),
      loadsAsBefore(before, stage.hosts),
      ...(await commonChecks(stage, scan)),
    ],
    shown: `${drained} was emptied and filled again while its VMs worked; what could not leave was said, with the rule that kept it; nobody was lost, and the loads are as before.`,
  };
}

/** Tells how the drain stands each time that it is another, until the condition holds. */
async function untilDrain(stage: Stage, isReached: (drain: DrainResource) => boolean, what: string): Promise<DrainResource> {
  let told = '';
  let newest = await stage.client.placement.drain(drained);
  const reached = async () => {
    newest = await stage.client.placement.drain(drained);
    const { phase, moving, away, waiting, stays } = newest;
    const later = stays.filter(({ passing }) => passing).length;
    const gist = `${phase}: ${moving.length} moving, ${waiting + later} waiting, ${away.length} away, ${stays.length - later} staying`;
    if (gist !== told) stage.log.say('drain', gist);
    told = gist;
    return isReached(newest) && stage.moves.idle;
  };
  await stage.until(reached, { what, timeoutMs: drainMsMax });
  stage.log.say('', printDrain(newest, Date.now()));
  return newest;
}

function loadsAsBefore(before: readonly HostResource[], after: readonly HostResource[]): Check {
  const pairs = after.map((host) => ({ host, was: before.find(({ hostId }) => hostId === host.hostId)?.cpuPercent ?? null }));
  const isSame = ({ host, was }: (typeof pairs)[number]) =>
    was !== null && host.cpuPercent !== null && Math.abs(host.cpuPercent - was) <= sameWithinPercent;
  return check(
    `the loads are as before, within ${sameWithinPercent} % of a host`,
    pairs.every(isSame),
    pairs.map(({ host, was }) => `${host.hostId} ${formatPercent(was)} -> ${formatPercent(host.cpuPercent)}`).join(', '),
  );
}
