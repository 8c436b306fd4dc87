import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { CONTROL_PORT } from './protocol.ts';
import type { ProbeGap, ProbeReport } from './protocol.ts';

const GAP_MS_MIN = 50;
const GAPS_MAX = 1000;
const INTERVAL_MS_DEFAULT = 5;

/** Sends an echo every few milliseconds and notes how long no answer came: the downtime as the VM's clients see it. */
export class Probe {
  readonly #guest: string;
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #sent = 0;
  #received = 0;
  #lastMs: number | undefined;
  #largestGapMs = 0;
  #largestGapAtMs = 0;
  readonly #gaps: ProbeGap[] = [];

  constructor(guest: string, address: string, intervalMs = INTERVAL_MS_DEFAULT) {
    this.#guest = guest;
    this.#socket = createSocket('udp4');
    this.#socket.on('message', () => this.#answered());
    this.#socket.on('error', () => undefined); // unreachable for a moment: that is what is measured
    this.#timer = setInterval(() => this.#socket.send(`echo ${this.#sent++}`, CONTROL_PORT, address), intervalMs);
  }

  #answered(): void {
    const nowMs = performance.now();
    const gapMs = this.#lastMs === undefined ? 0 : nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    this.#received++;
    if (gapMs >= GAP_MS_MIN && this.#gaps.length < GAPS_MAX) this.#gaps.push({ atMs: Date.now(), lengthMs: Math.round(gapMs) });
    if (gapMs <= this.#largestGapMs) return;
    this.#largestGapMs = gapMs;
    this.#largestGapAtMs = Date.now();
  }

  report(): ProbeReport {
    const silentMs = this.#lastMs === undefined ? 0 : performance.now() - this.#lastMs;
    const silentNow = silentMs > this.#largestGapMs;
    return {
      guest: this.#guest,
      sent: this.#sent,
      received: this.#received,
      largestGapMs: Math.round(silentNow ? silentMs : this.#largestGapMs),
      largestGapAtMs: silentNow ? Date.now() : this.#largestGapAtMs,
      gaps: this.#gaps,
    };
  }

  stop(): ProbeReport {
    clearInterval(this.#timer);
    const report = this.report();
    this.#socket.close();
    return report;
  }
}
