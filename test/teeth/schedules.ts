/**
 * What the planted bugs are played through: `scenario:NAME` is a folder of test/scenarios, `seed:N` a generated
 * schedule, any other name is one of those here. Each is a story in which nothing breaks without a bug.
 */
import { PlimsollError } from '#core/model/result.ts';
import type { Scenario } from '#sim/scenario.ts';
import { scheduleOf as generated } from '#sim/schedule.ts';
import { loadScenario } from '#test/scenarios/load.ts';
import { schedulesOfPlacement } from './schedules-of-placement.ts';
import { mail, ordinaryHost, type Stories, story, threeHosts, web } from './story.ts';

const migrateWeb = { at: 20, do: 'migrate', vm: 'web', to: 'host2', by: 'anna' };
const inTransfer = (plusSeconds: number) => ({ vm: 'web', reaches: 'transfer', plusSeconds });

/** By then the source has said what it is asked while the method is chosen. */
const asksAfterSeconds = 0.009;

const schedules: Stories = {
  ...schedulesOfPlacement,
  /** The source is left halted and says so; the destination runs, hears what it is asked, and none of its answers arrive for a while. */
  'destination-is-not-heard': story([
    migrateWeb,
    { at: { vm: 'web', reaches: 'confirm' }, do: 'cut-one-way', from: 'host2', to: 'host1' },
    { at: { vm: 'web', reaches: 'confirm' }, do: 'cut-one-way', from: 'host2', to: 'controller' },
    { at: 140, do: 'heal-one-way', from: 'host2', to: 'host1' },
    { at: 140, do: 'heal-one-way', from: 'host2', to: 'controller' },
  ]),
  /** Rules that look installed and drop nothing, on both hosts; then charon dies while there is traffic, if there is any. */
  'leaky-guards': story([
    { at: 10, do: 'guard', host: 'host1', becomes: 'leaky' },
    { at: 10, do: 'guard', host: 'host2', becomes: 'leaky' },
    migrateWeb,
    { at: inTransfer(5), do: 'kill', what: 'charon', host: 'host1' },
    { at: inTransfer(15), do: 'start', what: 'charon', host: 'host1' },
  ]),
  /** Somebody takes the guards of both hosts away under a transfer; two seconds later the SA is gone too. */
  'guards-vanish': story([
    migrateWeb,
    { at: inTransfer(5), do: 'guard', host: 'host1', becomes: 'absent' },
    { at: inTransfer(5), do: 'guard', host: 'host2', becomes: 'absent' },
    { at: inTransfer(7), do: 'kill', what: 'charon', host: 'host1' },
    { at: inTransfer(20), do: 'start', what: 'charon', host: 'host1' },
  ]),
  /** Two VMs, each of which fits, are sent to a small host at the same time. */
  'two-for-one-room': story(
    [
      { at: 20, do: 'migrate', vm: 'big', to: 'host3', by: 'anna' },
      { at: 20, do: 'migrate', vm: 'large', to: 'host3', by: 'ben' },
    ],
    {
      policy: { migrationsPerHostMax: 2 },
      hosts: { ...threeHosts, host3: { cpuCores: 4, memoryGiB: 4 } },
      vms: { big: { ...web, memoryGiB: 2 }, large: { ...mail, memoryGiB: 2 } },
    },
  ),
  /** More migrations are asked for at once than the policy allows in the cluster. */
  'more-than-the-cluster-takes': story(
    [
      { at: 20, do: 'migrate', vm: 'web', to: 'host2', by: 'anna' },
      { at: 20, do: 'migrate', vm: 'mail', to: 'host4', by: 'ben' },
    ],
    {
      policy: { migrationsPerClusterMax: 1 },
      hosts: { ...threeHosts, host4: ordinaryHost },
      vms: { web, mail: { ...mail, host: 'host3' } },
    },
  ),
  /** A VM goes as a saved image; whoever sent it changes their mind while the destination starts it. */
  'abort-while-restoring': story(
    [
      { ...migrateWeb, wish: { method: 'save-restore', downtimeMsMax: 60_000 } },
      { at: { vm: 'web', reaches: 'copying', plusSeconds: 27 }, do: 'abort', vm: 'web' },
    ],
    { sampleIntervalSeconds: 0.5 },
  ),
  /** The source's hypervisor calls a transfer complete, and the VM is where it was. */
  'source-lies-of-the-outcome': story([
    { at: 10, do: 'lie', host: 'host1', about: 'outcome', becomes: 'on' },
    migrateWeb,
    { at: 100, do: 'lie', host: 'host1', about: 'outcome', becomes: 'off' },
  ]),
  /** The controller dies when a transfer has ended, before it has asked where the VM is. */
  'controller-dies-before-it-has-asked': story([
    migrateWeb,
    { at: { vm: 'web', reaches: 'resolving', plusSeconds: 0.001 }, do: 'kill-controller' },
    { at: 60, do: 'start-controller' },
  ]),
  /** The source hears that it is to begin, and its answer does not arrive; the controller dies, and the next one reaches nobody for a while. */
  'controller-dies-as-it-asks': story([
    migrateWeb,
    { at: { vm: 'web', reaches: 'secured', plusSeconds: asksAfterSeconds }, do: 'cut-one-way', from: 'host1', to: 'controller' },
    { at: inTransfer(1), do: 'kill-controller' },
    { at: inTransfer(1), do: 'cut', between: ['host2', 'controller'] },
    { at: inTransfer(2), do: 'start-controller' },
    { at: inTransfer(60), do: 'heal-one-way', from: 'host1', to: 'controller' },
    { at: inTransfer(60), do: 'heal', between: ['host2', 'controller'] },
  ]),
  /** A migration is aborted, and asked for again: while the second one is under way, orders of the first are half a minute old. */
  'abort-and-again': story([
    migrateWeb,
    { at: inTransfer(3), do: 'abort', vm: 'web' },
    { at: 45, do: 'migrate', vm: 'web', to: 'host2', by: 'anna' },
  ]),
  /** A second controller follows the first, begins a migration and puts right what its abort leaves. */
  'new-controller': story([
    { at: 10, do: 'kill-controller' },
    { at: 12, do: 'start-controller' },
    { ...migrateWeb, at: 30 },
    { at: inTransfer(3), do: 'abort', vm: 'web' },
  ]),
  /** The destination's disk is full as a migration begins; later its agent dies, and comes back to a disk with room. */
  'disk-full-and-agent-restarts': story([
    { at: 18, do: 'disk', of: 'host2', becomes: 'full' },
    migrateWeb,
    { at: 35, do: 'kill', what: 'agent', host: 'host2' },
    { at: 36, do: 'disk', of: 'host2', becomes: 'ok' },
    { at: 37, do: 'start', what: 'agent', host: 'host2' },
  ]),
  /** A VM is moved off a busy host; then the controller restarts, and the load swings to the host that it has come to. */
  'load-swings-back-over-a-restart': story(
    [
      { at: 30, do: 'demand', vm: 'web', cores: 2 },
      { at: 30, do: 'demand', vm: 'shop', cores: 1.8 },
      { at: 120, do: 'kill-controller' },
      { at: 125, do: 'start-controller' },
      { at: 130, do: 'demand', vm: 'web', cores: 0.2 },
      { at: 130, do: 'demand', vm: 'mail', cores: 2 },
    ],
    {
      mode: 'automatic',
      planIntervalSeconds: 10,
      policy: { strategy: 'lines' },
      hosts: { host1: { cpuCores: 4, memoryGiB: 6 }, host2: ordinaryHost },
      vms: { web, shop: { ...web, demandCores: 0.4 }, mail: { ...mail, memoryGiB: 5 } },
    },
  ),
  /**
   * A host is cut off just after its first grant, the only one that is as old as its stamp. Its clock is slow, the controller's is fast,
   * and its agent takes all of the time that it has to end the VM: until 80.73 s, when the controller calls the lease over.
   */
  'clocks-drift-apart': story(
    [
      { at: 0, do: 'drift', of: 'host1', ppm: -10_000 },
      { at: 0, do: 'drift', of: 'controller', ppm: 10_000 },
      { at: 5, do: 'kill', what: 'agent', host: 'host1' },
      { at: 5.1, do: 'isolate', host: 'host1' },
      { at: 5.2, do: 'start', what: 'agent', host: 'host1' },
      { at: 65, do: 'pause', what: 'agent', host: 'host1' },
      { at: 80.7, do: 'go-on', what: 'agent', host: 'host1' },
      { at: 150, do: 'rejoin', host: 'host1' },
    ],
    { vms: { web: { ...web, restartable: true }, mail } },
  ),
  /** A host's agent stands still as a grant arrives; when it reads it, the grant is old, and the host has been cut off. */
  'grant-held-up': story(
    [
      { at: 40, do: 'pause', what: 'agent', host: 'host1' },
      { at: 46, do: 'isolate', host: 'host1' },
      { at: 85, do: 'go-on', what: 'agent', host: 'host1' },
      { at: 200, do: 'rejoin', host: 'host1' },
    ],
    { vms: { web: { ...web, restartable: true }, mail } },
  ),
  /** Three migrations one after the other. */
  'three-migrations': story([
    migrateWeb,
    { at: 80, do: 'migrate', vm: 'web', to: 'host3', by: 'anna' },
    { at: 140, do: 'migrate', vm: 'web', to: 'host1', by: 'anna' },
  ]),
};

/** Those here, by name. */
export const scheduleNames: readonly string[] = Object.keys(schedules);

/** Throws `config-invalid` for a name that nobody knows, and for a schedule that does not fit the simulator any more. */
export async function scheduleOf(name: string): Promise<Scenario> {
  if (name.startsWith('scenario:')) return loadScenario(name.slice('scenario:'.length));
  if (name.startsWith('seed:')) return generated(Number(name.slice('seed:'.length))).scenario;
  const found = schedules[name];
  if (found === undefined) throw new PlimsollError('config-invalid', `there is no schedule ${name}`);
  return found();
}
