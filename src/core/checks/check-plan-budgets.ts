import type { Move } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { Violation } from './violation.ts';

export type BudgetViolationCode = 'budget-exceeded';

const hourMs = 60 * 60 * 1000;
const dayMs = 24 * hourMs;
const tolerance = 1e-6;

/** Something that counts against a budget. */
interface Spending {
  readonly vmId: string;
  readonly atMs: number;
  readonly isMove: boolean;
  readonly gib: number;
}

/** Move by move: with it, and with all that was moved before it, no budget may be exceeded. */
export function checkBudgets(snapshot: Snapshot, moves: readonly Move[]): readonly Violation<BudgetViolationCode>[] {
  if (moves.length === 0) return [];
  const { policy, takenAtMs, vmFacts } = snapshot;
  const { vmMovesPerDay, tenantMovesPerHour, clusterMovesPerHour, gibPerHour } = policy.budgets;
  const tenantOf = (vmId: string) => vmFacts.find((facts) => facts.vmId === vmId)?.tenant ?? null;
  const spendings = [...spentBefore(snapshot)];
  return moves.flatMap((move) => {
    spendings.push({ vmId: move.vmId, atMs: takenAtMs, isMove: true, gib: (move.cost?.bytes ?? 0) / 2 ** 30 });
    const lastHour = spendings.filter(({ atMs }) => takenAtMs - atMs < hourMs);
    const tenant = tenantOf(move.vmId);
    const ofTenant = tenant === null ? [] : lastHour.filter(({ vmId }) => tenantOf(vmId) === tenant);
    const counts = [
      ['vmMovesPerDay', vmMovesPerDay, movesIn(spendings.filter(({ vmId, atMs }) => vmId === move.vmId && takenAtMs - atMs < dayMs))],
      ['tenantMovesPerHour', tenantMovesPerHour, movesIn(ofTenant)],
      ['clusterMovesPerHour', clusterMovesPerHour, movesIn(lastHour)],
      ['gibPerHour', gibPerHour, lastHour.reduce((sum, { gib }) => sum + gib, 0) - tolerance],
    ] as const;
    return counts
      .filter(([, most, amount]) => most > 0 && amount > most)
      .map(([name, most, amount]): Violation<BudgetViolationCode> => {
        const message = `with the move of ${move.vmName} ${amount} are spent of ${name}, which is ${most}`;
        return { code: 'budget-exceeded', message, hostId: move.fromHostId, vmId: move.vmId };
      });
  });
}

function movesIn(spendings: readonly Spending[]): number {
  return spendings.filter(({ isMove }) => isMove).length;
}

/** Of the ledger, and what is under way: that is spent now. */
function spentBefore({ ledger, inFlight, vms, takenAtMs }: Snapshot): readonly Spending[] {
  const memoryGib = (vmId: string) => (vms.find((vm) => vm.vmId === vmId)?.memoryBytes ?? 0) / 2 ** 30;
  return [
    ...ledger.map(({ vmId, endedAtMs, outcome, sentBytes }) => {
      const unsaid = outcome === 'stayed' ? 0 : memoryGib(vmId);
      return { vmId, atMs: endedAtMs, isMove: outcome !== 'stayed', gib: sentBytes === null ? unsaid : sentBytes / 2 ** 30 };
    }),
    ...inFlight.map(({ vmId }) => ({ vmId, atMs: takenAtMs, isMove: true, gib: memoryGib(vmId) })),
  ];
}
