/** Three fake hosts and a controller on fake timers, for the tests of what a migration goes through. */
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import type { EchoReport } from '#core/ports.ts';
import { vi } from 'vitest';
import { FakeAgent, fakeParts, ipsec, MemoryStore, policy, runningVm, settings, tokens, vmId } from './fakes.ts';
import { openRooms } from './rooms.ts';

export const wish = {
  vmId,
  vmName: 'web1',
  fromHostId: 'a',
  toHostId: 'b',
  cause: 'operator',
  askedBy: 'anna',
  ...ipsec,
  planId: null,
} as const;

export const request: MigrationRequest = { ...wish, migrationId: 'm1', vmEpoch: 3, askedAtMs: 1_000_000 };

export const mac = '52:54:00:00:00:01';
export const bridged = [{ kind: 'bridge', source: 'br0', mac }] as const;
export const jobOutcome = { totalMs: 900, downtimeMs: 50, memorySentBytes: 1000, iterations: 2 };

export function echoReport(changes: Partial<EchoReport> = {}): EchoReport {
  const delays = { delayMsP50: 0.4, delayMsP99: 2 };
  return { intervalMs: 5, sent: 200, answered: 190, lastAnswerAtMs: Date.now(), ...delays, gaps: [], ...changes };
}

/** The VM runs on a, and is moved to b; c takes no part. */
export async function newCluster(
  signal: AbortSignal,
  options: { readonly store?: MemoryStore; readonly changes?: Partial<Policy>; readonly lifeMs?: number } = {},
) {
  const parts = fakeParts(options.store ?? new MemoryStore());
  for (const hostId of ['a', 'b', 'c'])
    parts.store.hostRecords.push({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
  const rooms = await openRooms(parts, { ...settings, policy: { ...policy, ...options.changes } }, tokens, signal);
  const source = new FakeAgent(parts, 'a', runningVm(), options.lifeMs);
  const destination = new FakeAgent(parts, 'b', null, options.lifeMs);
  const bystander = new FakeAgent(parts, 'c');
  const { executor } = rooms;
  const start = async (changes: Partial<Parameters<typeof executor.start>[0]> = {}) =>
    (await executor.start({ ...wish, ...changes })).request.migrationId;
  const end = async (migrationId: string) => {
    for (let tries = 0; tries < 200 && executor.current(migrationId); tries += 1) await vi.advanceTimersByTimeAsync(500);
    return parts.store.records.get(migrationId);
  };
  const arrive = (more: object = {}, decisions: readonly object[] = []) => {
    [source.vm, destination.vm] = [null, runningVm()];
    const ended = { kind: 'completed', outcome: { ...jobOutcome, ...more }, channel: null, decisions, attempts: 1 };
    source.answers['transfer.status'] = () => ({ status: ended });
  };
  return { parts, rooms, source, destination, bystander, start, end, arrive };
}

export type Cluster = Awaited<ReturnType<typeof newCluster>>;

/** A host that can look at the VM: it is on the VM's network, and hears it answer. */
export function canWatch(agent: FakeAgent, report: () => EchoReport = echoing()): void {
  agent.answers['witness.look'] = () => ({ addresses: ['10.9.0.5'], place: 'elsewhere' });
  agent.answers['witness.start'] = () => ({ watching: true });
  agent.answers['witness.report'] = () => ({ report: report() });
}

/** One more answer each time. */
export function echoing(changes: Partial<EchoReport> = {}): () => EchoReport {
  let answered = 190;
  return () => echoReport({ answered: (answered += 1), sent: answered + 10, ...changes });
}

/** The arguments of each command of this name that came, in order. */
export function argsOf(agent: FakeAgent, name: string): readonly Record<string, unknown>[] {
  const commands = agent.line.sent as readonly { readonly name?: string; readonly args?: Record<string, unknown> }[];
  return commands.flatMap((command) => (command.name === name ? [command.args ?? {}] : []));
}

export function count(agent: FakeAgent, name: string): number {
  return agent.asked.filter((one) => one === name).length;
}
