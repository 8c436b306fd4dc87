/** A small cluster that wants to be balanced, for the controller's own tests of plans: on vitest's fake timers. */
import type { Plan } from '#core/model/plan.ts';
import type { Mode, Policy } from '#core/model/policy.ts';
import { cores } from '#core/model/units.ts';
import type { VmSample } from '#core/model/vm.ts';
import { vi } from 'vitest';
import { FakeAgent, fakeParts, MemoryStore, otherVmId, policy, runningVm, sampleOf, settings, tokens, vmId, vmSample } from './fakes.ts';
import { openRooms } from './rooms.ts';

export interface PlanningOptions {
  readonly mode: Mode;
  readonly signal: AbortSignal;
  readonly store?: MemoryStore;
  readonly changes?: Partial<Policy>;
  readonly planIntervalMs?: number;
}

export function storeOfHosts(...hostIds: readonly string[]): MemoryStore {
  const store = new MemoryStore();
  for (const hostId of hostIds) store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  return store;
}

/** Host a is over its line with two busy VMs (web1 and web2), b and c are idle; what runs where is the test's to change. */
export async function openPlanning(options: PlanningOptions) {
  const parts = fakeParts(options.store ?? storeOfHosts('a', 'b', 'c'));
  const { mode, signal, changes, planIntervalMs = settings.planIntervalMs } = options;
  const own = { ...settings, mode, planIntervalMs, policy: { ...policy, migrationsPerClusterMax: 4, ...changes } };
  const rooms = await openRooms(parts, own, tokens, signal);
  const { view, planning } = rooms;
  const agents = { a: new FakeAgent(parts, 'a', runningVm()), b: new FakeAgent(parts, 'b'), c: new FakeAgent(parts, 'c') };
  const busy = { cpuUsedCores: cores(1.95) };
  const vms: Record<'a' | 'b' | 'c', readonly VmSample[]> = {
    a: [vmSample(busy), vmSample({ ...busy, vmId: otherVmId, name: 'web2' })],
    b: [],
    c: [],
  };
  let sequence = 0;
  let takenAtMs = 0;
  const sample = () => {
    sequence += 1;
    // Each is newer than the one before it.
    takenAtMs = Math.max(Date.now(), takenAtMs + 1);
    for (const hostId of ['a', 'b', 'c'] as const) view.ingest(sampleOf(hostId, sequence, vms[hostId], takenAtMs), Date.now());
  };
  sample();
  let loop = Promise.resolve();
  let running = false;
  /** The loop with fresh samples. */
  const rounds = async (count: number) => {
    if (!running) loop = planning.run(signal);
    running = true;
    for (let round = 0; round < count; round += 1) {
      await vi.advanceTimersByTimeAsync(settings.planIntervalMs - 1);
      sample();
      await vi.advanceTimersByTimeAsync(1);
    }
  };
  const plan = async (): Promise<Plan> => {
    view.nextRound(Date.now());
    return planning.planNow();
  };
  /** Time passes in seconds, each with its samples. */
  const seconds = async (count: number) => {
    for (let second = 0; second < count; second += 1) {
      await vi.advanceTimersByTimeAsync(1000);
      sample();
    }
  };
  return { ...rooms, parts, agents, vms, sample, rounds, plan, seconds, ended: () => loop };
}

export type FakePlanning = Awaited<ReturnType<typeof openPlanning>>;

/** A plan that moves web1 to b and web2 to c, of which only one may be under way: both leave a. */
export async function planOfTwo(world: FakePlanning): Promise<Plan> {
  const made = await world.plan();
  const [move] = made.moves;
  if (move === undefined) throw new Error('the plan has no move');
  const first = { ...move, vmId, vmName: 'web1', toHostId: 'b' };
  const second = { ...first, vmId: otherVmId, vmName: 'web2', toHostId: 'c' };
  const aim = { cpu: true, memory: false, rule: false };
  const account = { terms: made.account?.terms ?? [], aims: [aim, aim] };
  const plan: Plan = { ...made, planId: 'two', moves: [first, second], account };
  world.parts.store.plansKept.push(plan);
  return plan;
}
