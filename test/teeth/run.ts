/** Plays bugs in processes of their own, and tells what became of them. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { PlantedBug } from './bug.ts';
import { repositoryRoot } from './plant.ts';
import type { Played } from './play.ts';

const child = join(import.meta.dirname, 'child.ts');
/** Of real time: a bug may make virtual time stand still. */
const childMsMax = 300_000;
const outputBytesMax = 2 ** 24;
/** All but one of the modules are the same each time: compiled once, a process costs half. What is kept is told apart by its text. */
const compileCache = join(repositoryRoot, 'node_modules', '.cache', 'teeth');

/** What came of playing a bug: `missed` when nothing broke, `elsewhere` when only other invariants broke than those that should. */
export interface Bite {
  readonly bug: PlantedBug;
  readonly verdict: 'caught' | 'elsewhere' | 'missed' | 'failed';
  /** The last schedule that was played; null when none came to its end. */
  readonly played: Played | null;
  /** Why the process failed; null when it did not. */
  readonly failure: string | null;
}

/** Plays the schedules in turn with this bug, until one of its invariants, or another, breaks. */
export async function bite(bug: PlantedBug, schedules: readonly string[], signal: AbortSignal): Promise<Bite> {
  try {
    const played = (await playAll(bug.name, bug.provocation?.name, schedules, signal)).at(-1) ?? null;
    return { bug, verdict: verdictOf(bug, played), played, failure: null };
  } catch (error) {
    signal.throwIfAborted();
    return { bug, verdict: 'failed', played: null, failure: error instanceof Error ? error.message : String(error) };
  }
}

/** The control arm: the schedules of these bugs, under the same provocations, without any bug. Rejects where one cannot be played. */
export async function playInnocent(
  bugs: readonly Pick<PlantedBug, 'schedule' | 'provocation'>[],
  signal: AbortSignal,
): Promise<readonly Played[]> {
  const played: Played[] = [];
  for (const [provocation, group] of Map.groupBy(bugs, (bug) => bug.provocation?.name)) {
    const schedules = [...new Set(group.map(({ schedule }) => schedule))];
    played.push(...(await playAll('-', provocation, schedules, signal)));
  }
  return played;
}

function verdictOf({ caughtBy }: PlantedBug, played: Played | null): Bite['verdict'] {
  if (played === null || played.breaches.length === 0) return 'missed';
  return played.breaches.some(({ code }) => caughtBy.includes(code)) ? 'caught' : 'elsewhere';
}

function playAll(
  bug: string,
  provocation: string | undefined,
  schedules: readonly string[],
  signal: AbortSignal,
): Promise<readonly Played[]> {
  const env = { ...process.env, NODE_COMPILE_CACHE: compileCache };
  const options = { cwd: repositoryRoot, env, signal, timeout: childMsMax, maxBuffer: outputBytesMax };
  const args = ['--disable-warning=ExperimentalWarning', child, bug, provocation ?? '-', ...schedules];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      const lines = stdout.split('\n').filter((line) => line !== '');
      if (error === null) resolve(lines.map((line) => JSON.parse(line) as Played));
      else reject(new Error(`${bug} on ${schedules.join(', ')}: ${stderr.trim() || error.message}`, { cause: error }));
    });
  });
}
