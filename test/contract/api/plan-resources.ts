/** Answers about the life of plans. */
import type { PlanService } from '#controller/plans.ts';
import { PlimsollError } from '#core/model/result.ts';
import type {
  AppliedResource,
  ExplainedMoveResource,
  PlanExplanationResource,
  PlanSummaryResource,
  RejectedResource,
  RollbackResource,
} from '#wire/plan-api.ts';
import { copying, nowMs, plan, vmDatabase, vmWeb } from './resources.ts';

const { planId, parentPlanId, createdAtMs, expiresAtMs, verdict, summary, scoreBefore, scoreAfter } = plan;
const head = { planId, parentPlanId, createdAtMs, expiresAtMs, verdict, summary, scoreBefore, scoreAfter };
const web = { vmId: vmWeb.vmId, vmName: 'web1', fromHostId: 'host-a', toHostId: 'host-b' };
const terms = [
  { name: 'points over the start line', weight: 4, before: 2.1, after: 0 },
  { name: 'spread of CPU', weight: 1, before: 4, after: 3.1 },
];

export const summaryOf: PlanSummaryResource = { ...head, state: 'open', moves: 1, started: 0, rejection: null };
export const rejectedSummary: PlanSummaryResource = {
  ...summaryOf,
  planId: 'p-1',
  parentPlanId: null,
  createdAtMs: nowMs - 600_000,
  state: 'rejected',
  rejection: { by: 'anna', reason: 'not by day', atMs: nowMs - 300_000, untilMs: nowMs + 3_300_000 },
};

const [move] = plan.moves;
if (move === undefined) throw new Error('the plan has no move');
export const explainedMove: ExplainedMoveResource = {
  ...move,
  aim: { cpu: true, memory: false, rule: false },
  terms,
  standing: { state: 'open', migrationId: null, code: null, reason: null, atMs: null },
};

export const explanation: PlanExplanationResource = {
  ...head,
  state: 'open',
  terms,
  rejection: null,
  moves: [explainedMove],
  skipped: [...plan.skipped],
  about: null,
};

export const applied: AppliedResource = {
  planId,
  dryRun: false,
  started: [copying],
  wouldStart: [],
  waiting: [{ ...web, vmId: vmDatabase.vmId, vmName: 'db', code: 'migration-limit', reason: 'host-a has 1 migration under way' }],
  notStarted: [],
};

export const rehearsed: AppliedResource = { ...applied, dryRun: true, started: [], wouldStart: [web] };

export const rejected: RejectedResource = {
  planId,
  by: 'alice',
  reason: 'not by day',
  atMs: nowMs,
  untilMs: nowMs + 3_600_000,
  moves: [{ vmId: vmDatabase.vmId, vmName: 'db', toHostId: 'host-b' }],
  running: [{ ...web, migrationId: 'm-1' }],
};

export const rollback: RollbackResource = {
  planId,
  dryRun: false,
  steps: [
    { ...web, fromHostId: 'host-b', toHostId: 'host-a', state: 'started', migrationId: 'm-7', code: null, reason: null },
    {
      ...web,
      vmId: vmDatabase.vmId,
      vmName: 'db',
      fromHostId: 'host-b',
      toHostId: 'host-a',
      state: 'left',
      migrationId: null,
      code: 'cordoned',
      reason: 'host-a is cordoned: it takes no new VMs',
    },
  ],
  nothingLeft: false,
};

type Answer = <Value>(value: Value, ...call: readonly unknown[]) => Promise<Value>;

export function fakePlans(answer: Answer): PlanService {
  const known = <Value>(id: string | null, value: Value): Value => {
    if (id !== null && id !== planId) throw new PlimsollError('plan-unknown', `there is no plan ${id}`);
    return value;
  };
  return {
    latest: () => answer(plan, 'latestPlan'),
    plan: async (id) => answer(known(id, plan), 'plan', id),
    make: () => answer(plan, 'makePlan'),
    list: (limit) => answer([summaryOf, rejectedSummary], 'plans', limit),
    explain: async (id, vm) => answer(known(id, explanation), 'explainPlan', id, vm),
    apply: async (id, only, askedBy) => answer(known(id, applied), 'applyPlan', id, only, askedBy),
    rehearse: async (id, only, askedBy) => answer(known(id, rehearsed), 'rehearsePlan', id, only, askedBy),
    reject: async (id, reason, askedBy) => answer(known(id, { ...rejected, reason }), 'rejectPlan', id, reason, askedBy),
    rollBack: async (id, dryRun, askedBy) => answer(known(id, { ...rollback, dryRun }), 'rollBackPlan', id, dryRun, askedBy),
  };
}
