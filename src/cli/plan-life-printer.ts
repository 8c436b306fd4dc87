/** The life of plans for people: lists, explanations, and what came of what was asked. */
import type {
  AppliedResource,
  ExplainedMoveResource,
  MoveStandingResource,
  PlanExplanationResource,
  PlanSummaryResource,
  RejectedResource,
  RollbackResource,
} from '#wire/plan-api.ts';
import { formatAge, formatDuration, formatPercent, formatScore, printable, unknown } from './format.ts';
import { type Column, table } from './table.ts';

type Term = PlanExplanationResource['terms'][number];
type Skip = PlanExplanationResource['skipped'][number];
type Held = AppliedResource['waiting'][number];
type Step = RollbackResource['steps'][number];

/** Newest plans, one line each. */
export function printPlans(plans: readonly PlanSummaryResource[], nowMs: number, width?: number): string {
  const columns: readonly Column<PlanSummaryResource>[] = [
    { title: 'PLAN', value: ({ planId }) => planId },
    { title: 'MADE', value: ({ createdAtMs }) => formatAge(createdAtMs, nowMs) },
    { title: 'VERDICT', value: ({ verdict }) => verdict },
    { title: 'MOVES', align: 'right', value: ({ moves }) => String(moves) },
    { title: 'STARTED', align: 'right', value: ({ started }) => String(started) },
    { title: 'STATE', value: ({ state }) => state },
    { title: 'SCORE', value: ({ scoreBefore, scoreAfter }) => `${formatScore(scoreBefore)} -> ${formatScore(scoreAfter)}`, rank: 1 },
    { title: 'REJECTED BY', value: ({ rejection }) => rejection?.by ?? unknown, rank: 2 },
  ];
  return table(columns, plans, 'No plans yet.', width);
}

/** A plan in full, or what it says of one VM. */
export function printExplanation(plan: PlanExplanationResource, nowMs: number): string {
  const { about } = plan;
  const answer = about?.answer ?? null;
  const moves = plan.moves.flatMap((move, index) => ['', ...moveLines(move, index, nowMs)]);
  return [
    ...heading(plan, nowMs),
    ...(about === null ? termLines(plan.terms, '  ') : []),
    ...moves,
    ...(answer === null ? [] : ['', printable(`${answer}.`)]),
    ...skipLines(plan.skipped),
    ...nextLines(plan),
  ].join('\n');
}

function heading(plan: PlanExplanationResource, nowMs: number): readonly string[] {
  const { planId, state, verdict, scoreBefore, scoreAfter, summary, createdAtMs, expiresAtMs, rejection } = plan;
  const expiry = expiresAtMs <= nowMs ? 'expired' : `expires in ${formatDuration(expiresAtMs - nowMs)}`;
  const why = rejection === null || rejection.reason === '' ? '' : ` (${rejection.reason})`;
  return [
    `Plan ${planId}: ${verdict}, ${state}, score ${formatScore(scoreBefore)} -> ${formatScore(scoreAfter)}`,
    `  ${printable(summary)}`,
    `  made ${formatAge(createdAtMs, nowMs)}, ${expiry}`,
    ...(rejection === null
      ? []
      : [
          printable(
            `  rejected by ${rejection.by} ${formatAge(rejection.atMs, nowMs)}${why}; its moves ${proposedAgain(rejection.untilMs, nowMs)}`,
          ),
        ]),
  ];
}

function proposedAgain(untilMs: number, nowMs: number): string {
  return untilMs <= nowMs ? 'may be proposed again' : `are not proposed again for ${formatDuration(untilMs - nowMs)}`;
}

function moveLines(move: ExplainedMoveResource, index: number, nowMs: number): readonly string[] {
  const { vmName, fromHostId, toHostId, reason, aim, standing, terms } = move;
  const round = move.round === undefined ? '' : `round ${move.round}, `;
  const score = `score ${formatScore(move.scoreBefore)} -> ${formatScore(move.scoreAfter)}`;
  const aims = aim === null ? [] : [aim.cpu && `CPU of ${fromHostId}`, aim.memory && `memory of ${fromHostId}`, aim.rule && 'a rule'];
  const named = aims.filter((one) => one !== false);
  return [
    `${String(index + 1).padStart(3)}. ${printable(vmName)}: ${fromHostId} -> ${toHostId}   ${round}${score}`,
    `     ${printable(reason)}`,
    ...(named.length === 0 ? [] : [`     for: ${named.join(', ')}`]),
    `     ${standingText(standing, nowMs)}`,
    ...[move.source, move.destination].map(
      ({ hostId, cpuBeforePercent, cpuAfterPercent, memoryBeforePercent, memoryAfterPercent }) =>
        `     ${hostId}: CPU ${formatPercent(cpuBeforePercent)} -> ${formatPercent(cpuAfterPercent)}, memory ${formatPercent(memoryBeforePercent)} -> ${formatPercent(memoryAfterPercent)}`,
    ),
    ...confidenceLines(move),
    ...alternativeLines(move),
    ...termLines(terms.filter(counts), '     '),
  ];
}

/** Of the whole plan each term is shown; of a move, those that are there. */
function counts({ before, after }: Term): boolean {
  return before !== 0 || after !== 0;
}

function confidenceLines({ confidencePercent = null }: ExplainedMoveResource): readonly string[] {
  return confidencePercent === null
    ? []
    : [`     what both hosts will do is known with a confidence of ${formatPercent(confidencePercent)}, by their forecasts so far`];
}

function alternativeLines({ alternatives = [] }: ExplainedMoveResource): readonly string[] {
  return alternatives.map(({ vmName, toHostId, code, reason }) =>
    printable(`     rather than ${vmName} -> ${toHostId}: ${code}: ${reason}`),
  );
}

const stateWords: Readonly<Record<MoveStandingResource['state'], string>> = {
  open: 'not applied yet',
  waiting: 'waits for others to end',
  moving: 'under way',
  moved: 'moved',
  failed: 'failed',
  'not-started': 'not started',
  rejected: 'rejected',
  expired: 'not applied before the plan expired',
};

/** `moved 3 min ago (migration m-1)`, `not started 5 s ago: cordoned: host-b takes no new VMs` */
function standingText({ state, migrationId, code, reason, atMs }: MoveStandingResource, nowMs: number): string {
  const when = atMs === null ? '' : ` ${formatAge(atMs, nowMs)}`;
  const which = migrationId === null ? '' : ` (migration ${migrationId})`;
  const why = code === null ? '' : `: ${code}: ${reason ?? ''}`;
  return printable(`now: ${stateWords[state]}${when}${which}${why}`);
}

/** What the score is made of, before and after. */
export function termLines(terms: readonly Term[], indent: string): readonly string[] {
  if (terms.length === 0) return [];
  const part = (term: Term, side: 'before' | 'after') => formatScore(term.weight * term[side]);
  const columns: readonly Column<Term>[] = [
    { title: 'OF THE SCORE', value: ({ name }) => name },
    { title: 'WEIGHT', align: 'right', value: ({ weight }) => String(weight) },
    { title: 'BEFORE', align: 'right', value: ({ before }) => formatScore(before) },
    { title: 'AFTER', align: 'right', value: ({ after }) => formatScore(after) },
    { title: 'ADDS', align: 'right', value: (term) => `${part(term, 'before')} -> ${part(term, 'after')}` },
  ];
  return table(columns, terms, '')
    .split('\n')
    .map((line) => `${indent}${line}`);
}

function skipLines(skipped: readonly Skip[]): readonly string[] {
  if (skipped.length === 0) return [];
  const columns: readonly Column<Skip>[] = [
    { title: 'HOST', value: ({ hostId }) => hostId },
    { title: 'VM', value: ({ vmName, vmId }) => vmName ?? vmId ?? '(whole host)' },
    { title: 'BECAUSE', value: ({ code }) => code },
    { title: 'REASON', value: ({ reason }) => reason },
  ];
  const rows = table(columns, skipped, '')
    .split('\n')
    .map((line) => `  ${line}`);
  return ['', 'Left alone:', ...rows];
}

function nextLines({ planId, state, moves, about }: PlanExplanationResource): readonly string[] {
  if (about !== null || moves.length === 0) return [];
  if (state === 'open' || state === 'superseded')
    return ['', `'plimsoll plan apply ${planId}' starts its moves, 'plimsoll plan reject ${planId}' says no.`];
  return moves.some(({ standing }) => standing.state === 'moved')
    ? ['', `'plimsoll plan rollback ${planId} --dry-run' shows what would be brought back.`]
    : [];
}

export function printApplied({ planId, dryRun, started, wouldStart, waiting, notStarted }: AppliedResource): string {
  const held = ({ vmName, fromHostId, toHostId, code, reason }: Held, words: string) =>
    `${vmName}: ${fromHostId} -> ${toHostId} ${words}: ${code}: ${reason}`;
  const none = started.length + wouldStart.length + waiting.length === 0;
  return [
    ...started.map(
      ({ request }) => `${request.vmName}: ${request.fromHostId} -> ${request.toHostId} has started: migration ${request.migrationId}`,
    ),
    ...wouldStart.map(({ vmName, fromHostId, toHostId }) => `${vmName}: ${fromHostId} -> ${toHostId} would start now`),
    ...waiting.map((one) => held(one, dryRun ? 'would wait' : 'waits')),
    ...notStarted.map((one) => held(one, dryRun ? 'would not be started' : 'was not started')),
    ...(none ? [dryRun ? 'Nothing would be started.' : 'Nothing was started.'] : []),
    dryRun ? `Do it with: plimsoll plan apply ${planId}` : `How it goes on: plimsoll plan explain ${planId}`,
  ]
    .map(printable)
    .join('\n');
}

export function printRejected({ planId, by, moves, running, untilMs }: RejectedResource, nowMs: number): string {
  const names = moves.map(({ vmName, toHostId }) => `${vmName} to ${toHostId}`).join(', ');
  const head = `Plan ${planId} is rejected by ${by}: not started, and ${proposedAgain(untilMs, nowMs).replace('are ', '')}: ${names}.`;
  const going =
    running.length === 0
      ? 'No migration of it is under way.'
      : `${running.length === 1 ? '1 migration of it goes on' : `${running.length} migrations of it go on`}; to end ${running.length === 1 ? 'it' : 'them'}:`;
  return [
    head,
    going,
    ...running.map(({ migrationId, vmName, toHostId }) => `  plimsoll migration abort ${migrationId}   (${vmName} to ${toHostId})`),
  ]
    .map(printable)
    .join('\n');
}

const stepWords: Readonly<Record<Step['state'], string>> = {
  'would-start': 'would be brought back',
  started: 'has started',
  waiting: 'waits for others to end',
  returning: 'is on its way',
  back: 'nothing to do',
  left: 'left where it is',
};

export function printRollback({ planId, dryRun, steps, nothingLeft }: RollbackResource, _nowMs: number, width?: number): string {
  const columns: readonly Column<Step>[] = [
    { title: 'VM', value: ({ vmName }) => vmName },
    { title: 'FROM', value: ({ fromHostId }) => fromHostId },
    { title: 'BACK TO', value: ({ toHostId }) => toHostId },
    { title: 'STATE', value: ({ state }) => stepWords[state] },
    { title: 'MIGRATION', value: ({ migrationId }) => migrationId ?? unknown, rank: 1 },
    { title: 'BECAUSE', value: ({ code, reason }) => (code === null ? unknown : `${code}: ${reason ?? ''}`) },
  ];
  const isAny = steps.some(({ state }) => state !== 'back' && state !== 'left');
  const end = nothingLeft
    ? `There is nothing left of plan ${planId} to bring back.`
    : !isAny
      ? 'Nothing is brought back now: see why above.'
      : dryRun
        ? `Do it with: plimsoll plan rollback ${planId}`
        : 'Follow it with: plimsoll migration list --open --watch';
  return [table(columns, steps, `Plan ${planId} has moved nothing.`, width), '', end].join('\n');
}
