import type { VmId } from '#core/model/vm.ts';
import { type Breach, breach } from './breach.ts';
import type { Copy, Guest } from './guest.ts';
import type { World } from './world.ts';

/** A VM that went on elsewhere, as its users saw it: without having ended in between. */
export interface HomeChange {
  readonly vmId: VmId;
  readonly fromHostId: string;
  readonly toHostId: string;
}

interface Followed {
  hostId: string;
  copy: Copy;
  /** It was seen with no copy that could run: what runs next was started anew, or restored. */
  ended: boolean;
}

/** Follows each VM from copy to copy by what runs where, without a word of those who move it. */
export class CopyWatch {
  readonly #world: World;
  readonly #followed = new Map<VmId, Followed>();
  /** Their VM has run on in another copy since: they hold memory of the past. */
  readonly #superseded = new WeakSet<Copy>();
  readonly #homeChanges: HomeChange[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  get homeChanges(): readonly HomeChange[] {
    return this.#homeChanges;
  }

  /** To be called at every moment at which something may have changed, with the guests of which that is so. */
  look(guests: readonly Guest[] = this.#world.guests): readonly Breach[] {
    return guests.flatMap((guest) => this.#lookAt(guest));
  }

  #lookAt(guest: Guest): readonly Breach[] {
    const copies = this.#world.copiesOf(guest.vmId);
    const before = this.#followed.get(guest.vmId);
    const running = copies.filter(({ copy }) => copy.state === 'running');
    const now = running.find(({ copy }) => copy !== before?.copy) ?? running[0];
    if (now === undefined) {
      if (before !== undefined && copies.every(({ copy }) => copy.state === 'shut-off')) before.ended = true;
      return [];
    }
    const { copy } = now;
    const { hostId } = now.host;
    if (before?.copy === copy) return [];
    this.#followed.set(guest.vmId, { hostId, copy, ended: false });
    if (before === undefined) return [];
    if (!before.ended && before.hostId !== hostId)
      this.#homeChanges.push({ vmId: guest.vmId, fromHostId: before.hostId, toHostId: hostId });
    this.#superseded.add(before.copy);
    if (!this.#superseded.has(copy)) return [];
    return [breach('stale-copy', `${guest.name} runs on ${hostId} with the memory that it had before it ran on ${before.hostId}`)];
  }
}
