/** The host's lease in one small JSON file on a file system that ends with the machine, such as /run. */
import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { uptime } from 'node:os';
import { dirname } from 'node:path';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { BootTime, LeaseGrant } from '#core/model/recovery.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { LeaseBook } from '#core/ports.ts';
import { replaceFile } from './replace-file.ts';
import { readTextFile } from './text-file.ts';

const vmIds = Type.Array(Type.String(), { maxItems: 100_000 });
const fileShape = Compile(
  Type.Object({
    version: Type.Literal(1),
    bootId: Type.String(),
    endsAtMs: Type.Number({ minimum: 0 }),
    vmIds,
    fencedVmIds: vmIds,
  }),
);

/** random(4): a new one with each boot. */
export const bootIdPath = '/proc/sys/kernel/random/boot_id';

/** This machine's boot, and the time since it began: CLOCK_BOOTTIME, which goes on while the machine sleeps (proc(5), uptime). */
export function bootTime(): BootTime {
  return { bootId: readFileSync(bootIdPath, 'utf8').trim(), atMs: uptime() * 1000 };
}

/**
 * A grant of an earlier boot binds nobody any more: its VMs ended with that boot. A file that cannot be understood is never taken for
 * none: a lease that was forgotten would let VMs run on past its end. Rejects with `config-invalid`.
 */
export class FileLeaseBook implements LeaseBook {
  readonly #path: string;
  readonly #now: () => BootTime;

  constructor(path: string, now: () => BootTime = bootTime) {
    this.#path = path;
    this.#now = now;
  }

  now(): BootTime {
    return this.#now();
  }

  async load(): Promise<LeaseGrant | null> {
    const text = await readTextFile(this.#path);
    if (text === null) return null;
    const { bootId, endsAtMs, vmIds: bound, fencedVmIds } = this.#parse(text);
    return bootId === this.#now().bootId ? { endsAtMs, vmIds: bound, fencedVmIds } : null;
  }

  async save({ endsAtMs, vmIds: bound, fencedVmIds }: LeaseGrant): Promise<void> {
    const { bootId } = this.#now();
    try {
      await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
      await replaceFile(this.#path, `${JSON.stringify({ version: 1, bootId, endsAtMs, vmIds: bound, fencedVmIds })}\n`);
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw new PlimsollError('config-invalid', `${this.#path} cannot be written: ${detail}. Check that its directory has room.`, {
        cause,
      });
    }
  }

  #parse(text: string) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw this.#damaged('it is not JSON', cause);
    }
    if (fileShape.Check(value)) return value;
    const [fault] = fileShape.Errors(value);
    throw this.#damaged(`${fault?.instancePath ?? ''} ${fault?.message ?? 'is not as expected'}`.trim());
  }

  #damaged(fault: string, cause?: unknown): PlimsollError {
    const advice = 'end the VMs of this host that are marked restartable, or make sure that they run nowhere else; then delete it';
    return new PlimsollError('config-invalid', `The host's lease ${this.#path} is damaged: ${fault}; ${advice}.`, { cause });
  }
}
