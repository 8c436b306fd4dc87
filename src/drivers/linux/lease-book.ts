/** The host's lease in one small JSON file on a file system that ends with the machine, such as /run. */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { Type } from 'typebox';
import type { BootTime, LeaseGrant } from '#core/model/recovery.ts';
import type { LeaseBook } from '#core/ports.ts';
import { JsonFile } from './json-file.ts';

const vmIds = Type.Array(Type.String(), { maxItems: 100_000 });
const shape = Type.Object({
  version: Type.Literal(1),
  bootId: Type.String(),
  endsAtMs: Type.Number({ minimum: 0 }),
  vmIds,
  fencedVmIds: vmIds,
});

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
  readonly #file: JsonFile<typeof shape>;
  readonly #now: () => BootTime;

  constructor(path: string, now: () => BootTime = bootTime) {
    const advice = 'end the VMs of this host that are marked restartable, or make sure that they run nowhere else; then delete it';
    const damaged = (fault: string) => `The host's lease ${path} is damaged: ${fault}; ${advice}.`;
    this.#file = new JsonFile({ path, shape, code: 'config-invalid', damaged, makesFolder: true });
    this.#now = now;
  }

  now(): BootTime {
    return this.#now();
  }

  async load(): Promise<LeaseGrant | null> {
    const value = await this.#file.read();
    if (value?.bootId !== this.#now().bootId) return null;
    return { endsAtMs: value.endsAtMs, vmIds: value.vmIds, fencedVmIds: value.fencedVmIds };
  }

  async save({ endsAtMs, vmIds: bound, fencedVmIds }: LeaseGrant): Promise<void> {
    await this.#file.write({ version: 1, bootId: this.#now().bootId, endsAtMs, vmIds: bound, fencedVmIds });
  }
}
