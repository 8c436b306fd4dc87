/** A plan in full, as a REST resource: each move with its terms and what became of it, and what was left alone. */
import type { Migration } from '#core/model/migration.ts';
import type { Move, Plan, PlanAccount } from '#core/model/plan.ts';
import type { HeldMove, PlanCourse } from '#core/model/plan-course.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { PlanState } from '#core/planner/plan-state.ts';
import type { ExplainedMoveResource, MoveStandingResource, PlanExplanationResource } from '#wire/plan-api.ts';

export interface PlanFile {
  readonly plan: Plan;
  readonly state: PlanState;
  readonly course: PlanCourse;
  readonly rejection: PlanExplanationResource['rejection'];
  /** By VM. One that is not closed has neither given its channel back nor a receipt. */
  readonly migrations: ReadonlyMap<VmId, { readonly migration: Migration; readonly closed: boolean }>;
  readonly waiting: ReadonlySet<VmId>;
}

export function explanationOf(file: PlanFile, nowMs: number): PlanExplanationResource {
  const { plan, state, rejection } = file;
  const { moves, skipped, account, ...head } = plan;
  return {
    ...head,
    state,
    terms: termsBetween(account, 0, moves.length),
    rejection,
    moves: moves.map((move, index) => explainedMove(file, move, index, nowMs)),
    skipped: [...skipped],
    about: null,
  };
}

/** Only of one VM, by its name or UUID. `findVm` throws `vm-unknown` for what is no VM of the cluster either. */
export function aboutVm(
  explanation: PlanExplanationResource,
  reference: string,
  findVm: (reference: string) => SnapshotVm,
): PlanExplanationResource {
  const named = [
    ...explanation.moves.map(({ vmId, vmName }) => ({ vmId, vmName })),
    ...explanation.skipped.flatMap(({ vmId, vmName }) => (vmId === null ? [] : [{ vmId, vmName: vmName ?? vmId }])),
  ].filter(({ vmId, vmName }) => vmId === reference || vmName === reference);
  const ids = new Set(named.map(({ vmId }) => vmId));
  if (ids.size > 1)
    throw new PlimsollError('vm-ambiguous', `${ids.size} VMs of plan ${explanation.planId} are called ${reference}: give the UUID`);
  const [known] = named;
  if (known === undefined) return notLookedAt(explanation, findVm(reference));
  const moves = explanation.moves.filter(({ vmId }) => vmId === known.vmId);
  const skipped = explanation.skipped.filter(({ vmId }) => vmId === known.vmId);
  return { ...explanation, moves, skipped, about: { ...known, answer: null } };
}

function notLookedAt(explanation: PlanExplanationResource, { vmId, name, hostId }: SnapshotVm): PlanExplanationResource {
  const { planId, moves, skipped } = explanation;
  const ofHost = skipped.filter((skip) => skip.vmId === null && skip.hostId === hostId);
  const others = moves.filter(({ fromHostId }) => fromHostId === hostId).map(({ vmName }) => vmName);
  const why =
    ofHost.length > 0
      ? `it left all of ${hostId} alone, where ${name} is now`
      : others.length > 0
        ? `${hostId}, where it is now, was relieved enough by moving ${others.join(', ')}`
        : `${hostId}, where it is now, was not to be relieved, and no rule called for ${name} to be moved`;
  return {
    ...explanation,
    moves: [],
    skipped: ofHost,
    about: { vmId, vmName: name, answer: `plan ${planId} did not look at ${name}: ${why}` },
  };
}

function explainedMove(file: PlanFile, move: Move, index: number, nowMs: number): ExplainedMoveResource {
  const { account } = file.plan;
  return {
    ...move,
    aim: account?.aims[index] ?? null,
    terms: termsBetween(account, index, index + 1),
    standing: standingOf(file, move, nowMs),
  };
}

function termsBetween(account: PlanAccount | undefined, from: number, to: number): PlanExplanationResource['terms'] {
  return (account?.terms ?? []).flatMap(({ name, weight, values }) => {
    const [before, after] = [values[from], values[to]];
    return before === undefined || after === undefined ? [] : [{ name, weight, before, after }];
  });
}

function standingOf(file: PlanFile, { vmId }: Move, nowMs: number): MoveStandingResource {
  const { plan, course, migrations, waiting } = file;
  const made = migrations.get(vmId);
  if (made !== undefined) return migrationStanding(made.migration, made.closed);
  const held = course.held.find((one) => one.vmId === vmId);
  if (course.rejection !== null) return { ...heldStanding(undefined), state: 'rejected', atMs: course.rejection.atMs };
  if (waiting.has(vmId)) return { ...heldStanding(held), state: 'waiting' };
  if (held !== undefined) return { ...heldStanding(held), state: 'not-started' };
  return { ...heldStanding(undefined), state: plan.expiresAtMs <= nowMs ? 'expired' : 'open' };
}

function heldStanding(held: HeldMove | undefined): Omit<MoveStandingResource, 'state'> {
  return { migrationId: null, code: held?.code ?? null, reason: held?.reason ?? null, atMs: held?.atMs ?? null };
}

function migrationStanding({ request, phase, failure, endedAtMs }: Migration, closed: boolean): MoveStandingResource {
  const state = !closed ? 'moving' : phase === 'done' ? 'moved' : 'failed';
  return {
    state,
    migrationId: request.migrationId,
    code: failure?.code ?? null,
    reason: failure?.message ?? null,
    atMs: endedAtMs ?? request.askedAtMs,
  };
}
