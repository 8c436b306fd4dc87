/** Plays a plan from its first run to its last, in one lab or in several side by side; a lab that a run has left broken is built anew. */
import { keepLogs } from './evidence.ts';
import { MomentMissed } from './moments.ts';
import type { FaultCase } from './plan.ts';
import { buildRange, leaveRange, mustBeHealthy, type Range } from './range.ts';
import { appendRecord, type RunRecord } from './record.ts';
import { type Journey, play } from './run.ts';

const triesMax = 3;

export interface Plays {
  /** Where each run is kept as soon as it is over. */
  readonly file: string;
  readonly labs: number;
  readonly say: (line: string) => void;
  /** Ends early, with the labs taken down, after the runs that are under way. */
  readonly signal: AbortSignal;
}

/** The guests in turn; to the hosts in turn, so that every pair is used. */
function journeyOf({ cluster, oracle }: Range, number: number): Journey {
  const { guests, hosts } = cluster.lab;
  const guest = guests[number % guests.length];
  const from = guest === undefined ? undefined : oracle.guest(guest.name).runsOn()[0];
  const others = hosts.filter(({ name }) => name !== from);
  const to = others[Math.floor(number / guests.length) % others.length];
  if (guest === undefined || from === undefined || to === undefined) throw new Error('the lab has no guest to move');
  return { guest: guest.name, from, to: to.name };
}

/** Plays everything that is left. Each lab takes the next run as soon as it has ended one. */
export async function playAll(left: readonly FaultCase[], plays: Plays): Promise<void> {
  const queue = left.entries();
  await Promise.all(Array.from({ length: plays.labs }, (_, index) => playInLab(`faults${index + 1}`, queue, left.length, plays)));
}

async function playInLab(labName: string, queue: ArrayIterator<[number, FaultCase]>, count: number, plays: Plays): Promise<void> {
  const { file, say, signal } = plays;
  let range: Range | undefined;
  try {
    for (const [index, one] of queue) {
      for (let tries = 1; tries <= triesMax && !signal.aborted; tries += 1) {
        const name = `${index + 1}/${count} ${one.fault}, ${one.phase}, time ${one.time}`;
        try {
          range = await readyRange(range, labName, say);
          const record = await play(range, one, journeyOf(range, index));
          await appendRecord(file, record);
          say(`${name}: ${lineOf(record)}`);
          if (record.violations.length > 0) say(`  logs: ${await keepLogs(range.cluster.lab, file, record.migrationId ?? `${index + 1}`)}`);
          break;
        } catch (error) {
          say(`${name}: try ${tries} was no run: ${error instanceof Error ? error.message : String(error)}`);
          if (!(error instanceof MomentMissed)) range = await leave(range);
        }
      }
      if (signal.aborted) return;
    }
  } finally {
    await leave(range);
  }
}

async function leave(range: Range | undefined): Promise<undefined> {
  if (range !== undefined) await leaveRange(range);
  return undefined;
}

async function readyRange(range: Range | undefined, labName: string, say: (line: string) => void): Promise<Range> {
  if (range === undefined) return buildRange(labName);
  try {
    await mustBeHealthy(range);
    return range;
  } catch (error) {
    say(`the lab is built anew: ${error instanceof Error ? error.message : String(error)}`);
    await leaveRange(range);
    return buildRange(labName);
  }
}

function lineOf({ said, place, noneMs, recoveryMs, violations }: RunRecord): string {
  const recovery = recoveryMs === null ? 'never recovered' : `recovered in ${(recoveryMs / 1000).toFixed(1)} s`;
  const verdict = violations.length === 0 ? 'ok' : `VIOLATION: ${violations.join('; ')}`;
  return `${said}, VM: ${place}, stood for ${(noneMs / 1000).toFixed(1)} s, ${recovery}, ${verdict}`;
}
