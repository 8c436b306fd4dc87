import type { HostAddresses } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Listening, ProbeListener, Prober } from '#core/ports.ts';
import type { SimHost } from './host.ts';
import { count, type World } from './world.ts';

const roundTripMs = 4;
const streamPort = 40_000;
/** Payload of a packet when nothing was tuned. */
const segmentBytes = 1300;
const channelOverheadBytes = 100;

interface Heard {
  protectedProbes: number;
  plainProbes: number;
}

/** Who listens for which nonce, on all hosts. */
export class ProbeBoard {
  readonly #listeners = new Map<string, Heard>();
  /** Hosts and nonces whose path probes, or whose stream, are answered. */
  readonly answering = new Set<string>();

  open(host: SimHost, nonce: string): Heard {
    const heard: Heard = { protectedProbes: 0, plainProbes: 0 };
    this.#listeners.set(`${host.hostId} ${nonce}`, heard);
    return heard;
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

  constructor(world: World, host: SimHost, board: ProbeBoard) {
    this.#world = world;
    this.#host = host;
    this.#board = board;
  }

  listen(_addresses: HostAddresses, nonce: string, _signal: AbortSignal): Promise<ProbeListener> {
    const heard = this.#board.open(this.#host, nonce);
    const close = () => Promise.resolve(this.#board.close(this.#host, nonce));
    return Promise.resolve({ counts: () => ({ ...heard }), close });
  }

  async sendProtected(options: Run & { readonly sizeBytes: number; readonly timeoutMs: number }, signal: AbortSignal): Promise<number> {
    const far = this.#peer(options.to);
    const there = this.#world.saPair(this.#host, far);
    const back = this.#world.saPair(far, this.#host);
    const heard = this.#board.at(far, options.nonce);
    const addressed = there?.near.peer.peerAddresses.protected === options.to.protected;
    if (!this.#reaches(far) || !there || !back || !heard || !addressed) {
      await this.#world.time.sleep(options.timeoutMs, signal);
      return 0;
    }
    count(there, options.count, options.count * options.sizeBytes);
    heard.protectedProbes += options.count;
    await this.#world.time.sleep(roundTripMs, signal);
    count(back, options.count, options.count * options.sizeBytes);
    return options.count;
  }

  async sendPlain(options: Run, signal: AbortSignal): Promise<number> {
    await this.#world.time.sleep(roundTripMs / 2, signal);
    const far = this.#peer(options.to);
    if (!this.#reaches(far)) return options.count;
    const heard = this.#board.at(far, options.nonce);
    if (far.filter.drops) far.filter.dropProbes(options.count);
    else if (heard) heard.plainProbes += options.count;
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
    const answers = this.#board.answering.has(`path ${far.hostId} ${options.nonce}`);
    const arrives = answers && this.#reaches(far) && this.#world.sizes.carries(this.#host.hostId, far.hostId, options.packetBytes);
    await this.#world.time.sleep(arrives ? roundTripMs : options.timeoutMs, signal);
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
    if (!there || !this.#reaches(far) || !this.#board.answering.has(`stream ${far.hostId} ${nonce}`)) return { bytes: 0, durationMs };
    const rate = Math.min(this.#host.spec.linkBytesPerSecond, far.spec.linkBytesPerSecond);
    const bytes = Math.round((rate * durationMs) / 1000);
    const packets = Math.ceil(bytes / (this.#world.sizes.tunings(this.#host.hostId).get(far.hostId)?.mssBytes ?? segmentBytes));
    count(there, packets, bytes + packets * channelOverheadBytes);
    return { bytes, durationMs };
  }

  #answer(key: string): Listening {
    this.#board.answering.add(key);
    return { close: () => Promise.resolve(void this.#board.answering.delete(key)) };
  }

  #reaches(far: SimHost): boolean {
    return this.#world.network.reaches(this.#host.hostId, far.hostId);
  }

  #peer(addresses: HostAddresses): SimHost {
    const far = this.#world.hosts.find((host) => host.spec.addresses.underlay === addresses.underlay);
    if (!far) throw new PlimsollError('channel-failed', `nobody has the address ${addresses.underlay}`);
    return far;
  }
}
