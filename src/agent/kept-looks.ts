import type { MemoryLook } from '#core/model/forecast.ts';
import type { VmId } from '#core/model/vm.ts';

const keptMsMax = 20_000;
/** What a VM does to its memory changes. */
export const lookAgeMsMax = 300_000;

/** `endedAtMs` is monotonic. */
export interface KeptLook extends MemoryLook {
  readonly endedAtMs: number;
}

/** Of each VM the newest looks, 20 s of them together and none of them older than 5 minutes. */
export class KeptLooks {
  readonly #looks = new Map<VmId, readonly KeptLook[]>();

  add(vmId: VmId, look: KeptLook): void {
    this.#looks.set(vmId, newestOf([...this.of(vmId, look.endedAtMs), look]));
  }

  /** Oldest first. */
  of(vmId: VmId, nowMs: number): readonly KeptLook[] {
    return (this.#looks.get(vmId) ?? []).filter(({ endedAtMs }) => nowMs - endedAtMs <= lookAgeMsMax);
  }

  forgetAllBut(vmIds: ReadonlySet<VmId>): void {
    for (const vmId of this.#looks.keys()) if (!vmIds.has(vmId)) this.#looks.delete(vmId);
  }
}

export function lookedMs(looks: readonly MemoryLook[]): number {
  return looks.reduce((total, { forMs }) => total + forMs, 0);
}

function newestOf(looks: readonly KeptLook[]): readonly KeptLook[] {
  const first = looks.findIndex((_, index) => lookedMs(looks.slice(index)) <= keptMsMax);
  return first < 0 ? looks.slice(-1) : looks.slice(first);
}
