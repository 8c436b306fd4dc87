import type { Socket } from 'node:dgram';
import type { HostAddresses } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import { probePorts, type ProbeListener } from '#core/ports.ts';
import { decodeProbe, encodeProbe, type Probe } from './probe-packet.ts';
import { closeSocket, openSocket, sendDatagram } from './udp-socket.ts';

/** Proofs under way at one time on one host; far above any limit of migrations per host. */
const listenersMax = 64;

/** Answers waiting for the network; more are dropped, as the network itself would. */
const answersInFlightMax = 256;

interface Counts {
  readonly protectedSequences: Set<number>;
  readonly plainSequences: Set<number>;
}

/** Sequence numbers remembered per nonce and kind: a sender of the nonce cannot make this host keep more. */
const sequencesMax = 4096;

interface Sockets {
  readonly protected: Socket;
  readonly plain: Socket;
}

/** The two fixed probe ports of one host, shared by all listeners; closed with the last of them. */
export class ProbeReceiver {
  readonly #addresses: HostAddresses;
  readonly #onIdle: () => void;
  readonly #counts = new Map<string, Counts>();
  #sockets: Promise<Sockets> | null = null;
  #answersInFlight = 0;

  constructor(addresses: HostAddresses, onIdle: () => void) {
    this.#addresses = addresses;
    this.#onIdle = onIdle;
  }

  async add(nonce: string, signal: AbortSignal): Promise<ProbeListener> {
    if (this.#counts.has(nonce) || this.#counts.size >= listenersMax) {
      throw new PlimsollError('channel-failed', 'Too many proofs at once, or the same nonce twice; try again when a migration has ended.');
    }
    const counts: Counts = { protectedSequences: new Set(), plainSequences: new Set() };
    this.#counts.set(nonce, counts);
    try {
      // A caller's abort must not tear down the sockets that other callers wait for.
      await (this.#sockets ??= this.#open());
      signal.throwIfAborted();
    } catch (error) {
      await this.#remove(nonce);
      throw error;
    }
    return {
      counts: () => ({ protectedProbes: counts.protectedSequences.size, plainProbes: counts.plainSequences.size }),
      close: () => this.#remove(nonce),
    };
  }

  async #open(): Promise<Sockets> {
    const signal = AbortSignal.timeout(5000);
    const inner = await openSocket(this.#addresses.protected, probePorts.protected, signal);
    try {
      const plain = await openSocket(this.#addresses.underlay, probePorts.plain, signal);
      inner.on('message', (packet, sender) => this.#onProtected(inner, packet, sender));
      plain.on('message', (packet) => this.#find(packet, (counts, probe) => remember(counts.plainSequences, probe.sequence)));
      return { protected: inner, plain };
    } catch (error) {
      await closeSocket(inner);
      throw error;
    }
  }

  #onProtected(socket: Socket, packet: Buffer, sender: { readonly address: string; readonly port: number }): void {
    this.#find(packet, (counts, probe, nonce) => {
      remember(counts.protectedSequences, probe.sequence);
      if (this.#answersInFlight >= answersInFlightMax) return;
      this.#answersInFlight += 1;
      // Same size as the question: the way back carries large packets too, and nothing is amplified.
      const answer = encodeProbe({ kind: 'answer', sequence: probe.sequence }, nonce, packet.length);
      void sendDatagram(socket, answer, sender).finally(() => (this.#answersInFlight -= 1));
    });
  }

  /** Calls back for the listener whose nonce the packet carries, if any. */
  #find(packet: Buffer, found: (counts: Counts, probe: Probe, nonce: string) => void): void {
    for (const [nonce, counts] of this.#counts) {
      const probe = decodeProbe(packet, nonce);
      if (probe?.kind === 'ask') return found(counts, probe, nonce);
    }
  }

  async #remove(nonce: string): Promise<void> {
    if (!this.#counts.delete(nonce) || this.#counts.size > 0) return;
    const opened = this.#sockets;
    this.#sockets = null;
    const sockets = await opened?.catch(() => null);
    if (sockets) await Promise.all([closeSocket(sockets.protected), closeSocket(sockets.plain)]);
    // Somebody may have started to listen again meanwhile.
    if (this.#counts.size === 0) this.#onIdle();
  }
}

function remember(sequences: Set<number>, sequence: number): void {
  if (sequences.size < sequencesMax) sequences.add(sequence);
}
