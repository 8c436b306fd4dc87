/** How much the balancer may still move: counted from the ledger, from what is under way, and from the plan's own moves. */
import type { SkipCode } from '#core/model/plan.ts';
import type { Snapshot, SnapshotVm, VmFacts } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { RuleFault } from './rules.ts';
import { duration, memorySize } from './words.ts';

type NamedVm = Pick<SnapshotVm, 'vmId' | 'name'>;

/** Changed by `note` alone: a plan makes one for itself. */
export interface Budget {
  /** Why nothing is moved any more. */
  readonly clusterFault: () => RuleFault | null;
  /** Why this VM is not, whatever it sends. */
  readonly vmFault: (vm: NamedVm) => RuleFault | null;
  /** Why so many bytes more are not sent. */
  readonly bytesFault: (vm: NamedVm, bytes: number) => RuleFault | null;
  /** Why these VMs are not all moved, sending so many bytes in all, where each of them alone would be. */
  readonly groupFault: (vms: readonly NamedVm[], bytes: number) => RuleFault | null;
  /** One move more in the plan. */
  readonly note: (vmId: VmId, bytes: number) => void;
}

export const dayMs = 86_400_000;
export const hourMs = 3_600_000;
const gibibyte = 2 ** 30;

/** Something that was spent; what is under way or planned is spent now. */
interface Spent {
  readonly atMs: number;
  readonly amount: number;
}

type Facts = Pick<Snapshot, 'policy' | 'ledger' | 'inFlight' | 'takenAtMs' | 'vms' | 'vmFacts'>;

export function budgetOf({ policy, ledger, inFlight, takenAtMs, vms, vmFacts }: Facts): Budget {
  const { vmMovesPerDay, tenantMovesPerHour, clusterMovesPerHour, gibPerHour } = policy.budgets;
  const tenants = tenantsOf(vmFacts);
  const memory = new Map((gibPerHour > 0 ? vms : []).map(({ vmId, memoryBytes }) => [vmId, memoryBytes]));
  const ofVm = new Map<VmId, Spent[]>();
  const ofTenant = new Map<string, Spent[]>();
  const moves: Spent[] = [];
  const bytes: Spent[] = [];
  const spendMove = (vmId: VmId, atMs: number) => {
    const isRecent = atMs > takenAtMs - hourMs;
    if (atMs > takenAtMs - dayMs) append(ofVm, vmId, { atMs, amount: 1 });
    if (!isRecent) return;
    moves.push({ atMs, amount: 1 });
    const tenant = tenants.get(vmId);
    if (tenant !== undefined) append(ofTenant, tenant, { atMs, amount: 1 });
  };
  for (const { vmId, endedAtMs, outcome, sentBytes } of ledger) {
    if (endedAtMs <= takenAtMs - dayMs) continue;
    if (outcome !== 'stayed') spendMove(vmId, endedAtMs);
    // Of an entry that does not say: a VM that moved has sent its memory; nobody knows of one that did not.
    const sent = sentBytes ?? (outcome === 'stayed' ? 0 : (memory.get(vmId) ?? 0));
    if (endedAtMs > takenAtMs - hourMs) bytes.push({ atMs: endedAtMs, amount: sent });
  }
  const note = (vmId: VmId, amount: number) => {
    spendMove(vmId, takenAtMs);
    bytes.push({ atMs: takenAtMs, amount });
  };
  for (const { vmId } of inFlight) note(vmId, memory.get(vmId) ?? 0);
  /** `more`: moves that are to be made. */
  const faultOf = (code: MovesCode, who: string, spent: readonly Spent[], max: number, windowMs: number, more = 1): RuleFault | null => {
    if (max === 0 || spent.length + more <= max) return null;
    const window = windowMs === dayMs ? 'day' : 'hour';
    const free = more > max ? 'raise it to move more' : freeAgain(spent, max - more, windowMs, takenAtMs);
    const also = more === 1 ? '' : `, ${more} more would have to move`;
    return {
      code,
      reason: `${who} moved ${times(spent.length)} within this ${window}${also}, ${budgetNames[code]} allows ${max}: ${free}`,
    };
  };
  const bytesFaultOf = (what: string, amount: number): RuleFault | null => {
    const max = gibPerHour * gibibyte;
    if (gibPerHour === 0 || totalOf(bytes) + amount <= max) return null;
    const needs = `moving ${what} would send ${memorySize(amount)}`;
    const code = 'budget-bytes';
    if (amount > max) return { code, reason: `${needs}, and policy.budgets.gibPerHour allows ${memorySize(max)} in an hour` };
    const free = freeAgain(bytes, max - amount, hourMs, takenAtMs);
    return {
      code,
      reason: `${needs} after ${memorySize(totalOf(bytes))} within this hour, of ${memorySize(max)} that policy.budgets.gibPerHour allows: ${free}`,
    };
  };
  return {
    note,
    clusterFault: () => faultOf('budget-cluster', 'VMs have', moves, clusterMovesPerHour, hourMs),
    vmFault: ({ vmId, name }) => {
      const fault = faultOf('budget-vm', `${name} has`, ofVm.get(vmId) ?? [], vmMovesPerDay, dayMs);
      const tenant = tenants.get(vmId);
      if (fault !== null || tenant === undefined) return fault;
      const who = `VMs of tenant ${tenant}, of which ${name} is one, have`;
      return faultOf('budget-tenant', who, ofTenant.get(tenant) ?? [], tenantMovesPerHour, hourMs);
    },
    bytesFault: ({ name }, amount) => bytesFaultOf(name, amount),
    groupFault: (moving, amount) => {
      const names = moving.map(({ name }) => name).join(', ');
      const cluster = faultOf('budget-cluster', 'VMs have', moves, clusterMovesPerHour, hourMs, moving.length);
      if (cluster !== null) return cluster;
      const byTenant = Map.groupBy(moving, ({ vmId }) => tenants.get(vmId));
      for (const [tenant, own] of byTenant) {
        if (tenant === undefined) continue;
        const who = `VMs of tenant ${tenant}, as ${own.map(({ name }) => name).join(', ')}, have`;
        const fault = faultOf('budget-tenant', who, ofTenant.get(tenant) ?? [], tenantMovesPerHour, hourMs, own.length);
        if (fault !== null) return fault;
      }
      return bytesFaultOf(names, amount);
    },
  };
}

type MovesCode = Extract<SkipCode, 'budget-vm' | 'budget-tenant' | 'budget-cluster'>;

const budgetNames: Readonly<Record<MovesCode, string>> = {
  'budget-vm': 'policy.budgets.vmMovesPerDay',
  'budget-tenant': 'policy.budgets.tenantMovesPerHour',
  'budget-cluster': 'policy.budgets.clusterMovesPerHour',
};

/** When enough of it is longer ago than the window. */
function freeAgain(spent: readonly Spent[], rest: number, windowMs: number, nowMs: number): string {
  let left = totalOf(spent);
  for (const { atMs, amount } of spent.toSorted((a, b) => a.atMs - b.atMs)) {
    left -= amount;
    if (left > rest) continue;
    const afterMs = Math.max(0, atMs + windowMs - nowMs);
    // What has not ended yet counts from its end on.
    return atMs >= nowMs ? `free again in ${duration(afterMs)} at the earliest` : `free again in ${duration(afterMs)}`;
  }
  return 'raise it to move more';
}

function times(amount: number): string {
  return amount === 1 ? 'once' : `${amount} times`;
}

function totalOf(spent: readonly Spent[]): number {
  let total = 0;
  for (const { amount } of spent) total += amount;
  return total;
}

function tenantsOf(vmFacts: readonly VmFacts[]): ReadonlyMap<VmId, string> {
  return new Map(vmFacts.flatMap(({ vmId, tenant }) => (tenant === null ? [] : [[vmId, tenant] as const])));
}

function append(lists: Map<string, Spent[]>, key: string, spent: Spent): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [spent]);
  else list.push(spent);
}
