/** What the controller says of its restartable VMs, line by line. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Lab, waitFor } from '#lab/api.ts';

export interface RecoveryLine {
  readonly atMs: number;
  readonly vm: string;
  readonly phase: string;
  readonly reason: string;
}

async function recoveryLines(lab: Lab): Promise<readonly RecoveryLine[]> {
  const text = await readFile(join(dirname(lab.controllerSocket ?? ''), 'log/controller.log'), 'utf8');
  return text.split('\n').flatMap((line) => (line.includes('"restartable VM"') ? [lineOf(JSON.parse(line))] : []));
}

/** The first line of this VM since `sinceMs` that fits; waited for. */
export function untilSaid(
  lab: Lab,
  vm: string,
  sinceMs: number,
  fits: (line: RecoveryLine) => boolean,
  timeoutMs: number,
): Promise<RecoveryLine> {
  const said = async () => (await recoveryLines(lab)).find((line) => line.vm === vm && line.atMs >= sinceMs && fits(line));
  return waitFor(said, { what: `the controller's word on ${vm}`, timeoutMs, intervalMs: 100 });
}

function lineOf(value: unknown): RecoveryLine {
  const text = (key: string): string => {
    const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
    return typeof found === 'string' ? found : '';
  };
  return { atMs: Date.parse(text('time')), vm: text('vm'), phase: text('phase'), reason: text('reason') };
}
