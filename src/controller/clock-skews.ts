/** How far the hosts' clocks are from the controller's. */
import type { HostId } from '#core/model/host.ts';

/** What a host has said lately; at a sample each 3 s this is half a minute. */
const differencesKept = 8;

/**
 * A message that carries its sender's time arrives later by the way it took, never earlier. So of several differences
 * (received minus sent) the smallest is the nearest to how far the sender's clock is behind.
 */
export class ClockSkews {
  readonly #differencesMs = new Map<HostId, readonly number[]>();

  note(hostId: HostId, sentAtMs: number, receivedAtMs: number): void {
    const before = this.#differencesMs.get(hostId) ?? [];
    this.#differencesMs.set(hostId, [...before, receivedAtMs - sentAtMs].slice(-differencesKept));
  }

  /** A host that dials in anew may have been rebooted, or its clock set. */
  forget(hostId: HostId): void {
    this.#differencesMs.delete(hostId);
  }

  /** Milliseconds that the host's clock is ahead of the controller's (behind: negative); null when it has not told its time. */
  of(hostId: HostId): number | null {
    const differencesMs = this.#differencesMs.get(hostId);
    // Not -0 for clocks that agree.
    return differencesMs === undefined ? null : 0 - Math.min(...differencesMs);
  }
}
