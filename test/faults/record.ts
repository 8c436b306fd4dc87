/** One run as it is kept: a line of JSON. */
import { appendFile, readFile, truncate } from 'node:fs/promises';
import type { FaultCase } from './plan.ts';

/** `restarted`: by the campaign, as an operator would, because the VM's own process was killed. */
export type Place = 'source' | 'destination' | 'restarted' | 'nowhere' | 'two';

export interface RunRecord extends FaultCase {
  readonly atMs: number;
  readonly guest: string;
  readonly from: string;
  readonly to: string;
  readonly migrationId: string | null;
  /** How the driver says that it ended: done, failed and its code, or that it did not. */
  readonly said: string;
  readonly place: Place;
  /** The strike took effect after its phase had ended: what it hit was the phase after it. */
  readonly isLate: boolean;
  /** The process that was the VM at that moment was killed: nothing can bring its memory back. */
  readonly vmKilled: boolean;
  readonly noneMs: number;
  readonly twoCopiesInARow: number;
  /** From the strike to: the VM runs without a further break, and the migration is closed. Null: never. */
  readonly recoveryMs: number | null;
  /** From the strike to: the VM runs without a further break, whether or not the migration is closed. Null: never, or its process was killed. */
  readonly vmBackMs: number | null;
  /** `recoveryMs`, from the end of a fault that lasts: what the fault itself took is not in it. */
  readonly afterFaultMs: number | null;
  readonly diskBad: boolean;
  readonly guestErrors: number;
  /** What must never be. */
  readonly violations: readonly string[];
  /** What is worth a look, such as a copy that was left. */
  readonly notes: readonly string[];
}

export async function appendRecord(file: string, record: RunRecord): Promise<void> {
  await appendFile(file, `${JSON.stringify(record)}\n`);
}

/**
 * What was played: nothing, where the file is not there yet. A last line that a kill cut off is cut away, so that the next one begins a line.
 * @throws when the file cannot be read, or holds something else; it is then left as it is.
 */
export async function readRecords(file: string): Promise<readonly RunRecord[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const complete = text.slice(0, text.lastIndexOf('\n') + 1);
  const records = complete
    .split('\n')
    .filter((line) => line !== '')
    .map((line, index) => parseRecord(line, `${file}, line ${index + 1}`));
  if (records.length === 0 && text !== '') throw new Error(`${file} holds no whole run of the fault campaign`);
  if (complete.length < text.length) await truncate(file, Buffer.byteLength(complete));
  return records;
}

function parseRecord(line: string, place: string): RunRecord {
  const value = parseJson(line);
  if (!isRecord(value)) throw new Error(`${place}, is not a run of the fault campaign`);
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is RunRecord {
  if (typeof value !== 'object' || value === null) return false;
  return ['fault', 'phase', 'time', 'place', 'violations', 'notes', 'recoveryMs'].every((key) => key in value);
}
