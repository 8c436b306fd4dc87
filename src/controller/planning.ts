/** The planning loop: snapshot, plan, and what the mode allows to be done with it. */
import { checkPlan } from '#core/checks/check-plan.ts';
import type { MoveCause } from '#core/model/ledger.ts';
import type { MethodWish } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Move, Plan } from '#core/model/plan.ts';
import type { Mode } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { wishOfClass } from '#core/migration/move-forecast.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { classOf } from '#core/planner/sla.ts';
import { pause } from '#core/time.ts';
import type { Executor } from './executor.ts';
import type { ControllerParts, ControllerSettings } from './parts.ts';
import type { Surveys } from './surveys.ts';

const shownIdLength = 12;
/** More than one plan's lifetime can hold. */
const migrationsRead = 1000;

/** How often it is looked whether a host is short of CPU. */
const shortageLookMs = 5000;

interface Wish {
  readonly planId: string;
  readonly askedBy: string;
  /** The person who applied the plan; null for the planner's own moves. */
  readonly approvedBy: string | null;
  readonly cause: MoveCause;
}

export class Planning {
  readonly #parts: ControllerParts;
  readonly #settings: ControllerSettings;
  readonly #surveys: Surveys;
  readonly #executor: Executor;
  #mode: Mode;
  #latest: Plan | null = null;
  /** Approved plans, until they expire. */
  readonly #applied = new Map<string, number>();

  constructor(parts: ControllerParts, settings: ControllerSettings, surveys: Surveys, executor: Executor, mode: Mode, latest: Plan | null) {
    this.#parts = parts;
    this.#settings = settings;
    this.#surveys = surveys;
    this.#executor = executor;
    this.#mode = mode;
    this.#latest = latest;
  }

  get mode(): Mode {
    return this.#mode;
  }

  async setMode(mode: Mode): Promise<void> {
    await this.#parts.store.saveMode(mode);
    this.#mode = mode;
  }

  latest(): Plan | null {
    return this.#latest;
  }

  async find(planId: string): Promise<Plan> {
    const plan = this.#latest?.planId === planId ? this.#latest : await this.#parts.store.plan(planId);
    if (!plan) throw new PlimsollError('plan-unknown', `there is no plan ${planId}: 'plimsoll plan' shows the newest one`);
    return plan;
  }

  /**
   * Plans each interval until the signal aborts, and by `balance` also as soon as a host is short of CPU; an error of one round is logged and
   * the next one comes.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { planIntervalMs, policy } = this.#settings;
    const { clock } = this.#parts;
    const lookMs = policy.strategy === 'balance' ? shortageLookMs : planIntervalMs;
    let dueAtMs = clock.monotonicMs() + planIntervalMs;
    while (await pause(clock, Math.min(lookMs, Math.max(0, dueAtMs - clock.monotonicMs())), signal)) {
      const isDue = clock.monotonicMs() >= dueAtMs;
      if (!isDue && !this.#surveys.isAnyHostShort()) continue;
      try {
        const plan = await this.#round(isDue);
        // What cannot start now is not waited for: the next round sees the cluster as it is then.
        if (this.#mode === 'automatic')
          await this.#startMoves(plan.moves, { planId: plan.planId, askedBy: 'planner', approvedBy: null, cause: 'balance' });
      } catch (error) {
        if (!signal.aborted) this.#parts.log.error('a planning round failed', { ...refusalOf(error) });
      }
      if (isDue) dueAtMs = clock.monotonicMs() + planIntervalMs;
    }
  }

  /** What a plan that is made now would be made from. */
  async snapshotNow(): Promise<Snapshot> {
    return { ...(await this.#surveys.snapshot()), automatic: this.#mode === 'automatic' };
  }

  /** Plans at once, keeps the plan, moves nothing: it is for a person to apply, whatever the mode. */
  async planNow(): Promise<Plan> {
    const plan = this.#wrap(await this.#surveys.snapshot());
    await this.#keep(plan);
    return plan;
  }

  /** Starts the moves of a plan that a person approved. */
  async apply(planId: string, askedBy: string): Promise<readonly Migration[]> {
    if (this.#mode === 'observe') {
      throw new PlimsollError('mode-forbids', "the mode is observe, nothing moves by plan: 'plimsoll mode approve' allows it");
    }
    const plan = await this.find(planId);
    if (!(await this.#useOnce(plan))) {
      throw new PlimsollError('plan-expired', `plan ${planId} has expired or was applied before: 'plimsoll plan new' makes a new one`);
    }
    const wish: Wish = { planId, askedBy, approvedBy: askedBy, cause: 'operator' };
    const { started, limited } = await this.#startMoves(plan.moves, wish);
    if (limited.length > 0) void this.#carryOut(limited, wish, plan.expiresAtMs);
    return started;
  }

  /** False for a plan that has expired or was used, also by a controller before this one: its migrations name it. */
  async #useOnce({ planId, expiresAtMs }: Plan): Promise<boolean> {
    const nowMs = this.#parts.clock.nowMs();
    for (const [id, endMs] of this.#applied) if (endMs <= nowMs) this.#applied.delete(id);
    if (expiresAtMs <= nowMs) return false;
    const newest = await this.#parts.store.migrations({ limit: migrationsRead });
    if (this.#applied.has(planId) || newest.some(({ request }) => request.planId === planId)) return false;
    this.#applied.set(planId, expiresAtMs);
    return true;
  }

  /** The moves of an approved plan that had to wait for others, in their order, as long as the plan is valid. */
  async #carryOut(moves: readonly Move[], wish: Wish, expiresAtMs: number): Promise<void> {
    let waiting = moves;
    const isAllowed = () => this.#parts.clock.nowMs() < expiresAtMs && this.#mode !== 'observe';
    while (waiting.length > 0 && (await this.#executor.nextEnd()) && isAllowed()) {
      ({ limited: waiting } = await this.#startMoves(waiting, wish));
    }
    if (waiting.length > 0)
      this.#parts.log.warn('moves of an approved plan were not started', { planId: wish.planId, moves: waiting.length });
  }

  /** Between rounds nothing is counted: neither rounds over a line nor forecasts. */
  async #round(isDue: boolean): Promise<Plan> {
    const snapshot = await (isDue ? this.#surveys.nextRound() : this.#surveys.snapshot());
    const plan = this.#wrap({ ...snapshot, automatic: this.#mode === 'automatic' });
    const news = this.#latest === null || plan.moves.length > 0 || gistOf(plan) !== gistOf(this.#latest);
    if (news) await this.#keep(plan);
    else this.#latest = plan;
    return plan;
  }

  #wrap(snapshot: Snapshot): Plan {
    const draft = makePlan(snapshot);
    const plan: Plan = {
      ...draft,
      planId: this.#parts.random.id().slice(0, shownIdLength),
      parentPlanId: this.#latest?.planId ?? null,
      createdAtMs: snapshot.takenAtMs,
      expiresAtMs: snapshot.takenAtMs + this.#settings.policy.planLifetimeMs,
    };
    const broken = checkPlan(snapshot, plan);
    if (broken.length > 0) {
      throw new PlimsollError('internal', `the planner broke its own rules, its plan is dropped: ${JSON.stringify(broken[0])}`);
    }
    return plan;
  }

  async #keep(plan: Plan): Promise<void> {
    await this.#parts.store.savePlan(plan);
    this.#latest = plan;
    this.#parts.log.info('plan', { planId: plan.planId, verdict: plan.verdict, moves: plan.moves.length, summary: plan.summary });
  }

  /** As the policy has it, within what the VM's class bears. */
  #methodFor({ cost }: Move): MethodWish {
    const { policy } = this.#settings;
    const sla = cost === undefined ? null : classOf(policy, cost.slaClass);
    return { method: 'auto', ...wishOfClass(sla?.downtimeMsMax ?? 0, policy) };
  }

  /** `limited` are the moves that only have to wait for another migration to end. */
  async #startMoves(
    moves: readonly Move[],
    wish: Wish,
  ): Promise<{ readonly started: readonly Migration[]; readonly limited: readonly Move[] }> {
    const started: Migration[] = [];
    const limited: Move[] = [];
    for (const move of moves) {
      const { vmId, vmName, fromHostId, toHostId } = move;
      try {
        const migration = await this.#executor.start({
          vmId,
          vmName,
          fromHostId,
          toHostId,
          ...planned,
          wish: this.#methodFor(move),
          ...wish,
        });
        this.#parts.log.info('move started', {
          migrationId: migration.request.migrationId,
          vm: vmName,
          fromHostId,
          toHostId,
          reason: move.reason,
        });
        started.push(migration);
      } catch (error) {
        const refusal = refusalOf(error);
        if (refusal.code === 'migration-limit') limited.push(move);
        this.#parts.log.info('move not started', { vm: vmName, ...refusal });
      }
    }
    return { started, limited };
  }
}

/** How planned moves are made: as the policy has it. */
const planned = { channelKind: 'ipsec', grantId: null } as const;

/** What a plan without moves says: its verdict, and which kinds of reasons it has for it. */
function gistOf(plan: Plan): string {
  return [plan.verdict, ...new Set(plan.skipped.map(({ code }) => code).toSorted())].join(' ');
}
