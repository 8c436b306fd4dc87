/** What the balancer may do beside the rules: classes, budgets, and what copies take. A person's moves, and drains, ask none of it. */
import type { HostId } from '#core/model/host.ts';
import type { MoveCost } from '#core/model/plan.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';
import { bytes } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import { type Budget, budgetOf } from './budget.ts';
import { type Costs, costsOf, longestCopyMs } from './cost.ts';
import type { RuleBook, RuleFault } from './rules.ts';
import { type Standings, standingsOf } from './sla.ts';
import type { Stay } from './stay.ts';
import { count, duration } from './words.ts';

export interface Bounds {
  readonly costs: Costs;
  /** Why nothing at all is moved now. */
  readonly clusterFault: () => RuleFault | null;
  /** Why the balancer does not move the VM now, wherever to. */
  readonly stay: (vm: Pick<SnapshotVm, 'vmId' | 'name'>) => Stay | null;
  /** The rules, and these bounds with them. */
  readonly forRelief: (book: RuleBook) => RuleBook;
  /** The same for a move that mends a rule: how long its copy takes is no matter. */
  readonly forRepair: (book: RuleBook) => RuleBook;
  /** What a move that is taken costs, which is spent with it. `savedCoreSeconds`: null where it was not chosen for that. */
  readonly take: (vm: MovedVm, fromHostId: HostId, toHostId: HostId, savedCoreSeconds: number | null) => TakenMove;
}

export interface TakenMove {
  readonly cost: MoveCost;
  /** For the reason: that the VM's own class is not there. */
  readonly remark: string;
}

const noBytes = bytes(0);

type MovedVm = Pick<SnapshotVm, 'vmId' | 'memoryBytes'>;

export function boundsOf(snapshot: Snapshot): Bounds {
  const standings = standingsOf(snapshot);
  const costs = costsOf(snapshot, standings);
  const budget = budgetOf(snapshot);
  const bound = (book: RuleBook, durationCounts: boolean) => boundBook(book, { snapshot, standings, costs, budget, durationCounts });
  return {
    costs,
    clusterFault: budget.clusterFault,
    stay: (vm) => standings.stay(vm) ?? budget.clusterFault() ?? budget.vmFault(vm),
    forRelief: (book) => bound(book, true),
    forRepair: (book) => bound(book, false),
    take: (vm, fromHostId, toHostId, savedCoreSeconds) => {
      const toll = costs.between(vm, fromHostId, toHostId);
      budget.note(vm.vmId, toll.bytes);
      return { cost: costs.moveCost(toll, vm.vmId, savedCoreSeconds), remark: standings.of(vm.vmId).remark };
    },
  };
}

interface Binding {
  readonly snapshot: Snapshot;
  readonly standings: Standings;
  readonly costs: Costs;
  readonly budget: Budget;
  readonly durationCounts: boolean;
}

function boundBook(book: RuleBook, { snapshot, costs, budget, durationCounts }: Binding): RuleBook {
  const { policy, bandwidths } = snapshot;
  const { tenantMovesPerHour, clusterMovesPerHour, gibPerHour } = policy.budgets;
  const channelsKnown = bandwidths.length > 0 || policy.assumedBandwidthBytesPerSecond > 0;
  // Nothing that a pair of hosts, or an earlier move of the plan, could change: no VM is to pay for what is not asked.
  if (!channelsKnown && tenantMovesPerHour === 0 && clusterMovesPerHour === 0 && gibPerHour === 0) return book;
  const memory = new Map<VmId, MovedVm>(snapshot.vms.map((vm) => [vm.vmId, vm]));
  const sized = <Vm extends { readonly vmId: VmId }>(vm: Vm) => ({ ...vm, memoryBytes: memory.get(vm.vmId)?.memoryBytes ?? noBytes });
  return {
    ...book,
    hostFault: (hostId) => budget.clusterFault() ?? book.hostFault(hostId),
    isBound: (vm) => {
      if (book.isBound(vm) || budget.vmFault(vm) !== null) return true;
      const worst = costs.worst(sized(vm));
      return worst.isClosed || budget.bytesFault(vm, worst.bytes) !== null;
    },
    groupFault: (vms, hostId, where) => {
      const early = budget.clusterFault() ?? vms.map((vm) => budget.vmFault(vm)).find((fault) => fault !== null);
      if (early) return early;
      let [amount, durationMs] = [0, 0];
      for (const vm of vms) {
        const [one, from] = [sized(vm), where(vm.vmId)];
        if (from === undefined) continue;
        const fault = costs.downtimeFault(one, from, hostId) ?? (durationCounts ? costs.durationFault(one, from, hostId) : null);
        if (fault !== null) return fault;
        const toll = costs.between(one, from, hostId);
        amount += toll.bytes;
        durationMs += toll.durationMs ?? 0;
      }
      const longest = longestCopyMs(policy);
      if (durationCounts && durationMs > longest) {
        const reason = `copying ${count(vms.length, 'VM')} to ${hostId} would take about ${duration(durationMs)}, longer than the ${duration(longest)} that a shortage is seen ahead`;
        return { code: 'copy-too-long', reason };
      }
      return budget.groupFault(vms, amount) ?? book.groupFault(vms, hostId, where);
    },
    placementFault: (vm, hostId, where) => {
      const from = where(vm.vmId);
      const early = budget.clusterFault() ?? budget.vmFault(vm);
      if (early !== null || from === undefined) return early ?? book.placementFault(vm, hostId, where);
      const one = sized(vm);
      return (
        costs.downtimeFault(one, from, hostId) ??
        (durationCounts ? costs.durationFault(one, from, hostId) : null) ??
        budget.bytesFault(vm, costs.between(one, from, hostId).bytes) ??
        book.placementFault(vm, hostId, where)
      );
    },
  };
}
