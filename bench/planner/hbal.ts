/** Ganeti's hbal, as a peer and as the referee of its own score. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HbalCluster, HbalUse } from '#core/exchange/hbal-cluster.ts';
import { writeHbalCluster, writeHbalUtilisation } from '#core/exchange/hbal-writer.ts';

const plimsoll = fileURLToPath(new URL('../../bin/plimsoll', import.meta.url));

export interface HbalRun {
  readonly moves: number;
  readonly scoreBefore: number;
  readonly scoreAfter: number;
  readonly cpuSeconds: number;
}

export function hasHbal(): boolean {
  return spawnSync('hbal', ['--version']).status === 0;
}

/** hbal with its defaults, or with at most so many moves. Throws when it fails or says something else than usual. */
export function runHbal(cluster: HbalCluster, uses: readonly HbalUse[], movesMax: number | null): HbalRun {
  const text = hbal(cluster, uses, ['-v', ...(movesMax === null ? [] : ['-l', String(movesMax)])]);
  const improved = /Cluster score improved from ([\d.]+) to ([\d.]+)/.exec(text.stdout);
  const moves = /Solution length=(\d+)/.exec(text.stdout)?.[1];
  if (moves === undefined) throw new Error(`hbal did not say how long its solution is:\n${text.stdout}`);
  const initial = scoreIn(text.stdout);
  const [before, after] = improved === null ? [initial, initial] : [Number(improved[1]), Number(improved[2])];
  return { moves: Number(moves), scoreBefore: before, scoreAfter: after, cpuSeconds: text.cpuSeconds };
}

/** The score that hbal gives this placement. */
export function scoreByHbal(cluster: HbalCluster, uses: readonly HbalUse[]): number {
  return scoreIn(hbal(cluster, uses, ['-v', '-l', '0']).stdout);
}

function scoreIn(stdout: string): number {
  const score =
    /Initial score: ([\d.]+)/.exec(stdout)?.[1] ?? /Cluster is already well balanced \(initial score ([\d.]+)/.exec(stdout)?.[1];
  if (score === undefined) throw new Error(`hbal did not say its score:\n${stdout}`);
  return Number(score);
}

function hbal(cluster: HbalCluster, uses: readonly HbalUse[], args: readonly string[]): Run {
  return runOnFiles(cluster, uses, ['hbal', '-t', 'c.data', '-U', 'c.util', ...args]);
}

/** CPU of `plimsoll plan` as a command that plans once and ends: its start and the compilation of its code are nearly all of it. */
export function cpuSecondsOfCommand(cluster: HbalCluster, uses: readonly HbalUse[]): number {
  const command = [plimsoll, 'plan', '-t', 'c.data', '-U', 'c.util', '--objective', 'hbal'];
  return runOnFiles(cluster, uses, command).cpuSeconds;
}

interface Run {
  readonly stdout: string;
  readonly cpuSeconds: number;
}

/** In a folder with the cluster as c.data and c.util. */
function runOnFiles(cluster: HbalCluster, uses: readonly HbalUse[], command: readonly string[]): Run {
  const folder = mkdtempSync(join(tmpdir(), 'plimsoll-hbal-'));
  try {
    writeFileSync(join(folder, 'c.data'), writeHbalCluster(cluster));
    writeFileSync(join(folder, 'c.util'), writeHbalUtilisation(uses));
    // The shell tells what its children took.
    const script = '"$@" > out; status=$?; times > times; exit $status';
    const { status, stderr } = spawnSync('sh', ['-c', script, 'sh', ...command], { cwd: folder, encoding: 'utf8' });
    const stdout = readFileSync(join(folder, 'out'), 'utf8');
    if (status !== 0) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr}${stdout}`);
    return { stdout, cpuSeconds: childSeconds(readFileSync(join(folder, 'times'), 'utf8')) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Second line of `times`: user and system time of the children, as 0m4.110000s 0m0.020000s. */
function childSeconds(text: string): number {
  const amounts = [...(text.split('\n')[1] ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  if (amounts.length !== 2) throw new Error(`the shell did not tell the time of its children: ${text}`);
  return amounts.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}
