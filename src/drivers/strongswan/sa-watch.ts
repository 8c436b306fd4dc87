import type { SecurityAssociation } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';

export interface SaChange {
  readonly peerHostId: HostId;
  readonly up: boolean;
}

/**
 * Which peers have an SA, and what changed. Works on whole listings, so that a missed event costs time and not truth:
 *
 *   event, or connected -> list again -> compare -> tell the difference
 *   connection lost     -> every peer is told down: nothing is known any more
 */
export class SaWatch {
  readonly #list: () => Promise<readonly SecurityAssociation[]>;
  readonly #listeners = new Set<(change: SaChange) => void>();
  readonly #wentDown = new Set<HostId>();
  #up: ReadonlyMap<HostId, ReadonlySet<string>> = new Map();
  #listing = false;
  #again = false;

  constructor(list: () => Promise<readonly SecurityAssociation[]>) {
    this.#list = list;
  }

  onChange(listener: (change: SaChange) => void): () => void {
    const entry = (change: SaChange): void => listener(change);
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** A CHILD_SA of this peer came or went. */
  noticed(peerHostId: HostId, up: boolean): void {
    if (!up) this.#wentDown.add(peerHostId);
    this.refresh();
  }

  /** The daemon is away. */
  lost(): void {
    const gone = [...this.#up.keys()];
    this.#up = new Map();
    this.#wentDown.clear();
    for (const peerHostId of gone) this.#tell({ peerHostId, up: false });
  }

  /** Lists again; one listing at a time, and one more when something happened meanwhile. */
  refresh(): void {
    if (this.#listing) {
      this.#again = true;
      return;
    }
    this.#listing = true;
    // A listing fails only with the connection, and the next one starts with `connected`.
    void this.#refresh()
      .catch(() => undefined)
      .finally(() => {
        this.#listing = false;
        if (this.#again) {
          this.#again = false;
          this.refresh();
        }
      });
  }

  async #refresh(): Promise<void> {
    const wentDown = new Set(this.#wentDown);
    const listed = await this.#list();
    const now = new Map<HostId, Set<string>>();
    for (const sa of listed) {
      if (sa.state !== 'installed' && sa.state !== 'rekeying') continue;
      now.set(sa.peerHostId, (now.get(sa.peerHostId) ?? new Set()).add(sa.childUniqueId));
    }
    const before = this.#up;
    this.#up = now;
    for (const peerHostId of wentDown) this.#wentDown.delete(peerHostId);
    for (const [peerHostId, ids] of before) {
      const replaced = wentDown.has(peerHostId) && !sharesOne(ids, now.get(peerHostId));
      if (!now.has(peerHostId) || replaced) this.#tell({ peerHostId, up: false });
      if (now.has(peerHostId) && replaced) this.#tell({ peerHostId, up: true });
    }
    for (const peerHostId of now.keys()) if (!before.has(peerHostId)) this.#tell({ peerHostId, up: true });
  }

  #tell(change: SaChange): void {
    // One that throws disturbs neither the others nor the watch.
    for (const listener of this.#listeners) queueMicrotask(() => listener(change));
  }
}

function sharesOne(one: ReadonlySet<string>, other: ReadonlySet<string> | undefined): boolean {
  return other !== undefined && [...one].some((id) => other.has(id));
}
