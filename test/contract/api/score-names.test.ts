/** One table of the score: the docs, the API and the command line have its names, its weights and its order. */
import { planOffline } from '#cli/offline-plan.ts';
import { printOfflinePlan } from '#cli/offline-plan-printer.ts';
import { printExplanation } from '#cli/plan-life-printer.ts';
import { explanationOf } from '#controller/plan-explanation.ts';
import type { Plan } from '#core/model/plan.ts';
import { accountOf } from '#core/planner/account.ts';
import { exampleNowMs, exampleSnapshot } from '#core/planner/examples.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { scoreTable } from '#core/planner/score.ts';
import { PlanExplanationSchema } from '#wire/plan-api.ts';
import { snapshotFileOf } from '#wire/snapshot-file.ts';
import { violations } from '#wire/validate.ts';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const root = join(dirname(createRequire(import.meta.url).resolve('#cli/main.ts')), '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'score-'));
afterAll(() => rmSync(folder, { recursive: true }));

const vmId = (number: number) => `00000000-0000-4000-8000-00000000000${number}`;
const hosts = [
  { id: 'host1', netMib: 90, vms: [1, 2, 3].map((number) => ({ id: vmId(number), cores: 2.4, netMib: 30 })) },
  { id: 'host2', netMib: 0, vms: [] },
];
const snapshot = exampleSnapshot(hosts, { policy: { headroom: { hostFailures: 1 } } });

function planOf(): Plan {
  const draft = makePlan(snapshot);
  const life = { planId: 'p-1', parentPlanId: null, createdAtMs: exampleNowMs, expiresAtMs: exampleNowMs + 60_000 };
  return { ...draft, ...life, account: accountOf(snapshot, draft.moves) };
}

const explanation = explanationOf(
  {
    plan: planOf(),
    state: 'open',
    course: { planId: 'p-1', held: [], rejection: null },
    rejection: null,
    migrations: new Map(),
    waiting: new Set(),
  },
  exampleNowMs,
);
const table = scoreTable.map(({ name, weight }) => ({ name, weight }));

/** Lines of a printed table that begin with a name of the score, as they stand. */
function printed(text: string): readonly { readonly name: string; readonly weight: number }[] {
  const after = text.slice(text.indexOf('OF THE SCORE'));
  return after.split('\n').flatMap((line) => {
    const [, name, weight] = /^\s*([a-zA-Z ]+?)\s{2,}([\d.]+)\s/.exec(line) ?? [];
    return name === undefined || weight === undefined ? [] : [{ name, weight: Number(weight) }];
  });
}

describe('the table of the score', () => {
  test('is in docs/balancing.md', () => {
    const page = readFileSync(join(root, 'docs', 'balancing.md'), 'utf8');
    const section = page.split(/^## /m).find((part) => part.startsWith('The score\n')) ?? '';
    const rows = [...section.matchAll(/^\| `([^`]+)` \| ([\d.]+) \|/gm)].map(([, name, weight]) => ({ name, weight: Number(weight) }));
    expect(rows).toEqual(table);
  });

  test('is what the API gives of a plan and of each move, and its schema names', () => {
    expect(explanation.moves.length).toBeGreaterThan(0);
    for (const { terms } of [explanation, ...explanation.moves]) expect(terms.map(({ name, weight }) => ({ name, weight }))).toEqual(table);
    expect(violations(PlanExplanationSchema, explanation)).toEqual([]);
    const described = JSON.stringify(PlanExplanationSchema.properties.terms);
    for (const { name } of table) expect(described).toContain(name);
  });

  test('is what plan explain prints of the plan; of a move only what there is', () => {
    const [ofPlan, ofMove = ''] = printExplanation(explanation, exampleNowMs).split(/^ {2}1\. /m);
    expect(printed(ofPlan ?? '')).toEqual(table);
    const names = printed(ofMove).map(({ name }) => name);
    expect(names).toContain('spread of network');
    expect(names).not.toContain('rule violations');
  });

  test('is what plan -t FILE gives and prints', async () => {
    const file = join(folder, 'cluster.json');
    writeFileSync(file, JSON.stringify(snapshotFileOf(snapshot, null)));
    const plan = await planOffline({ textData: file, objective: 'plimsoll', force: false, output: 'table' });
    expect(plan.terms.map(({ name, weight }) => ({ name, weight }))).toEqual(table);
    const sum = (side: 'before' | 'after') => plan.terms.reduce((total, term) => total + term.weight * term[side], 0);
    expect(sum('before')).toBeCloseTo(plan.scoreBefore, 6);
    expect(sum('after')).toBeCloseTo(plan.scoreAfter, 6);
    expect(printed(printOfflinePlan(plan))).toEqual(table);
  });
});
