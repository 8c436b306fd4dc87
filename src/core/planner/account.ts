import type { Move, MoveAim, PlanAccount, TermCourse } from '#core/model/plan.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { HostId } from '#core/model/host.ts';
import { applyMove } from './apply-move.ts';
import { type Cluster, clusterOf, findHost } from './cluster.ts';
import { frozenHosts } from './freeze.ts';
import { loadOf, reliefGoal } from './line.ts';
import { placementCounts } from './placement-tally.ts';
import { type RuleBook, ruleBookOf } from './rules.ts';
import { scoreTable, type Totals, totalsOf } from './score.ts';
import { type Where, whereWith } from './where.ts';

/** Plays a plan's moves on the snapshot that it was made from: how the score is made up at each step, and what each move is for. */
export function accountOf(snapshot: Snapshot, moves: readonly Move[]): PlanAccount {
  const { policy } = snapshot;
  const book = ruleBookOf(snapshot);
  let cluster = clusterOf(snapshot, frozenHosts(snapshot));
  const moved = new Map<VmId, HostId>();
  const sum = () => totalsOf(cluster.hosts, policy, placementCounts(book, whereWith(book.where, moved), cluster.hosts));
  const totals: Totals[] = [sum()];
  const aims: MoveAim[] = [];
  for (const move of moves) {
    const aim = aimOf(snapshot, cluster, move, { book, where: whereWith(book.where, moved) });
    // VMs that move together do so for one reason, which the first of them says.
    const first = move.together === undefined ? undefined : aims[moves.findIndex(({ vmId }) => move.together?.vmIds.includes(vmId))];
    aims.push(first ?? aim);
    const applied = applyMove(cluster, move);
    if (applied.ok) cluster = applied.cluster;
    moved.set(move.vmId, move.toHostId);
    totals.push(sum());
  }
  return { terms: scoreTable.map(({ name, weight, of }) => ({ name, weight, values: totals.map((each) => of(each)) })), aims };
}

/** How the score is made up before the first move and after the last one, without the steps between: for plans of thousands of moves. */
export function termsOfEnds(snapshot: Snapshot, moves: readonly Move[]): readonly (Omit<TermCourse, 'values'> & TermEnds)[] {
  const { policy } = snapshot;
  const book = ruleBookOf(snapshot);
  const before = clusterOf(snapshot, frozenHosts(snapshot));
  let after = before;
  for (const move of moves) {
    const applied = applyMove(after, move);
    if (applied.ok) after = applied.cluster;
  }
  const moved = new Map(moves.map(({ vmId, toHostId }) => [vmId, toHostId]));
  const sum = ({ hosts }: Cluster, where: Where) => totalsOf(hosts, policy, placementCounts(book, where, hosts));
  const [first, last] = [sum(before, book.where), sum(after, whereWith(book.where, moved))];
  return scoreTable.map(({ name, weight, of }) => ({ name, weight, before: of(first), after: of(last) }));
}

interface TermEnds {
  readonly before: number;
  readonly after: number;
}

interface Rules {
  readonly book: RuleBook;
  readonly where: Where;
}

function aimOf(snapshot: Snapshot, cluster: Cluster, move: Move, rules: Rules): MoveAim {
  const reported = snapshot.hosts.find(({ hostId }) => hostId === move.fromHostId);
  const source = findHost(cluster, move.fromHostId);
  const rule = mends(move, rules) || isTorn(move, rules);
  if (reported === undefined || source === undefined) return { cpu: false, memory: false, rule };
  const goal = reliefGoal(reported, snapshot.policy);
  const load = loadOf(source);
  return { cpu: load.cpuPercent > goal.cpuPercent, memory: load.memoryPercent > goal.memoryPercent, rule };
}

/** Of a VM that is moved together with others: they are to be brought together again. */
function isTorn({ vmId, vmName, together, fromHostId }: Move, { book, where }: Rules): boolean {
  return together !== undefined && book.broken({ vmId, name: vmName }, fromHostId, where) > 0;
}

/** Does the VM break fewer rules on its new host? */
export function mends({ vmId, vmName, fromHostId, toHostId }: MoveEnds, { book, where }: Rules): boolean {
  const vm = { vmId, name: vmName };
  return book.broken(vm, toHostId, where) < book.broken(vm, fromHostId, where);
}

export type MoveEnds = Pick<Move, 'vmId' | 'vmName' | 'fromHostId' | 'toHostId'>;

/** Which resources of the source its plan has begun to relieve with moves that were started: that goes on to the stop line. */
export function begunRelief(
  { moves, account }: { readonly moves: readonly Move[]; readonly account?: PlanAccount },
  move: MoveEnds,
  started: ReadonlySet<VmId>,
): { readonly cpu: boolean; readonly memory: boolean } {
  const begun = moves.flatMap(({ vmId, fromHostId }, index) =>
    fromHostId === move.fromHostId && vmId !== move.vmId && started.has(vmId) ? (account?.aims[index] ?? []) : [],
  );
  return { cpu: begun.some(({ cpu }) => cpu), memory: begun.some(({ memory }) => memory) };
}
