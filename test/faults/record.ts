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

/** Before a campaign goes on: a last line that a kill cut off goes, so that the next one begins a line. */
export async function mendRecords(file: string): Promise<void> {
  const text = await readFile(file);
  await truncate(file, text.lastIndexOf('\n') + 1);
}

/** A last line that a kill cut off is left out. @throws when the file cannot be read, or holds something else. */
export async function readRecords(file: string): Promise<readonly RunRecord[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  const complete = lines.slice(0, -1).filter((line) => line !== '');
  return complete.map((line, index) => {
    const value: unknown = JSON.parse(line);
    if (!isRecord(value)) throw new Error(`${file}, line ${index + 1}, is not a run of the fault campaign`);
    return value;
  });
}

function isRecord(value: unknown): value is RunRecord {
  if (typeof value !== 'object' || value === null) return false;
  return ['fault', 'phase', 'time', 'place', 'violations', 'notes', 'recoveryMs'].every((key) => key in value);
}
