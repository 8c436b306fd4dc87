/**
 * What `npm test` runs: the static checks, then every vitest project this machine can run; with names as
 * arguments, those projects alone. Ends with one line of counts.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const checks: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['format', 'oxfmt', '--check', '.'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings', '.'],
  ['types', 'tsc', '--noEmit'],
];

function run(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal));
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function runChecks(): Promise<Counts> {
  let failed = 0;
  for (const [name, command, ...args] of checks) {
    const code = await run(command, args);
    process.stdout.write(`check ${name}: ${code === 0 ? 'passed' : 'FAILED'}\n`);
    if (code !== 0) failed += 1;
  }
  return { passed: checks.length - failed, failed, skipped: 0 };
}

/**
 * Groups of projects, one after the other: a lab shares the machine with nothing else. What needs root and the
 * Debian packages is left out, visibly, where these are missing.
 */
function groups(labMissing: string | undefined): readonly (readonly string[])[] {
  const anywhere = ['unit', 'scenarios', 'contract'];
  return labMissing === undefined ? [anywhere, ['e2e']] : [anywhere];
}

async function runVitest(names: readonly string[]): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-test-'));
  const report = join(folder, 'report.json');
  try {
    const selected = names.flatMap((name) => ['--project', name]);
    const code = await run('vitest', ['run', ...selected, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]);
    const counts = countsOf(JSON.parse(readFileSync(report, 'utf8')));
    // A run that ended badly without a failed test (a suite that could not be loaded) is a failure too.
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countsOf(report: unknown): Counts {
  const figure = (name: string): number => {
    const value: unknown = typeof report === 'object' && report !== null ? Reflect.get(report, name) : undefined;
    if (typeof value !== 'number') throw new Error(`vitest's report has no ${name}`);
    return value;
  };
  return {
    passed: figure('numPassedTests'),
    failed: figure('numFailedTests'),
    skipped: figure('numPendingTests') + figure('numTodoTests'),
  };
}

const labMissing = process.env['PLIMSOLL_LAB_MISSING'];
const wanted = process.argv.slice(2);
const startedAt = performance.now();
const all: Counts[] = wanted.length > 0 ? [] : [await runChecks()];
for (const group of wanted.length > 0 ? [wanted] : groups(labMissing)) all.push(await runVitest(group));
const sum = (name: keyof Counts) => all.reduce((total, counts) => total + counts[name], 0);
if (labMissing !== undefined) process.stdout.write(`not run here: the end-to-end tests (${labMissing})\n`);
process.stdout.write(`took ${Math.round((performance.now() - startedAt) / 1000)} s\n`);
process.stdout.write(`${sum('passed')} passed, ${sum('failed')} failed, ${sum('skipped')} skipped\n`);
process.exitCode = sum('failed') > 0 ? 1 : 0;
