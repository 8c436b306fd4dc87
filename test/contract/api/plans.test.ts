import { type Api, createApi } from '#controller/api/api.ts';
import { printApplied, printExplanation, printPlans, printRejected, printRollback } from '#cli/plan-life-printer.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { PlanExplanationResource } from '#wire/plan-api.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFakeService, type FakeService } from './fake-service.ts';
import {
  applied,
  explainedMove,
  explanation,
  fakePlans,
  rehearsed,
  rejected,
  rejectedSummary,
  rollback,
  summaryOf,
} from './plan-resources.ts';
import { copying, done, nowMs, plan, status, vmWeb } from './resources.ts';
import { servedCli } from './served.ts';

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const plain = fakePlans((value) => Promise.resolve(value));

describe('the API of the life of plans', () => {
  let service: FakeService;
  let api: Api;
  beforeEach(async () => {
    service = createFakeService();
    api = await createApi(service, { log, version: '0.1.0' });
  });
  afterEach(() => api.close());

  async function ask(method: 'GET' | 'POST', url: string, payload?: unknown) {
    const headers = { 'x-plimsoll-user': 'bob', ...(payload === undefined ? {} : { 'content-type': 'application/json' }) };
    const answer = await api.server.inject({
      method,
      url,
      headers,
      ...(payload === undefined ? {} : { payload: JSON.stringify(payload) }),
    });
    return { status: answer.statusCode, body: answer.json() as unknown };
  }

  test.each<readonly ['GET' | 'POST', string, unknown, number, unknown, readonly unknown[]]>([
    ['GET', '/v1/plans', undefined, 200, [summaryOf, rejectedSummary], ['plans', 20]],
    ['GET', '/v1/plans?limit=3', undefined, 200, [summaryOf, rejectedSummary], ['plans', 3]],
    ['GET', '/v1/plan/explanation', undefined, 200, explanation, ['explainPlan', null, null]],
    ['GET', '/v1/plan/explanation?vm=web1', undefined, 200, explanation, ['explainPlan', null, 'web1']],
    ['GET', '/v1/plans/p-2/explanation?vm=db', undefined, 200, explanation, ['explainPlan', 'p-2', 'db']],
    ['POST', '/v1/plans/p-2/apply', undefined, 202, applied, ['applyPlan', 'p-2', null, 'bob']],
    ['POST', '/v1/plans/p-2/apply', {}, 202, applied, ['applyPlan', 'p-2', null, 'bob']],
    ['POST', '/v1/plans/p-2/apply', { only: ['web1', vmWeb.vmId] }, 202, applied, ['applyPlan', 'p-2', ['web1', vmWeb.vmId], 'bob']],
    ['POST', '/v1/plans/p-2/apply', { dryRun: true }, 202, rehearsed, ['rehearsePlan', 'p-2', null, 'bob']],
    ['POST', '/v1/plans/p-2/reject', { reason: 'no' }, 200, { ...rejected, reason: 'no' }, ['rejectPlan', 'p-2', 'no', 'bob']],
    ['POST', '/v1/plans/p-2/rollback', {}, 202, rollback, ['rollBackPlan', 'p-2', false, 'bob']],
    ['POST', '/v1/plans/p-2/rollback', { dryRun: true }, 202, { ...rollback, dryRun: true }, ['rollBackPlan', 'p-2', true, 'bob']],
  ])('%s %s %j', async (method, url, payload, code, body, asked) => {
    expect(await ask(method, url, payload)).toEqual({ status: code, body });
    expect(service.asked).toEqual([asked]);
  });

  test.each<readonly ['GET' | 'POST', string, unknown]>([
    ['GET', '/v1/plans?limit=0', undefined],
    ['GET', '/v1/plans?limit=1001', undefined],
    ['GET', '/v1/plan/explanation?vm=', undefined],
    ['POST', '/v1/plans/p-2/apply', { only: [] }],
    ['POST', '/v1/plans/p-2/apply', { only: 'web1' }],
    ['POST', '/v1/plans/p-2/reject', {}],
    ['POST', '/v1/plans/p-2/reject', { reason: 'x'.repeat(2000) }],
    ['POST', '/v1/plans/p-2/rollback', { dryRun: 'yes' }],
  ])('%s %s %j reaches nobody', async (method, url, payload) => {
    expect((await ask(method, url, payload)).status).toBe(400);
    expect(service.asked).toEqual([]);
  });

  test.each<readonly [string, number]>([
    ['plan-rejected', 409],
    ['plan-applied', 409],
    ['plan-empty', 409],
    ['plan-expired', 410],
  ])('%s is answered as %i', async (code, expected) => {
    const refuse = () => Promise.reject(new PlimsollError(code as 'plan-rejected', 'the sentence'));
    const refusing = await createApi(createFakeService({ plans: { ...plain, apply: refuse } }), { log, version: '0.1.0' });
    const answer = await refusing.server.inject({ method: 'POST', url: '/v1/plans/p-2/apply' });
    expect([answer.statusCode, answer.json()]).toEqual([expected, { code, message: 'the sentence' }]);
    await refusing.close();
  });
});

describe('the commands', () => {
  const { serve, cli } = servedCli();

  test.each([
    ['plan list', 'rejected  12.40 -> 3.10  anna'],
    ['plan explain', 'points over the start line'],
    ['plan explain p-2 web1', 'now: not applied yet'],
    ['plan reject p-2 --reason no', 'plimsoll migration abort m-1'],
    ['plan apply p-2 --only db', 'db: host-a -> host-b waits: migration-limit'],
    ['plan apply p-2 --dry-run', 'web1: host-a -> host-b would start now\ndb: host-a -> host-b would wait: migration-limit'],
    ['balance mode automatic', 'automatic: plans and moves'],
    ['balance mode', 'observe: plans, moves nothing'],
  ])('plimsoll %s', async (line, expected) => {
    await serve();
    const run = await cli(line);
    expect(run).toMatchObject({ code: 0, err: '' });
    expect(run.out).toContain(expected);
  });

  test('what was asked reaches the controller', async () => {
    const service = await serve();
    await cli('plan list --limit 3');
    await cli('plan explain newest web1');
    await cli('plan explain p-2');
    await cli('plan apply p-2 --only web1 --only db');
    await cli('plan reject p-2');
    await cli('plan rollback p-2 -n');
    expect(service.asked).toEqual([
      ['plans', 3],
      ['explainPlan', null, 'web1'],
      ['explainPlan', 'p-2', null],
      ['applyPlan', 'p-2', ['web1', 'db'], 'alice'],
      ['rejectPlan', 'p-2', '', 'alice'],
      ['rollBackPlan', 'p-2', true, 'alice'],
    ]);
  });

  test('json is the REST resource itself', async () => {
    await serve();
    expect(JSON.parse((await cli('plan list -o json')).out)).toEqual([summaryOf, rejectedSummary]);
    expect(JSON.parse((await cli('plan explain -o json')).out)).toEqual(explanation);
    expect(JSON.parse((await cli('plan rollback p-2 -o json')).out)).toEqual(rollback);
  });

  test('a rollback that leaves a VM where it is fails', async () => {
    await serve();
    expect(await cli('plan rollback p-2')).toMatchObject({
      code: 1,
      err: '',
      out: expect.stringContaining('cordoned: host-a is cordoned'),
    });
  });

  test('an apply that does not start a move fails', async () => {
    const held = { ...applied, started: [], notStarted: applied.waiting, waiting: [] };
    await serve({ plans: { ...plain, apply: () => Promise.resolve(held) } });
    const run = await cli('plan apply p-2');
    expect(run).toMatchObject({ code: 1, out: expect.stringContaining('db: host-a -> host-b was not started') });
    expect(run.out).toContain('Nothing was started.');
  });
});

const moving: PlanExplanationResource = {
  ...explanation,
  moves: [{ ...explainedMove, standing: { ...explainedMove.standing, state: 'moving', migrationId: 'm-1' } }],
};
const moved: PlanExplanationResource = {
  ...explanation,
  moves: [{ ...explainedMove, standing: { ...explainedMove.standing, state: 'moved', migrationId: 'm-1' } }],
};
const failed: PlanExplanationResource = {
  ...explanation,
  moves: [
    {
      ...explainedMove,
      standing: { ...explainedMove.standing, state: 'not-started', code: 'cordoned', reason: 'host-b is closed' },
    },
  ],
};

describe('balance now', () => {
  const { serve, cli } = servedCli();
  const inMode = (mode: 'approve' | 'automatic' | 'observe') => () => Promise.resolve({ ...status, mode });
  /** Explanations in turn, the last one again and again. */
  const explaining = (...seen: readonly PlanExplanationResource[]) => {
    let looks = 0;
    return () => {
      looks += 1;
      return Promise.resolve(seen[Math.min(looks, seen.length) - 1] ?? moved);
    };
  };

  test('in automatic plans, starts the moves and follows them to their end', async () => {
    const asked: unknown[] = [];
    const apply: typeof plain.apply = (planId, only, by) => {
      asked.push([planId, only, by]);
      return Promise.resolve({ ...applied, waiting: [] });
    };
    await serve({ status: inMode('automatic'), plans: { ...plain, apply, explain: explaining(moving, moved) } });
    const run = await cli('balance now');
    expect(asked).toEqual([['p-2', null, 'alice']]);
    expect(run.code).toBe(0);
    expect(run.out).toContain('1. web1: host-a -> host-b');
    expect(run.out).toContain('Plan p-2: 1 of 1 moved.');
    expect(run.err).toContain('1 of 1 move under way or waiting');
    expect(run.err).toContain(`runs on ${done.request.toHostId}`);
  });

  test('in approve asks first, where somebody can be asked, or takes --yes', async () => {
    const service = await serve({ status: inMode('approve') });
    expect(await cli('balance now')).toMatchObject({ code: 2, err: expect.stringContaining('add --yes') });
    expect(service.asked).toEqual([['makePlan']]);
  });

  test('with --yes it goes on, and a move that was not started makes it fail', async () => {
    await serve({ status: inMode('approve'), plans: { ...plain, explain: explaining(failed) } });
    const run = await cli('balance now --yes');
    expect(run).toMatchObject({ code: 1, err: expect.stringContaining('web1 was not started: cordoned: host-b is closed') });
    expect(run.out).toContain('0 of 1 moved');
  });

  test('in observe shows the plan, moves nothing, and says how to change the mode', async () => {
    const service = await serve({ status: inMode('observe') });
    const run = await cli('balance now --yes');
    expect(run).toMatchObject({ code: 1, err: expect.stringContaining('mode-forbids: the mode is observe') });
    expect(run.err).toContain('plimsoll balance mode approve');
    expect(service.asked).toEqual([['makePlan']]);
  });

  test('without moves there is nothing to do, in any mode', async () => {
    await serve({
      status: inMode('observe'),
      plans: { ...plain, make: () => Promise.resolve({ ...plan, verdict: 'balanced', moves: [] }) },
    });
    expect(await cli('balance now')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('balanced, 0 moves') });
  });

  test('as JSON it ends with the plan in full', async () => {
    await serve({ status: inMode('automatic'), plans: { ...plain, explain: explaining(moving, moved) } });
    const run = await cli('balance now -o json');
    expect(JSON.parse(run.out)).toEqual(moved);
  });

  test('Ctrl-C leaves off watching, and says that the moves go on', async () => {
    await serve({ status: inMode('automatic'), plans: { ...plain, explain: explaining(moving) } });
    const run = await cli('balance now', {
      onOutput: (output, signal) => {
        if (output.includes('under way or waiting')) signal('SIGINT');
      },
    });
    expect([run.code, run.err]).toEqual([130, expect.stringContaining('no longer watching; the moves go on')]);
    expect(run.err).toContain('plimsoll plan reject p-2');
  });
});

describe('plan apply --watch', () => {
  const { serve, cli } = servedCli();

  test('follows the moves until none is under way', async () => {
    let looks = 0;
    const explain = () => {
      looks += 1;
      return Promise.resolve(looks < 3 ? moving : moved);
    };
    await serve({ plans: { ...plain, explain } });
    const run = await cli('plan apply p-2 --watch');
    expect([run.code, run.out]).toEqual([0, 'Plan p-2: 1 of 1 moved.\n']);
  });
});

describe('how it is printed', () => {
  test('a list has one line for each plan', () => {
    expect(printPlans([summaryOf, rejectedSummary], nowMs).split('\n')).toEqual([
      'PLAN  MADE        VERDICT  MOVES  STARTED  STATE     SCORE          REJECTED BY',
      'p-2   12.0 s ago  moves        1        0  open      12.40 -> 3.10  -',
      'p-1   10 min ago  moves        1        0  rejected  12.40 -> 3.10  anna',
    ]);
    expect(printPlans([], nowMs)).toBe('No plans yet.');
  });

  test('an explanation has the whole score, each move with its own, and what was left alone', () => {
    const text = printExplanation(explanation, nowMs);
    expect(text.split('\n').slice(0, 6)).toEqual([
      'Plan p-2: moves, open, score 12.40 -> 3.10',
      '  host-a is over its CPU line; one move brings it below.',
      '  made 12.0 s ago, expires in 9 min 48 s',
      '  OF THE SCORE                WEIGHT  BEFORE  AFTER          ADDS',
      '  points over the start line       4    2.10   0.00  8.40 -> 0.00',
      '  spread of CPU                    1    4.00   3.10  4.00 -> 3.10',
    ]);
    expect(text).toContain('     for: CPU of host-a\n     now: not applied yet\n     host-a: CPU 95 % -> 33 %, memory 38 % -> 25 %');
    expect(text).toContain('cool-down');
    expect(text).toContain("'plimsoll plan reject p-2' says no.");
  });

  test('of a rejected plan it says who, when and why; of a VM that was not looked at, why not', () => {
    const { rejection } = rejectedSummary;
    expect(printExplanation({ ...explanation, state: 'rejected', rejection }, nowMs)).toContain(
      '  rejected by anna 5 min ago (not by day); its moves are not proposed again for 55 min',
    );
    const about = { vmId: vmWeb.vmId, vmName: 'web1', answer: 'plan p-2 did not look at web1: host-c was not to be relieved' };
    const text = printExplanation({ ...explanation, moves: [], skipped: [], about }, nowMs);
    expect(text).toContain('\nplan p-2 did not look at web1: host-c was not to be relieved.');
    expect(text).not.toContain('OF THE SCORE');
    expect(printExplanation(failed, nowMs)).toContain('now: not started: cordoned: host-b is closed');
  });

  test('what came of an order is said for each VM, and how it goes on', () => {
    const { vmName, fromHostId, toHostId } = copying.request;
    expect(printApplied(applied).split('\n')).toEqual([
      `${vmName}: ${fromHostId} -> ${toHostId} has started: migration m-1`,
      'db: host-a -> host-b waits: migration-limit: host-a has 1 migration under way',
      'How it goes on: plimsoll plan explain p-2',
    ]);
    expect(printRejected(rejected, nowMs).split('\n')).toEqual([
      'Plan p-2 is rejected by alice: not started, and not proposed again for 1 h: db to host-b.',
      '1 migration of it goes on; to end it:',
      '  plimsoll migration abort m-1   (web1 to host-b)',
    ]);
    expect(printRejected({ ...rejected, running: [] }, nowMs)).toContain('No migration of it is under way.');
    expect(printRollback(rollback, nowMs)).toContain('plimsoll migration list --open --watch');
    expect(printRollback({ ...rollback, steps: rollback.steps.slice(1) }, nowMs)).toContain('Nothing is brought back now: see why above.');
    expect(printRollback({ ...rollback, dryRun: true }, nowMs)).toContain('Do it with: plimsoll plan rollback p-2');
    expect(printRollback({ ...rollback, steps: [], nothingLeft: true }, nowMs)).toBe(
      'Plan p-2 has moved nothing.\n\nThere is nothing left of plan p-2 to bring back.',
    );
  });

  test('names from elsewhere do not speak to the terminal', () => {
    const evil = { ...explainedMove, vmName: 'web\u001b[2J' };
    expect(printExplanation({ ...explanation, moves: [evil] }, nowMs)).not.toContain('\u001b');
    expect(printApplied({ ...applied, waiting: applied.waiting.map((one) => ({ ...one, vmName: 'web\u001b[2J' })) })).not.toContain(
      '\u001b',
    );
  });
});
