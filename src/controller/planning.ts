/** The planning loop: snapshot, plan, and what the mode allows to be done with it. */
import { checkPlan } from '#core/checks/check-plan.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { accountOf } from '#core/planner/account.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { pause } from '#core/time.ts';
import type { MoveStarts } from './move-starts.ts';
import type { ControllerParts, ControllerSettings } from './parts.ts';
import type { Surveys } from './surveys.ts';

const shownIdLength = 12;

/** How often it is looked whether a host is short of CPU. */
const shortageLookMs = 5000;

export interface PlanningRooms {
  readonly parts: ControllerParts;
  readonly settings: ControllerSettings;
  readonly surveys: Surveys;
  readonly starts: Pick<MoveStarts, 'start'>;
}

export class Planning {
  readonly #rooms: PlanningRooms;
  #mode: Mode;
  #latest: Plan | null;
  /** The one that was stored last, and when in this run; plans without news are not stored. */
  #kept: Plan | null;
  #keptAtMonotonicMs = Number.NEGATIVE_INFINITY;

  constructor(rooms: PlanningRooms, mode: Mode, latest: Plan | null) {
    this.#rooms = rooms;
    this.#mode = mode;
    this.#latest = latest;
    this.#kept = latest;
  }

  get mode(): Mode {
    return this.#mode;
  }

  async setMode(mode: Mode): Promise<void> {
    await this.#rooms.parts.store.saveMode(mode);
    this.#mode = mode;
  }

  get planLifetimeMs(): number {
    return this.#rooms.settings.policy.planLifetimeMs;
  }

  latest(): Plan | null {
    return this.#latest;
  }

  async find(planId: string): Promise<Plan> {
    const plan = this.#latest?.planId === planId ? this.#latest : await this.#rooms.parts.store.plan(planId);
    if (!plan) throw new PlimsollError('plan-unknown', `there is no plan ${planId}: 'plimsoll plan list' shows the newest ones`);
    return plan;
  }

  /**
   * Plans each interval until the signal aborts, and by `balance` also as soon as a host is short of CPU, but not before the first interval is
   * over: what the first samples after a start show may be a moment's. An error of one round is logged and the next one comes.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { parts, settings, surveys } = this.#rooms;
    const { planIntervalMs, policy } = settings;
    const { clock } = parts;
    const lookMs = policy.strategy === 'balance' ? shortageLookMs : planIntervalMs;
    const firstDueAtMs = clock.monotonicMs() + planIntervalMs;
    let dueAtMs = firstDueAtMs;
    while (await pause(clock, Math.min(lookMs, Math.max(0, dueAtMs - clock.monotonicMs())), signal)) {
      const isDue = clock.monotonicMs() >= dueAtMs;
      if (!isDue && (dueAtMs === firstDueAtMs || !surveys.isAnyHostShort())) continue;
      try {
        const plan = await this.#round(isDue);
        if (this.#mode === 'automatic') await this.#startMoves(plan);
      } catch (error) {
        if (!signal.aborted) parts.log.error('a planning round failed', { ...refusalOf(error) });
      }
      if (isDue) dueAtMs = clock.monotonicMs() + planIntervalMs;
    }
  }

  /** What a plan that is made now would be made from. */
  async snapshotNow(): Promise<Snapshot> {
    return { ...(await this.#rooms.surveys.forPlan()), automatic: this.#mode === 'automatic' };
  }

  /** Plans at once, keeps the plan, moves nothing: it is for a person to apply, whatever the mode. */
  async planNow(): Promise<Plan> {
    const plan = this.#wrap(await this.#rooms.surveys.forPlan());
    await this.#keep(plan);
    return plan;
  }

  /** What cannot start now, and what comes after it, is not waited for: the next plan sees the cluster as it is then. */
  async #startMoves(plan: Plan): Promise<void> {
    for (const move of plan.moves.filter(({ round = 1 }) => round === 1))
      await this.#rooms.starts.start(plan, move, { askedBy: 'planner', approvedBy: null, cause: 'balance' });
  }

  /** Between rounds nothing is counted: neither rounds over a line nor forecasts. */
  async #round(isDue: boolean): Promise<Plan> {
    const { surveys } = this.#rooms;
    const snapshot = await (isDue ? surveys.nextRound() : surveys.forPlan());
    const plan = this.#wrap({ ...snapshot, automatic: this.#mode === 'automatic' });
    const proposed = this.#proposedBefore(plan);
    if (proposed !== null) return proposed;
    if (this.#isNews(plan, isDue)) await this.#keep(plan);
    else this.#latest = plan;
    return plan;
  }

  /**
   * While moves wait for a person, a plan that proposes the same is that plan still, and can be applied by the id that the person has read.
   * A new one takes its place before it expires.
   */
  #proposedBefore(plan: Plan): Plan | null {
    const kept = this.#kept;
    if (this.#mode === 'automatic' || kept === null || plan.moves.length === 0 || stepsOf(plan) !== stepsOf(kept)) return null;
    if (plan.createdAtMs - kept.createdAtMs > this.planLifetimeMs / 2) return null;
    this.#latest = kept;
    return kept;
  }

  /**
   * A plan without moves is news when it says something else than the last one that was kept. Between rounds that wavers from look to look
   * (a host is short, its relief is under way, its load is not known for a moment): there it is told once in an interval at most.
   */
  #isNews(plan: Plan, isDue: boolean): boolean {
    if (this.#kept === null || plan.moves.length > 0) return true;
    if (gistOf(plan) === gistOf(this.#kept)) return false;
    const { parts, settings } = this.#rooms;
    return isDue || parts.clock.monotonicMs() - this.#keptAtMonotonicMs >= settings.planIntervalMs;
  }

  #wrap(snapshot: Snapshot): Plan {
    const draft = makePlan(snapshot);
    const plan: Plan = {
      ...draft,
      planId: this.#rooms.parts.random.id().slice(0, shownIdLength),
      parentPlanId: this.#latest?.planId ?? null,
      createdAtMs: snapshot.takenAtMs,
      expiresAtMs: snapshot.takenAtMs + this.planLifetimeMs,
      account: accountOf(snapshot, draft.moves),
    };
    const broken = checkPlan(snapshot, plan);
    if (broken.length > 0) {
      throw new PlimsollError('internal', `the planner broke its own rules, its plan is dropped: ${JSON.stringify(broken[0])}`);
    }
    return plan;
  }

  async #keep(plan: Plan): Promise<void> {
    const { store, log, clock } = this.#rooms.parts;
    await store.savePlan(plan);
    this.#latest = plan;
    this.#kept = plan;
    this.#keptAtMonotonicMs = clock.monotonicMs();
    log.info('plan', { planId: plan.planId, verdict: plan.verdict, moves: plan.moves.length, summary: plan.summary });
  }
}

function stepsOf({ moves }: Plan): string {
  return moves.map(({ vmId, fromHostId, toHostId }) => `${vmId} ${fromHostId} ${toHostId}`).join(', ');
}

/** What a plan without moves says: its verdict, and which kinds of reasons it has for it. */
function gistOf(plan: Plan): string {
  return [plan.verdict, ...new Set(plan.skipped.map(({ code }) => code).toSorted())].join(' ');
}
