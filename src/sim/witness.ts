import type { Echo, EchoReport, Witness } from '#core/ports.ts';
import type { Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { World } from './world.ts';

const lookMs = 1;
const gapsMax = 1000;
/** Of an answer on a quiet network. */
const delayMs = { p50: 0.3, p99: 1.2 };

/** One agent's look at VMs from outside: all hosts are on the VMs' network, and hear of a VM at a new place as soon as it runs there. */
export class SimWitness implements Witness {
  readonly #world: World;
  readonly #host: SimHost;
  readonly #echoes = new Set<SimEcho>();

  constructor(world: World, host: SimHost) {
    this.#world = world;
    this.#host = host;
  }

  async addressesOf(mac: string, signal: AbortSignal): Promise<readonly string[]> {
    await this.#world.time.sleep(lookMs, signal);
    return this.#world.guests.filter((guest) => guest.mac === mac).map(({ address }) => address);
  }

  async watch(address: string, intervalMs: number, signal: AbortSignal): Promise<Echo | null> {
    await this.#world.time.sleep(lookMs, signal);
    const guest = this.#world.guests.find((candidate) => candidate.address === address);
    if (!guest) return null;
    const { nowMs } = this.#world.clock(this.#host.hostId);
    const echo = new SimEcho(this.#world.time, nowMs, intervalMs, () => this.#hears(guest));
    echo.unwatch = this.#world.onChange(() => echo.look());
    this.#echoes.add(echo);
    return echo;
  }

  async seenAt(mac: string, signal: AbortSignal): Promise<'local' | 'elsewhere' | null> {
    await this.#world.time.sleep(lookMs, signal);
    const guest = this.#world.guests.find((candidate) => candidate.mac === mac);
    const home = guest && this.#homeOf(guest);
    if (!home) return null;
    if (home === this.#host) return 'local';
    return this.#world.network.passes(home.hostId, this.#host.hostId) ? 'elsewhere' : null;
  }

  /** What dies with the agent's process. */
  close(): void {
    for (const echo of this.#echoes) echo.unwatch();
  }

  #hears(guest: Guest): boolean {
    const home = this.#homeOf(guest);
    return home !== undefined && this.#world.network.reaches(this.#host.hostId, home.hostId);
  }

  #homeOf(guest: Guest): SimHost | undefined {
    return this.#world.copiesOf(guest.vmId).find(({ copy }) => copy.computes)?.host;
  }
}

/** Requests at fixed times; an answer comes at once, or never. */
class SimEcho implements Echo {
  readonly #time: VirtualTime;
  readonly #intervalMs: number;
  readonly #hears: () => boolean;
  /** By elapsed time, and by the clock of the host that asks. */
  readonly #startedAtMs: number;
  readonly #startedWallMs: number;
  readonly #gaps: { readonly fromMs: number; readonly untilMs: number }[] = [];
  unwatch: () => void = () => undefined;
  #missed = 0;
  /** Number of the first request without an answer; null while answers come. */
  #silentFrom: number | null;
  #stopped: EchoReport | null = null;

  constructor(time: VirtualTime, nowMs: number, intervalMs: number, hears: () => boolean) {
    this.#time = time;
    this.#startedWallMs = nowMs;
    this.#intervalMs = intervalMs;
    this.#hears = hears;
    this.#startedAtMs = time.elapsedMs;
    this.#silentFrom = hears() ? null : 0;
  }

  look(): void {
    const hears = this.#hears();
    // The request that is due next is the first that the change can make a difference to.
    const next = this.#sentBefore();
    if (!hears) this.#silentFrom ??= next;
    if (!hears || this.#silentFrom === null) return;
    this.#missed += next - this.#silentFrom;
    const gap = this.#gap(this.#silentFrom, next);
    if (gap !== null && this.#gaps.length < gapsMax) this.#gaps.push(gap);
    this.#silentFrom = null;
  }

  report(): EchoReport {
    return this.#stopped ?? this.#reportNow();
  }

  stop(): Promise<EchoReport> {
    this.#stopped ??= this.#reportNow();
    this.unwatch();
    return Promise.resolve(this.#stopped);
  }

  #reportNow(): EchoReport {
    const sent = this.#sent();
    const silent = this.#silentFrom;
    const answered = sent - this.#missed - (silent === null ? 0 : Math.max(0, sent - silent));
    const last = silent === null ? sent - 1 : silent - 1;
    const open = silent === null ? null : this.#gap(silent, sent);
    return {
      intervalMs: this.#intervalMs,
      sent,
      answered,
      lastAnswerAtMs: answered > 0 ? this.#atMs(last) : null,
      delayMsP50: answered > 0 ? delayMs.p50 : null,
      delayMsP99: answered > 0 ? delayMs.p99 : null,
      gaps: open === null ? [...this.#gaps] : [...this.#gaps, { fromMs: open.fromMs, untilMs: null }].slice(-gapsMax),
    };
  }

  /** Between the answers before and after these requests, if there was one before and it is long enough to count. */
  #gap(first: number, next: number): { readonly fromMs: number; readonly untilMs: number } | null {
    const [fromMs, untilMs] = [this.#atMs(first - 1), this.#atMs(next)];
    return first > 0 && untilMs - fromMs > 2 * this.#intervalMs ? { fromMs, untilMs } : null;
  }

  #atMs(request: number): number {
    return this.#startedWallMs + request * this.#intervalMs;
  }

  /** Requests up to now; one that is due at this very moment is sent. */
  #sent(): number {
    return Math.floor((this.#time.elapsedMs - this.#startedAtMs) / this.#intervalMs) + 1;
  }

  /** Requests before now. */
  #sentBefore(): number {
    return Math.ceil((this.#time.elapsedMs - this.#startedAtMs) / this.#intervalMs);
  }
}
