import { fillPercentOf } from '#core/checks/check-plan-overflow.ts';
import type { HostId } from '#core/model/host.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import { type Breach, breach } from './breach.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

/** What a sample takes to arrive, and a plan to be made. */
const wayMs = 2000;

export interface PlanFacts {
  readonly world: World;
  readonly store: SimStore;
  readonly policy: Policy;
  /** When a host last sent a sample, by the simulation's own time; null: never. */
  readonly sampledAtMs: (hostId: HostId) => number | null;
}

/**
 * Judges a plan as it becomes durable, by what is durable itself and by what the hosts have sent: whatever the controller that made it has
 * in its memory, or has forgotten with a restart. The controller's own linter sees the controller's own snapshot; this one does not.
 */
export function planBreaches(facts: PlanFacts, plan: Plan): readonly Breach[] {
  const { moves, verdict } = plan;
  const unlawful = (message: string) => breach('plan-unlawful', `plan ${plan.planId}: ${message}`);
  const twice = moves.filter(({ vmId }, index) => moves.findIndex((other) => other.vmId === vmId) < index);
  return [
    ...((verdict === 'moves') === moves.length > 0 ? [] : [unlawful(`the verdict is ${verdict} with ${moves.length} moves`)]),
    ...(moves.length <= facts.policy.movesPerPlanMax
      ? []
      : [unlawful(`${moves.length} moves, the most is ${facts.policy.movesPerPlanMax}`)]),
    ...twice.map(({ vmName }) => unlawful(`${vmName} is moved twice`)),
    ...moves.flatMap((move) => moveFaults(facts, plan, move).map(unlawful)),
  ];
}

/** Whether the move is made for another one of the plan, or with others, and all together lower the score. */
function isHelp({ moves }: Plan, move: Plan['moves'][number]): boolean {
  const group = moves.filter(({ vmId }) => move.together?.vmIds.includes(vmId));
  const [begin, end] = [group[0]?.scoreBefore, group.at(-1)?.scoreAfter];
  if (begin !== undefined && end !== undefined) return end < begin;
  const [first, second] = moves.filter((one) => one === move || one.vmId === move.forVmId);
  return move.forVmId !== undefined && first !== undefined && second !== undefined && second.scoreAfter < first.scoreBefore;
}

/** The score counts what is used: relieving VMs that wait may cost it something, where no target below its line was left. */
function overflows(policy: Policy, { destination, cost }: Plan['moves'][number]): boolean {
  const isOver = destination.cpuAfterPercent > fillPercentOf(policy) - 1e-6 && destination.cpuAfterPercent <= 100;
  const isWorth = (cost?.savedCoreSeconds ?? -Infinity) > (cost?.priceCoreSeconds ?? 0);
  return policy.strategy !== 'threshold' && isOver && isWorth;
}

function moveFaults(facts: PlanFacts, plan: Plan, move: Plan['moves'][number]): readonly string[] {
  const { createdAtMs } = plan;
  const { vmId, vmName, fromHostId, toHostId } = move;
  const found: string[] = [];
  if (fromHostId === toHostId) found.push(`${vmName} would stay on ${toHostId}`);
  // A move that mends a rule may cost the score something, and one that empties a host, as long as it fills nobody above the stop line.
  const { strategy, cpuLine } = facts.policy;
  const empties = strategy === 'pack' && move.destination.cpuAfterPercent <= cpuLine.stopPercent;
  if (!(move.scoreAfter < move.scoreBefore) && !facts.store.hasRules && !empties && !overflows(facts.policy, move) && !isHelp(plan, move))
    found.push(`${vmName} takes the score from ${move.scoreBefore} to ${move.scoreAfter}`);
  if (facts.store.allMigrations().some(({ request, endedAtMs }) => endedAtMs === null && request.vmId === vmId))
    found.push(`${vmName} is being migrated`);
  const coolUntilMs = coolUntil(facts, vmId);
  if (createdAtMs < coolUntilMs) found.push(`${vmName} cools down for another ${Math.round(coolUntilMs - createdAtMs)} ms`);
  for (const hostId of [fromHostId, toHostId]) {
    const sentAtMs = facts.sampledAtMs(hostId);
    const ageMs = sentAtMs === null ? Number.POSITIVE_INFINITY : facts.world.time.elapsedMs - sentAtMs;
    if (ageMs > facts.policy.sampleAgeMsMax + wayMs) found.push(`the newest sample of ${hostId} is ${ageMs} ms old`);
  }
  return found;
}

/** The least that the rule allows: any try is followed by one cool-down, the first of which is not doubled yet. */
function coolUntil({ store, policy }: PlanFacts, vmId: string): number {
  const ends = store.allLedger().filter((entry) => entry.vmId === vmId);
  return Math.max(Number.NEGATIVE_INFINITY, ...ends.map(({ endedAtMs }) => endedAtMs + Math.min(policy.coolDownMs, policy.coolDownMsMax)));
}
