/** Brings back what a plan has moved: the newest move first, by ordinary migrations in the name of the person who asks. */
import { firstRefusal } from '#core/checks/preflight.ts';
import { outcomeOf } from '#core/migration/step.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import { refusalOf } from '#core/model/result.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { backwards, judgeReturn, type MadeMove } from '#core/planner/rollback.ts';
import type { RollbackResource } from '#wire/plan-api.ts';
import type { Audit } from './audit.ts';
import type { Executor, MigrationWish } from './executor.ts';
import type { Held } from './move-starts.ts';
import type { ControllerParts } from './parts.ts';
import type { Planning } from './planning.ts';
import type { Preflight } from './preflight.ts';
import type { Surveys } from './surveys.ts';
import { type Queued, waitInTurn } from './wait-in-turn.ts';

type Step = RollbackResource['steps'][number];

export interface RollbackRooms {
  readonly parts: ControllerParts;
  readonly planning: Planning;
  readonly executor: Executor;
  readonly surveys: Surveys;
  readonly preflight: Preflight;
  readonly audit: Audit;
  readonly signal: AbortSignal;
}

/** VMs whose moves the plan has still to make. */
type Pending = (planId: string) => ReadonlySet<VmId>;

export class PlanRollback {
  readonly #rooms: RollbackRooms;
  readonly #pending: Pending;
  /** Migrations whose VMs wait to be brought back. */
  readonly #waiting = new Map<string, Held>();

  constructor(rooms: RollbackRooms, pending: Pending) {
    this.#rooms = rooms;
    this.#pending = pending;
  }

  /** Throws `plan-unknown`. Asked again, it goes on with what is left. */
  async rollBack(planId: string, dryRun: boolean, by: string): Promise<RollbackResource> {
    const plan = await this.#rooms.planning.find(planId);
    const coming = this.#coming(plan);
    const made = (await this.#made(planId)).toReversed();
    if (dryRun) return resource(planId, true, [...coming, ...(await this.#foresee(made))]);
    const steps: Step[] = [];
    const queue: Queued<MadeMove>[] = [];
    let audited = false;
    for (const move of made) {
      const judged = this.#judge(move);
      if (judged.state === 'would-start' && !audited) {
        await this.#rooms.audit.write(by, 'plan.rollback', planId);
        audited = true;
      }
      const step = judged.state === 'would-start' ? await this.#start(move, by) : judged;
      if (step.state === 'waiting' && judged.state === 'would-start') {
        const hold = { code: step.code ?? 'migration-limit', reason: step.reason ?? '', passing: true };
        this.#waiting.set(move.migrationId, hold);
        queue.push({ item: move, hold });
      }
      steps.push(step);
    }
    if (queue.length > 0) void this.#carryOut(planId, queue, by);
    return resource(planId, false, [...coming, ...steps]);
  }

  /** Moves that may still be made: whoever brings back the others would not want them. */
  #coming({ planId, moves }: Plan): readonly Step[] {
    const pending = this.#pending(planId);
    const reason = `it has not started and waits for others: 'plimsoll plan reject ${planId}' cancels it`;
    return moves
      .filter(({ vmId }) => pending.has(vmId))
      .toReversed()
      .map((move) => ({ ...backwards(move), state: 'left', migrationId: null, code: 'not-started', reason }));
  }

  /** In the order of their start. */
  async #made(planId: string): Promise<readonly MadeMove[]> {
    const { parts, executor } = this.#rooms;
    const started = await parts.store.startedMoves([planId]);
    const made: MadeMove[] = [];
    for (const { migrationId } of started) {
      const running = executor.current(migrationId);
      const migration = running ?? (await parts.store.migration(migrationId));
      if (migration === null) continue;
      const { vmId, vmName, fromHostId, toHostId } = migration.request;
      made.push({ migrationId, vmId, vmName, fromHostId, toHostId, outcome: running === undefined ? outcomeOf(migration) : null });
    }
    return made;
  }

  /** As if those before it had been started. */
  async #foresee(made: readonly MadeMove[]): Promise<readonly Step[]> {
    let snapshot = this.#rooms.surveys.present();
    const steps: Step[] = [];
    for (const move of made) {
      const step = this.#judge(move, snapshot);
      steps.push(step.state === 'would-start' ? await this.#inspected(step) : step);
      if (steps.at(-1)?.state === 'would-start') snapshot = { ...snapshot, inFlight: [...snapshot.inFlight, backwards(move)] };
    }
    return steps;
  }

  #judge(made: MadeMove, snapshot: Snapshot = this.#rooms.surveys.present()): Step {
    const waits = this.#waiting.get(made.migrationId);
    if (waits !== undefined) return stepOf(made, 'waiting', waits);
    const judged = judgeReturn(snapshot, made);
    if (judged.kind === 'left') return stepOf(made, 'left', judged);
    const migrationId = judged.kind === 'returning' ? this.#rooms.executor.migrationOf(made.vmId) : null;
    return { ...stepOf(made, judged.kind === 'return' ? 'would-start' : judged.kind, null), migrationId };
  }

  /** With the checks that a migration begins with. */
  async #inspected(step: Step): Promise<Step> {
    const { parts, preflight } = this.#rooms;
    const request: MigrationRequest = { ...wishOf(step, 'dry run'), migrationId: 'dry-run', vmEpoch: 0, askedAtMs: parts.clock.nowMs() };
    try {
      const { row, blind } = await preflight.inspect(request);
      const refusal = firstRefusal(row) ?? blind;
      return refusal === null ? step : { ...step, state: 'left', code: refusal.code, reason: refusal.message };
    } catch (error) {
      const { code, message } = refusalOf(error);
      return { ...step, state: 'left', code, reason: message };
    }
  }

  async #start(made: MadeMove, by: string): Promise<Step> {
    const { executor, parts } = this.#rooms;
    const step = stepOf(made, 'started', null);
    try {
      const { request } = await executor.start(wishOf(step, by));
      const { migrationId, vmName, fromHostId, toHostId } = request;
      parts.log.info('a move is taken back', { migrationId, vm: vmName, fromHostId, toHostId, askedBy: by });
      return { ...step, migrationId };
    } catch (error) {
      const { code, message } = refusalOf(error);
      return { ...step, state: code === 'migration-limit' ? 'waiting' : 'left', code, reason: message };
    }
  }

  /** For as long as a plan is valid: what a person wants now need not be what is wanted tomorrow. */
  async #carryOut(planId: string, queue: readonly Queued<MadeMove>[], by: string): Promise<void> {
    const { parts, executor, planning, signal } = this.#rooms;
    const untilMs = parts.clock.monotonicMs() + planning.planLifetimeMs;
    const start = async (move: MadeMove): Promise<Held | null> => {
      this.#waiting.delete(move.migrationId);
      const judged = this.#judge(move);
      const step = judged.state === 'would-start' ? await this.#start(move, by) : judged;
      if (step.state !== 'waiting') {
        if (step.state === 'left')
          parts.log.info('a move is not taken back', { planId, vm: step.vmName, code: step.code, message: step.reason });
        return null;
      }
      const hold = { code: step.code ?? 'migration-limit', reason: step.reason ?? '', passing: true };
      this.#waiting.set(move.migrationId, hold);
      return hold;
    };
    const isAllowed = () => parts.clock.monotonicMs() < untilMs;
    try {
      const left = await waitInTurn(queue, { isAllowed, start }, { clock: parts.clock, executor, signal });
      if (left > 0 && !signal.aborted) parts.log.warn('moves of a plan were not taken back in time', { planId, moves: left });
    } catch (error) {
      if (!signal.aborted) parts.log.error('a plan could not be rolled back to its end', { planId, ...refusalOf(error) });
    } finally {
      for (const { item } of queue) this.#waiting.delete(item.migrationId);
    }
  }
}

function stepOf(made: MadeMove, state: Step['state'], why: { readonly code: string; readonly reason: string } | null): Step {
  return { ...backwards(made), state, migrationId: null, code: why?.code ?? null, reason: why?.reason ?? null };
}

function wishOf({ vmId, vmName, fromHostId, toHostId }: Step, askedBy: string): MigrationWish {
  const plain = { approvedBy: null, cause: 'operator', channelKind: 'ipsec', grantId: null, planId: null } as const;
  return { vmId, vmName, fromHostId, toHostId, askedBy, wish: { method: 'auto' }, ...plain };
}

function resource(planId: string, dryRun: boolean, steps: readonly Step[]): RollbackResource {
  return { planId, dryRun, steps: [...steps], nothingLeft: steps.every(({ state }) => state === 'back') };
}
