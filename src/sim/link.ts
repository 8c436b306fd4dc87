/** A link that is slow or loses packets: what datagrams and what streams make of it. */
import type { Random } from '#core/ports.ts';

export interface LinkQuality {
  /** One way, on top of what a good link takes; the same in both directions. */
  readonly delayMs: number;
  /** Each packet takes up to this much longer. */
  readonly jitterMs: number;
  readonly lossPercent: number;
  readonly duplicatePercent: number;
  /** Of packets that arrive after the one that was sent next. */
  readonly reorderPercent: number;
}

/** One way on a good link between two machines of a cluster. */
const goodDelayMs = 2;
const segmentBytes = 1448;
/** sqrt(3/2), for an acknowledgement of every segment and losses at random: Mathis, Semke, Mahdavi and Ott, CCR 27(3), 1997, section 2. */
const mathisConstant = Math.sqrt(3 / 2);
/** What one TCP connection of Linux keeps in flight at most: the default of net.ipv4.tcp_wmem (tcp(7)). */
const windowBytesMax = 4 * 2 ** 20;
/** RFC 6298 has 1 s, Linux begins at 200 ms (TCP_RTO_MIN); each time-out doubles it (RFC 6298, 5.5). */
const retransmitMs = 200;
/** After these a segment has waited for 25 s: the line has died of silence before. */
const retransmitsMax = 7;

export class Link {
  readonly quality: LinkQuality;
  readonly random: Random;

  constructor(quality: LinkQuality, random: Random) {
    this.quality = quality;
    this.random = random;
  }

  /** Of this many datagrams in one direction, those that arrive. */
  arriving(datagrams: number): number {
    let arrived = 0;
    for (let sent = 0; sent < datagrams; sent += 1) if (!this.loses()) arrived += 1;
    return arrived;
  }

  /** Of this many that arrive, those that come a second time. */
  doubled(datagrams: number): number {
    let doubled = 0;
    for (let come = 0; come < datagrams; come += 1) if (this.#happens(this.quality.duplicatePercent)) doubled += 1;
    return doubled;
  }

  /** Whether one packet is lost now. */
  loses(): boolean {
    return this.#happens(this.quality.lossPercent);
  }

  /** How much later than on a good link one datagram arrives. A reordered one comes after what was sent up to a round trip later. */
  datagramMs(): number {
    const { delayMs, jitterMs, reorderPercent } = this.quality;
    const late = this.#happens(reorderPercent) ? 2 * (goodDelayMs + delayMs) : 0;
    return delayMs + this.random.fraction() * jitterMs + late;
  }

  /** The same for a segment of a stream, which is sent again until it arrives. */
  segmentMs(): number {
    let waitedMs = 0;
    for (let again = 0; again < retransmitsMax && this.loses(); again += 1) waitedMs += retransmitMs * 2 ** again;
    return this.quality.delayMs + this.random.fraction() * this.quality.jitterMs + waitedMs;
  }

  /** What one long TCP stream carries at most: its window in each round trip, and under loss (of share p) MSS / RTT * C / sqrt(p). */
  get streamBytesPerSecond(): number {
    const { delayMs, jitterMs, lossPercent } = this.quality;
    const roundTripSeconds = (2 * (goodDelayMs + delayMs) + jitterMs) / 1000;
    const byWindow = windowBytesMax / roundTripSeconds;
    if (lossPercent === 0) return byWindow;
    return Math.min(byWindow, ((segmentBytes / roundTripSeconds) * mathisConstant) / Math.sqrt(lossPercent / 100));
  }

  #happens(percent: number): boolean {
    return percent > 0 && this.random.fraction() * 100 < percent;
  }
}
