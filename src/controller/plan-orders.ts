/** What people order of plans: to apply them, or single moves of them, and to reject them. */
import type { Migration } from '#core/model/migration.ts';
import type { Move, Plan } from '#core/model/plan.ts';
import type { StartedMove } from '#core/model/plan-course.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import { startableMoves } from '#core/planner/migration-limits.ts';
import { duration } from '#core/planner/words.ts';
import type { AppliedResource, RejectedResource } from '#wire/plan-api.ts';
import type { Audit } from './audit.ts';
import type { Executor } from './executor.ts';
import type { Held, MoveStarts, Order } from './move-starts.ts';
import type { ControllerParts } from './parts.ts';
import type { PlanCourses } from './plan-courses.ts';
import type { Planning } from './planning.ts';
import { type Queued, type Waiter, waitInTurn } from './wait-in-turn.ts';

export interface OrderRooms {
  readonly parts: ControllerParts;
  readonly planning: Planning;
  readonly starts: MoveStarts;
  readonly courses: PlanCourses;
  readonly executor: Executor;
  readonly audit: Audit;
  readonly policy: Policy;
  readonly signal: AbortSignal;
}

/** Of a dry run: what the moves before it would make it wait for. */
const afterOthers: Held = {
  code: 'migration-limit',
  reason: 'it would wait until moves before it have ended: no more migrations may run at once',
  passing: true,
};

export class PlanOrders {
  readonly #rooms: OrderRooms;
  /** Moves that are being started, or wait for others to end, by their plan. */
  readonly #claims = new Map<string, Set<VmId>>();

  constructor(rooms: OrderRooms) {
    this.#rooms = rooms;
  }

  /** VMs whose moves wait. */
  waiting(planId: string): ReadonlySet<VmId> {
    return this.#claims.get(planId) ?? new Set();
  }

  /** `only`: VMs by name or UUID; null for all moves that can still be applied. */
  async apply(planId: string, only: readonly string[] | null, askedBy: string): Promise<AppliedResource> {
    const { plan, open } = await this.#applicable(planId, only, (moves) => this.#claim(planId, moves));
    try {
      const names = open.map(({ vmName, fromHostId, toHostId }) => `${vmName}: ${fromHostId} -> ${toHostId}`);
      await this.#rooms.audit.write(askedBy, 'plan.apply', planId, names.join(', '));
      return await this.#startAll(plan, open, { askedBy, approvedBy: askedBy, cause: 'operator' });
    } catch (error) {
      this.#release(planId, open);
      throw error;
    }
  }

  /** What `apply` would do now. */
  async rehearse(planId: string, only: readonly string[] | null, askedBy: string): Promise<AppliedResource> {
    const { executor, starts, policy } = this.#rooms;
    const { plan, open } = await this.#applicable(planId, only);
    const order: Order = { askedBy, approvedBy: askedBy, cause: 'operator' };
    const judged: { readonly move: Move; readonly hold: Held | null }[] = [];
    for (const move of open) judged.push({ move, hold: await starts.judge(plan, move, order) });
    const free = judged.flatMap(({ move, hold }) => (hold === null ? [move] : []));
    const first = new Set(startableMoves(free, executor.inFlight(), policy));
    const held = judged.flatMap(({ move, hold }) => (first.has(move) ? [] : [{ move, hold: hold ?? afterOthers }]));
    const listed = (passing: boolean) => held.filter(({ hold }) => hold.passing === passing).map(({ move, hold }) => shown(move, hold));
    const wouldStart = [...first].map(({ vmId, vmName, fromHostId, toHostId }) => ({ vmId, vmName, fromHostId, toHostId }));
    return { planId, dryRun: true, started: [], wouldStart, waiting: listed(true), notStarted: listed(false) };
  }

  /** The moves that can still be applied. Throws why there are none. `take` has them before anybody else is asked for them. */
  async #applicable(
    planId: string,
    only: readonly string[] | null,
    take: (open: readonly Move[]) => void = () => undefined,
  ): Promise<{ readonly plan: Plan; readonly open: readonly Move[] }> {
    const { parts, planning, courses } = this.#rooms;
    if (planning.mode === 'observe')
      throw new PlimsollError('mode-forbids', "the mode is observe, nothing moves by plan: 'plimsoll mode approve' allows it");
    const plan = await planning.find(planId);
    if (plan.moves.length === 0) throw new PlimsollError('plan-empty', `plan ${planId} has no moves: there is nothing to apply`);
    const chosen = only === null ? plan.moves : chosenOf(plan, only);
    const { rejection } = await courses.of(planId);
    const nowMs = parts.clock.nowMs();
    if (rejection !== null) {
      const ago = duration(Math.max(0, nowMs - rejection.atMs));
      throw new PlimsollError('plan-rejected', `${rejection.by} rejected plan ${planId} ${ago} ago: 'plimsoll plan new' makes a new one`);
    }
    if (plan.expiresAtMs <= nowMs)
      throw new PlimsollError('plan-expired', `plan ${planId} has expired: 'plimsoll plan new' makes a new one`);
    const started = startedVms(await parts.store.startedMoves([planId]));
    const open = chosen.filter(({ vmId }) => !started.has(vmId) && !this.waiting(planId).has(vmId));
    mustBeWhole(plan, chosen, started);
    if (open.length > 0) {
      take(open);
      return { plan, open };
    }
    const what = only === null ? `every move of plan ${planId}` : `what is chosen of plan ${planId}`;
    throw new PlimsollError('plan-applied', `${what} was applied before: 'plimsoll plan explain ${planId}' shows how it stands`);
  }

  /** What was not started is not started any more, nor proposed again for a time. Running migrations go on. A second time it says the same. */
  reject(planId: string, reason: string, by: string): Promise<RejectedResource> {
    const { parts, planning, courses, starts, audit } = this.#rooms;
    return starts.inTurn(async () => {
      const plan = await planning.find(planId);
      const startedMoves = await parts.store.startedMoves([planId]);
      const known = (await courses.of(planId)).rejection;
      if (known !== null) return this.#rejected(plan, known, startedMoves);
      if (plan.moves.length === 0) throw new PlimsollError('plan-empty', `plan ${planId} has no moves: there is nothing to reject`);
      const started = startedVms(startedMoves);
      const moves = plan.moves.filter(({ vmId }) => !started.has(vmId)).map(({ vmId, vmName, toHostId }) => ({ vmId, vmName, toHostId }));
      if (moves.length === 0)
        throw new PlimsollError(
          'plan-applied',
          `every move of plan ${planId} was started: 'plimsoll migration abort' ends what is under way, 'plimsoll plan rollback ${planId}' brings back what was moved`,
        );
      const rejection = { by, reason, atMs: parts.clock.nowMs(), moves };
      await audit.write(by, 'plan.reject', planId, reason);
      await courses.reject(planId, rejection);
      return this.#rejected(plan, rejection, startedMoves);
    });
  }

  #rejected(plan: Plan, rejection: Parameters<PlanCourses['reject']>[1], started: readonly StartedMove[]): RejectedResource {
    const { courses, executor } = this.#rooms;
    const running = started.flatMap(({ migrationId }) => {
      const request = executor.current(migrationId)?.request;
      if (request === undefined) return [];
      const { vmId, vmName, fromHostId, toHostId } = request;
      return [{ vmId, vmName, fromHostId, toHostId, migrationId }];
    });
    const { by, reason, atMs, moves } = rejection;
    return { planId: plan.planId, by, reason, atMs, untilMs: courses.endsAtMs(rejection), moves: [...moves], running };
  }

  async #startAll(plan: Plan, moves: readonly Move[], order: Order): Promise<AppliedResource> {
    const started: Migration[] = [];
    const waiting: Queued<Move>[] = [];
    const notStarted: AppliedResource['notStarted'] = [];
    for (const move of moves) {
      const start = await this.#rooms.starts.start(plan, move, order);
      if (start.kind === 'started') started.push(start.migration);
      else if (start.hold.passing) waiting.push({ item: move, hold: start.hold });
      else notStarted.push(shown(move, start.hold));
      if (start.kind === 'started' || !start.hold.passing) this.#release(plan.planId, [move]);
    }
    if (waiting.length > 0) void this.#carryOut(plan, waiting, order);
    const listed = waiting.map(({ item, hold }) => shown(item, hold));
    return { planId: plan.planId, dryRun: false, started, wouldStart: [], waiting: listed, notStarted };
  }

  /** The moves that had to wait, in their order, as long as the plan is valid. */
  async #carryOut(plan: Plan, waiting: readonly Queued<Move>[], order: Order): Promise<void> {
    const { parts, executor, starts, signal, planning, courses } = this.#rooms;
    const { planId, expiresAtMs } = plan;
    const waiter: Waiter<Move> = {
      isAllowed: () => parts.clock.nowMs() < expiresAtMs && planning.mode !== 'observe' && !courses.isRejected(planId),
      start: async (move) => {
        const start = await starts.start(plan, move, order);
        if (start.kind === 'held' && start.hold.passing) return start.hold;
        this.#release(planId, [move]);
        return null;
      },
    };
    try {
      const left = await waitInTurn(waiting, waiter, { clock: parts.clock, executor, signal });
      // Whoever has rejected it was told what of it is not started.
      if (left > 0 && !signal.aborted && !courses.isRejected(planId))
        parts.log.warn('moves of an approved plan were not started', { planId, moves: left });
    } catch (error) {
      if (!signal.aborted) parts.log.error('an approved plan could not be carried out to its end', { planId, ...refusalOf(error) });
    } finally {
      this.#release(
        planId,
        waiting.map(({ item }) => item),
      );
    }
  }

  #claim(planId: string, moves: readonly Move[]): void {
    this.#claims.set(planId, new Set([...this.waiting(planId), ...moves.map(({ vmId }) => vmId)]));
  }

  #release(planId: string, moves: readonly Move[]): void {
    const claimed = this.#claims.get(planId);
    for (const { vmId } of moves) claimed?.delete(vmId);
    if (claimed?.size === 0) this.#claims.delete(planId);
  }
}

export function startedVms(started: readonly StartedMove[]): ReadonlySet<VmId> {
  return new Set(started.map(({ vmId }) => vmId));
}

/** Throws `vm-unknown` for what the plan does not move, and `vm-ambiguous` for a name that two of its VMs have. */
function chosenOf({ planId, moves }: Plan, only: readonly string[]): readonly Move[] {
  const chosen = new Set(
    only.map((reference) => {
      const found = moves.filter(({ vmId, vmName }) => vmId === reference || vmName === reference);
      const [move] = found;
      if (move === undefined) {
        const names = moves.map(({ vmName }) => vmName).join(', ');
        throw new PlimsollError('vm-unknown', `plan ${planId} does not move ${reference}: it moves ${names}`);
      }
      if (found.length > 1)
        throw new PlimsollError('vm-ambiguous', `${found.length} VMs of plan ${planId} are called ${reference}: give the UUID`);
      return move;
    }),
  );
  return moves.filter((move) => chosen.has(move));
}

/** VMs that belong together are moved together: throws `input-invalid` where a part of a group is chosen of which nothing was started. */
function mustBeWhole({ planId, moves }: Plan, chosen: readonly Move[], started: ReadonlySet<VmId>): void {
  for (const { vmName, together } of chosen) {
    const group = moves.filter(({ vmId }) => together?.vmIds.includes(vmId));
    const left = group.filter((move) => !chosen.includes(move));
    if (left.length === 0 || group.some(({ vmId }) => started.has(vmId))) continue;
    const names = left.map((move) => move.vmName).join(', ');
    throw new PlimsollError(
      'input-invalid',
      `plan ${planId} moves ${vmName} together with ${names}, because of rule ${together?.rules.join(', ')}: choose all of them, or none`,
    );
  }
}

function shown({ vmId, vmName, fromHostId, toHostId }: Move, { code, reason }: Held): AppliedResource['notStarted'][number] {
  return { vmId, vmName, fromHostId, toHostId, code, reason };
}
