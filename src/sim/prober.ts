import type { HostAddresses } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Listening, ProbeListener, Prober } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import type { SimProcess } from './process.ts';
import { count, type SaPair, type World } from './world.ts';

const roundTripMs = 4;
/** As the real prober: what is not answered is sent again after this time, or in all this often. */
const resendMs = 250;
const pathProbesMax = 3;
const streamPort = 40_000;
/** Payload of a packet when nothing was tuned. */
const segmentBytes = 1300;
const channelOverheadBytes = 100;

/** A process that listens: it answers as long as it does not stand still. */
type Listener = Pick<SimProcess, 'paused'>;

interface Heard {
  protectedProbes: number;
  plainProbes: number;
  readonly listener: Listener;
}

/** Who listens for which nonce, on all hosts. */
export class ProbeBoard {
  readonly #listeners = new Map<string, Heard>();
  /** Hosts and nonces whose path probes, or whose stream, are answered, and by whom. */
  readonly answering = new Map<string, Listener>();

  open(host: SimHost, nonce: string, listener: Listener): Heard {
    const heard: Heard = { protectedProbes: 0, plainProbes: 0, listener };
    this.#listeners.set(`${host.hostId} ${nonce}`, heard);
    return heard;
  }

  answers(key: string): boolean {
    return this.answering.get(key)?.paused === false;
  }

  at(host: SimHost, nonce: string): Heard | undefined {
    return this.#listeners.get(`${host.hostId} ${nonce}`);
  }

  close(host: SimHost, nonce: string): void {
    this.#listeners.delete(`${host.hostId} ${nonce}`);
  }
}

type Run = { readonly from: HostAddresses; readonly to: HostAddresses; readonly nonce: string; readonly count: number };

/** Probes of one agent, over the same network, SAs and guards as the migration streams. */
export class SimProber implements Prober {
  readonly #world: World;
  readonly #host: SimHost;
  readonly #board: ProbeBoard;
  readonly #process: Listener;

  constructor(world: World, host: SimHost, board: ProbeBoard, process: Listener) {
    this.#world = world;
    this.#host = host;
    this.#board = board;
    this.#process = process;
  }

  listen(_addresses: HostAddresses, nonce: string, _signal: AbortSignal): Promise<ProbeListener> {
    const heard = this.#board.open(this.#host, nonce, this.#process);
    const close = () => Promise.resolve(this.#board.close(this.#host, nonce));
    return Promise.resolve({ counts: () => ({ protectedProbes: heard.protectedProbes, plainProbes: heard.plainProbes }), close });
  }

  async sendProtected(options: Run & { readonly sizeBytes: number; readonly timeoutMs: number }, signal: AbortSignal): Promise<number> {
    const { time } = this.#world;
    const far = this.#peer(options.to);
    const there = this.#world.saPair(this.#host, far);
    const back = this.#world.saPair(far, this.#host);
    const heard = this.#board.at(far, options.nonce);
    const addressed = there?.near.peer.peerAddresses.protected === options.to.protected;
    const crosses = this.#host.seals && far.seals && this.#passes(this.#host, far);
    if (!crosses || !there || !back || !heard || !addressed) {
      await time.sleep(options.timeoutMs, signal);
      return 0;
    }
    let [unheard, open] = [options.count, options.count];
    for (let leftMs = options.timeoutMs; open > 0 && leftMs > 0; leftMs -= resendMs) {
      const arrived = this.#arriving(this.#host, far, open);
      countWay(there, open, arrived, options.sizeBytes);
      heard.protectedProbes += Math.min(unheard, arrived);
      unheard -= Math.min(unheard, arrived);
      const answers = heard.listener.paused ? 0 : arrived;
      const answered = this.#arriving(far, this.#host, answers);
      open -= answered;
      await time.sleep(open === 0 ? this.#roundTripMs(far) : Math.min(resendMs, leftMs), signal);
      countWay(back, answers, answered, options.sizeBytes);
    }
    return options.count - open;
  }

  async sendPlain(options: Run, signal: AbortSignal): Promise<number> {
    await this.#world.time.sleep(roundTripMs / 2, signal);
    const far = this.#peer(options.to);
    const arrived = this.#arriving(this.#host, far, options.count);
    const heard = this.#board.at(far, options.nonce);
    if (far.filter.drops) far.filter.dropProbes(arrived);
    else if (heard) heard.plainProbes += arrived + this.#world.network.doubled(this.#host.hostId, far.hostId, arrived);
    return options.count;
  }

  answerPath(_addresses: HostAddresses, nonce: string, _signal: AbortSignal): Promise<Listening> {
    return Promise.resolve(this.#answer(`path ${this.#host.hostId} ${nonce}`));
  }

  async probePath(
    options: Omit<Run, 'count'> & { readonly packetBytes: number; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    const far = this.#peer(options.to);
    const answers = this.#board.answers(`path ${far.hostId} ${options.nonce}`);
    const fits = this.#world.sizes.carries(this.#host.hostId, far.hostId, options.packetBytes);
    const arrives = answers && fits && this.#isAnsweredOnce(far);
    await this.#world.time.sleep(arrives ? this.#roundTripMs(far) : options.timeoutMs, signal);
    return arrives;
  }

  receiveStream(_addresses: HostAddresses, nonce: string, _signal: AbortSignal): Promise<Listening & { readonly port: number }> {
    return Promise.resolve({ ...this.#answer(`stream ${this.#host.hostId} ${nonce}`), port: streamPort });
  }

  async sendStream(
    options: Omit<Run, 'count'> & { readonly port: number; readonly durationMs: number },
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number; readonly durationMs: number }> {
    const { durationMs, nonce } = options;
    const far = this.#peer(options.to);
    const there = this.#world.saPair(this.#host, far);
    await this.#world.time.sleep(durationMs, signal);
    const crosses = this.#passes(this.#host, far) && this.#passes(far, this.#host) && this.#host.seals && far.seals;
    if (!there || !crosses || !this.#board.answers(`stream ${far.hostId} ${nonce}`)) return { bytes: 0, durationMs };
    const linkMax = this.#world.network.link(this.#host.hostId, far.hostId)?.streamBytesPerSecond ?? Number.POSITIVE_INFINITY;
    const rate = Math.min(this.#host.spec.linkBytesPerSecond, far.spec.linkBytesPerSecond, linkMax);
    const bytes = Math.round((rate * durationMs) / 1000);
    const packets = Math.ceil(bytes / (this.#world.sizes.tunings(this.#host.hostId).get(far.hostId)?.mssBytes ?? segmentBytes));
    count(there, packets, bytes + packets * channelOverheadBytes);
    return { bytes, durationMs };
  }

  #answer(key: string): Listening {
    this.#board.answering.set(key, this.#process);
    return { close: () => Promise.resolve(void this.#board.answering.delete(key)) };
  }

  #passes(from: SimHost, to: SimHost): boolean {
    return this.#world.network.passes(from.hostId, to.hostId);
  }

  #arriving(from: SimHost, to: SimHost, datagrams: number): number {
    return this.#world.network.arriving(from.hostId, to.hostId, datagrams);
  }

  #isAnsweredOnce(far: SimHost): boolean {
    for (let sent = 0; sent < pathProbesMax; sent += 1)
      if (this.#arriving(this.#host, far, 1) > 0 && this.#arriving(far, this.#host, 1) > 0) return true;
    return false;
  }

  #roundTripMs(far: SimHost): number {
    const link = this.#world.network.link(this.#host.hostId, far.hostId);
    return link === undefined ? roundTripMs : roundTripMs + link.datagramMs() + link.datagramMs();
  }

  #peer(addresses: HostAddresses): SimHost {
    const far = this.#world.hosts.find((host) => host.spec.addresses.underlay === addresses.underlay);
    if (!far) throw new PlimsollError('channel-failed', `nobody has the address ${addresses.underlay}`);
    return far;
  }
}

/** Packets that left one end of an SA, and those of them that arrived: what comes a second time is dropped as a replay (RFC 4303, 3.4.3). */
function countWay(sa: SaPair, left: number, arrived: number, sizeBytes: number): void {
  sa.near.count('Out', left, left * sizeBytes);
  sa.far.count('In', arrived, arrived * sizeBytes);
}
