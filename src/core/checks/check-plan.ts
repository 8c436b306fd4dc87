import type { LoadChange, Move, PlanDraft } from '#core/model/plan.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { checkBudgets } from './check-plan-budgets.ts';
import type { BudgetViolationCode } from './check-plan-budgets.ts';
import { checkCosts } from './check-plan-costs.ts';
import type { CostViolationCode } from './check-plan-costs.ts';
import { checkRounds, helpers } from './check-plan-rounds.ts';
import type { RoundViolationCode } from './check-plan-rounds.ts';
import { checkRules } from './check-plan-rules.ts';
import type { RuleViolationCode } from './check-plan-rules.ts';
import { checkStrategy } from './check-plan-strategy.ts';
import type { StrategyViolationCode } from './check-plan-strategy.ts';
import { overflowingMoves } from './check-plan-overflow.ts';
import { percentages, shift, talliesOf } from './check-plan-tally.ts';
import type { Tally } from './check-plan-tally.ts';
import type { Violation } from './violation.ts';

export type PlanViolationCode =
  | RuleViolationCode
  | RoundViolationCode
  | CostViolationCode
  | BudgetViolationCode
  | StrategyViolationCode
  | 'host-unknown'
  | 'vm-unknown'
  | 'vm-not-on-source'
  | 'vm-not-running'
  | 'vm-in-flight'
  | 'vm-cooling'
  | 'vm-twice'
  | 'vm-returns'
  | 'same-host'
  | 'host-stale'
  | 'host-quarantined'
  | 'host-settling'
  | 'source-not-over-line'
  | 'source-not-sustained'
  | 'target-over-line'
  | 'target-without-memory'
  | 'limit-exceeded'
  | 'reason-missing'
  | 'prediction-wrong'
  | 'score-not-lower'
  | 'verdict-wrong';

export type PlanViolation = Violation<PlanViolationCode>;

/** Percentages and scores may differ from the planner's by rounding only. */
const tolerance = 1e-6;

/**
 * Every rule that a plan must keep, computed anew from the snapshot without a line of the planner's code;
 * empty for a sound plan. Run it on each plan before it is stored or executed.
 */
export function checkPlan(snapshot: Snapshot, plan: PlanDraft): readonly PlanViolation[] {
  const rules = checkRules(snapshot, plan.moves);
  const isPushed = (move: Move) => snapshot.policy.direction !== 'pull' && checkSource(snapshot, move).length === 0;
  const helping = helpers(plan.moves);
  const unpushed = plan.moves.filter((move) => !rules.repairs.has(move) && !helping.has(move) && !isPushed(move));
  const strategy = checkStrategy(snapshot, plan.moves, new Set(unpushed));
  const overflows = overflowingMoves(snapshot, plan.moves);
  const kindOf = (move: Move): MoveKind => {
    if (rules.repairs.has(move)) return 'repair';
    if (overflows.has(move)) return 'overflow';
    if (move.together !== undefined) return 'group';
    return helping.has(move) ? 'help' : (strategy.kinds.get(move) ?? 'push');
  };
  return [
    ...checkLimits(snapshot, plan),
    ...plan.moves.flatMap((move) => checkMove(snapshot, move, kindOf(move))),
    ...strategy.violations,
    ...rules.violations,
    ...checkRounds(snapshot, plan.moves, overflows),
    ...checkCosts(snapshot, plan.moves, rules.repairs),
    ...checkBudgets(snapshot, plan.moves),
    ...repeatedVms(plan.moves).map((move) => violation('vm-twice', `${move.vmName} is moved twice`, move)),
    ...replay(snapshot, plan.moves, overflows),
    ...checkVerdict(plan),
    ...checkQuarantined(snapshot, plan),
  ];
}

function violation(code: PlanViolationCode, message: string, move?: Pick<Move, 'vmId'>, hostId?: string): PlanViolation {
  return { code, message, hostId: hostId ?? null, vmId: move?.vmId ?? null };
}

function checkLimits({ policy, inFlight }: Snapshot, { moves }: PlanDraft): readonly PlanViolation[] {
  const found: PlanViolation[] = [];
  if (moves.length > policy.movesPerPlanMax) {
    found.push(violation('limit-exceeded', `${moves.length} moves, the most in a plan is ${policy.movesPerPlanMax}`));
  }
  if (moves.length > 0 && inFlight.length >= policy.migrationsPerClusterMax) {
    found.push(violation('limit-exceeded', `moves are planned although ${inFlight.length} migrations are under way`));
  }
  for (const move of moves) {
    for (const hostId of [move.fromHostId, move.toHostId]) {
      const busy = inFlight.filter((migration) => migration.fromHostId === hostId || migration.toHostId === hostId).length;
      if (busy < policy.migrationsPerHostMax) continue;
      found.push(violation('limit-exceeded', `${hostId} has ${busy} migrations under way already`, move, hostId));
    }
  }
  return found;
}

/** What a move is made for. */
type MoveKind = 'push' | 'overflow' | 'group' | 'help' | 'pull' | 'pack' | 'repair';

/**
 * A move that mends a rule or empties a host needs no trouble on its source, and may cost the score something; one of several the latter, and
 * the last resort of a host whose VMs wait: the score counts what is used.
 */
function checkMove(snapshot: Snapshot, move: Move, kind: MoveKind): readonly PlanViolation[] {
  const mayCost = kind === 'repair' || kind === 'pack' || kind === 'help' || kind === 'group' || kind === 'overflow';
  const found: PlanViolation[] = [];
  if (move.fromHostId === move.toHostId)
    found.push(violation('same-host', `${move.vmName} would stay on ${move.toHostId}`, move, move.toHostId));
  if (move.reason.trim() === '') found.push(violation('reason-missing', `the move of ${move.vmName} has no reason`, move));
  if (mayCost ? !Number.isFinite(move.scoreAfter) : !(move.scoreAfter < move.scoreBefore)) {
    found.push(violation('score-not-lower', `moving ${move.vmName} takes the score from ${move.scoreBefore} to ${move.scoreAfter}`, move));
  }
  return [
    ...found,
    ...checkVm(snapshot, move),
    ...[move.fromHostId, move.toHostId].flatMap((hostId) => checkFresh(snapshot, move, hostId)),
    ...(kind === 'push' || kind === 'group' || kind === 'overflow' ? checkSource(snapshot, move) : []),
    ...(kind === 'repair' ? [] : checkReturn(snapshot, move)),
  ];
}

/** Only a move that mends a rule may go back to where the VM has just come from. */
function checkReturn({ ledger, policy, takenAtMs }: Snapshot, move: Move): readonly PlanViolation[] {
  const left = ledger.filter(({ vmId, fromHostId, outcome }) => vmId === move.vmId && fromHostId === move.toHostId && outcome !== 'stayed');
  if (left.every(({ endedAtMs }) => takenAtMs >= endedAtMs + policy.returnMsMin)) return [];
  return [violation('vm-returns', `${move.vmName} has left ${move.toHostId} not long ago`, move, move.toHostId)];
}

function checkVm(snapshot: Snapshot, move: Move): readonly PlanViolation[] {
  const vm = snapshot.vms.find((candidate) => candidate.vmId === move.vmId);
  if (vm === undefined) return [violation('vm-unknown', `VM ${move.vmId} is not in the snapshot`, move)];
  const found: PlanViolation[] = [];
  if (vm.hostId !== move.fromHostId) found.push(violation('vm-not-on-source', `${vm.name} is on ${vm.hostId}`, move, move.fromHostId));
  if (vm.state !== 'running') found.push(violation('vm-not-running', `${vm.name} is ${vm.state}`, move));
  if (snapshot.inFlight.some(({ vmId }) => vmId === move.vmId)) found.push(violation('vm-in-flight', `${vm.name} is being migrated`, move));
  const until = coolUntilMs(snapshot, move.vmId);
  if (!(snapshot.takenAtMs >= until)) found.push(violation('vm-cooling', `${vm.name} cools down until ${until}`, move));
  return found;
}

/**
 * End of a VM's cool-down by the rule in words: it lasts `coolDownMs`, twice as long for each further move
 * made before the VM had been quiet for `coolDownMsMax`, never more than that; tries that failed prolong it
 * by its present length.
 */
function coolUntilMs({ ledger, policy }: Snapshot, vmId: string): number {
  let untilMs = -Infinity;
  let doublings = -1;
  const entries = ledger.filter((entry) => entry.vmId === vmId);
  for (const entry of entries.toSorted((a: LedgerEntry, b: LedgerEntry) => a.endedAtMs - b.endedAtMs)) {
    if (entry.startedAtMs - untilMs >= policy.coolDownMsMax) doublings = -1;
    if (entry.outcome === 'moved') doublings += 1;
    const lastsMs = Math.min(policy.coolDownMsMax, policy.coolDownMs * 2 ** Math.max(0, doublings));
    untilMs = Math.max(untilMs, entry.endedAtMs + lastsMs);
  }
  return untilMs;
}

/** A host that is not believed is named, with that reason. */
function checkQuarantined({ hosts }: Snapshot, { skipped }: PlanDraft): readonly PlanViolation[] {
  const named = new Set(skipped.filter(({ vmId, code }) => vmId === null && code === 'quarantined').map(({ hostId }) => hostId));
  return hosts
    .filter(({ hostId, quarantine }) => (quarantine !== null) !== named.has(hostId))
    .map(({ hostId, quarantine }) =>
      violation(
        'host-quarantined',
        `${hostId} is ${quarantine === null ? 'believed, and' : 'quarantined, and not'} named as quarantined`,
        undefined,
        hostId,
      ),
    );
}

function checkFresh(snapshot: Snapshot, move: Move, hostId: string): readonly PlanViolation[] {
  const listed = snapshot.hosts.filter((candidate) => candidate.hostId === hostId);
  const [host] = listed;
  if (host === undefined || listed.length > 1)
    return [violation('host-unknown', `${hostId} is in the snapshot ${listed.length} times`, move, hostId)];
  const { policy } = snapshot;
  const found: PlanViolation[] = [];
  const ageMs = snapshot.takenAtMs - host.sampledAtMs;
  if (host.status !== 'up' || !(ageMs <= policy.sampleAgeMsMax)) {
    found.push(violation('host-stale', `${hostId} is ${host.status}, its newest sample is ${ageMs} ms old`, move, hostId));
  }
  if (host.quarantine !== null)
    found.push(violation('host-quarantined', `${hostId} is not believed: ${host.quarantine.message}`, move, hostId));
  const tookPart = snapshot.ledger.filter((entry) => entry.outcome !== 'stayed' && [entry.fromHostId, entry.toHostId].includes(hostId));
  if (tookPart.some((entry) => host.sampledAtMs - entry.endedAtMs < policy.smoothingHalfLifeMs)) {
    found.push(violation('host-settling', `the load of ${hostId} does not show its last move yet`, move, hostId));
  }
  return found;
}

function checkSource({ hosts, policy }: Snapshot, move: Move): readonly PlanViolation[] {
  const host = hosts.find((candidate) => candidate.hostId === move.fromHostId);
  if (host === undefined) return [];
  const found: PlanViolation[] = [];
  const cpu = (100 * host.cpuUsedCores) / host.capacity.cpuCores;
  const memory = (100 * host.memoryUsedBytes) / host.capacity.memoryBytes;
  const { relieving } = host;
  const over = cpu > policy.cpuLine.startPercent || memory > policy.memoryLine.startPercent;
  // The threshold rule has one line only.
  const { strategy } = policy;
  const onItsWay =
    strategy !== 'threshold' &&
    ((relieving.cpu && cpu > policy.cpuLine.stopPercent) || (relieving.memory && memory > policy.memoryLine.stopPercent));
  if (!over && !onItsWay) {
    found.push(violation('source-not-over-line', `${host.hostId} is at ${cpu} % CPU and ${memory} % memory`, move, host.hostId));
  }
  const waits = strategy === 'lines' || strategy === 'pack';
  if (waits && !relieving.cpu && !relieving.memory && !(host.roundsOverLine >= policy.sustainedRounds)) {
    found.push(violation('source-not-sustained', `${host.hostId} is over its line for ${host.roundsOverLine} rounds`, move, host.hostId));
  }
  return found;
}

/** Replays the moves in order: predicted loads, and the lines and the memory of each target at every step. */
function replay(snapshot: Snapshot, moves: readonly Move[], overflows: ReadonlySet<Move>): readonly PlanViolation[] {
  const { tallies, vms } = talliesOf(snapshot);
  const found: PlanViolation[] = [];
  for (const move of moves) {
    const [source, target, vm] = [tallies.get(move.fromHostId), tallies.get(move.toHostId), vms.get(move.vmId)];
    if (source === undefined || target === undefined || vm === undefined || source === target) continue;
    const before = [percentages(source), percentages(target)];
    shift(source, target, vm);
    found.push(...checkPrediction(move, move.source, before[0], percentages(source)));
    found.push(...checkPrediction(move, move.destination, before[1], percentages(target)));
    found.push(...checkTarget(snapshot, move, target, overflows.has(move)));
  }
  return found;
}

type Percentages = ReturnType<typeof percentages> | undefined;

function checkPrediction(move: Move, claim: LoadChange, before: Percentages, after: Percentages): readonly PlanViolation[] {
  const pairs = [
    ['CPU before', claim.cpuBeforePercent, before?.cpu],
    ['CPU after', claim.cpuAfterPercent, after?.cpu],
    ['memory before', claim.memoryBeforePercent, before?.memory],
    ['memory after', claim.memoryAfterPercent, after?.memory],
  ] as const;
  return pairs
    .filter(([, claimed, real]) => !(real !== undefined && Math.abs(claimed - real) <= tolerance))
    .map(([name, claimed, real]) =>
      violation('prediction-wrong', `${claim.hostId}: ${name} is said to be ${claimed} %, is ${real} %`, move, claim.hostId),
    );
}

function checkTarget({ policy }: Snapshot, move: Move, target: Tally, isOverflow: boolean): readonly PlanViolation[] {
  const { cpu, memory } = percentages(target);
  const { hostId, capacity } = target.host;
  const found: PlanViolation[] = [];
  if (!((isOverflow || cpu <= policy.cpuLine.startPercent + tolerance) && memory <= policy.memoryLine.startPercent + tolerance)) {
    found.push(violation('target-over-line', `${hostId} would be at ${cpu} % CPU and ${memory} % memory`, move, hostId));
  }
  const needBytes = Math.max(target.usedBytes, target.promisedBytes);
  if (!(needBytes <= capacity.memoryBytes)) {
    found.push(violation('target-without-memory', `${hostId} would need ${needBytes} of ${capacity.memoryBytes} bytes`, move, hostId));
  }
  return found;
}

function repeatedVms(moves: readonly Move[]): readonly Move[] {
  return moves.filter((move, index) => moves.findIndex((other) => other.vmId === move.vmId) < index);
}

function checkVerdict(plan: PlanDraft): readonly PlanViolation[] {
  const found: PlanViolation[] = [];
  if ((plan.verdict === 'moves') !== plan.moves.length > 0) {
    found.push(violation('verdict-wrong', `the verdict is ${plan.verdict} with ${plan.moves.length} moves`));
  }
  if (plan.summary.trim() === '') found.push(violation('reason-missing', 'the plan has no summary'));
  for (const skip of plan.skipped.filter(({ reason }) => reason.trim() === '')) {
    found.push({
      code: 'reason-missing',
      message: `what was left alone on ${skip.hostId} has no reason`,
      hostId: skip.hostId,
      vmId: skip.vmId,
    });
  }
  return found;
}
