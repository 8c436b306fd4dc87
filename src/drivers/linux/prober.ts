/** Proof probes over UDP. */
import type { Socket } from 'node:dgram';
import type { HostAddresses } from '#core/model/host.ts';
import { probePorts, type ProbeListener, type Prober } from '#core/ports.ts';
import { decodeProbe, encodeProbe, probeBytesMin } from './probe-packet.ts';
import { ProbeReceiver } from './probe-receiver.ts';
import { closeSocket, openSocket, sendDatagram } from './udp-socket.ts';

/** A probe run proves a channel; it is not a load test. */
const probesMax = 1000;

/** An unanswered probe is sent again after this: one lost datagram must not fail a proof. */
const resendMs = 250;

interface Run {
  readonly from: HostAddresses;
  readonly to: HostAddresses;
  readonly nonce: string;
  readonly count: number;
}

/**
 * Rejects with `channel-failed` when an address is not on this host or its port is taken, and with the
 * signal's reason when aborted. A probe that the network or the guard refuses is just not answered.
 */
export class LinuxProber implements Prober {
  /** Listeners with different nonces share the fixed ports of a host. */
  readonly #receivers = new Map<string, ProbeReceiver>();

  async listen(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<ProbeListener> {
    const key = `${addresses.underlay} ${addresses.protected}`;
    const receiver = this.#receivers.get(key) ?? new ProbeReceiver(addresses, () => this.#receivers.delete(key));
    this.#receivers.set(key, receiver);
    return receiver.add(nonce, signal);
  }

  async sendProtected(options: Run & { readonly sizeBytes: number; readonly timeoutMs: number }, signal: AbortSignal): Promise<number> {
    checkCount(options.count);
    const socket = await openSocket(options.from.protected, 0, signal);
    const open = new Set(Array.from({ length: options.count }, (_, sequence) => sequence));
    try {
      const answered = collectAnswers(socket, options, open);
      await untilAnswered(socket, options, { open, answered, signal });
    } finally {
      await closeSocket(socket);
    }
    return options.count - open.size;
  }

  async sendPlain(options: Run, signal: AbortSignal): Promise<number> {
    checkCount(options.count);
    const socket = await openSocket(options.from.underlay, 0, signal);
    const to = { address: options.to.underlay, port: probePorts.plain };
    let sent = 0;
    try {
      for (let sequence = 0; sequence < options.count; sequence += 1) {
        signal.throwIfAborted();
        const packet = encodeProbe({ kind: 'ask', sequence }, options.nonce, probeBytesMin(options.nonce));
        if (await sendDatagram(socket, packet, to)) sent += 1;
      }
    } finally {
      await closeSocket(socket);
    }
    return sent;
  }
}

function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > probesMax) throw new RangeError(`1 to ${probesMax} probes, not ${count}`);
}

/** Resolves when nothing is open any more. Only the peer's own protected address and port can answer. */
function collectAnswers(socket: Socket, run: Run, open: Set<number>): Promise<void> {
  return new Promise((resolve) => {
    socket.on('message', (packet, sender) => {
      if (sender.port !== probePorts.protected || !sameAddress(sender.address, run.to.protected)) return;
      const probe = decodeProbe(packet, run.nonce);
      if (probe?.kind !== 'answer') return;
      open.delete(probe.sequence);
      if (open.size === 0) resolve();
    });
  });
}

/** IPv6 has many spellings of one address; the URL parser knows the canonical one. */
function sameAddress(left: string, right: string): boolean {
  return left === right || (right.includes(':') && URL.parse(`http://[${left}]`)?.hostname === URL.parse(`http://[${right}]`)?.hostname);
}

/** Sends what is still open, again and again, until all is answered or the time is up. */
async function untilAnswered(
  socket: Socket,
  run: Run & { readonly sizeBytes: number; readonly timeoutMs: number },
  state: { readonly open: ReadonlySet<number>; readonly answered: Promise<void>; readonly signal: AbortSignal },
): Promise<void> {
  const { open, answered, signal } = state;
  const to = { address: run.to.protected, port: probePorts.protected };
  const stop = AbortSignal.any([signal, AbortSignal.timeout(run.timeoutMs)]);
  while (open.size > 0 && !stop.aborted) {
    for (const sequence of open) {
      if (stop.aborted) break;
      await sendDatagram(socket, encodeProbe({ kind: 'ask', sequence }, run.nonce, run.sizeBytes), to);
    }
    await Promise.race([answered, pause(resendMs, stop)]);
  }
  signal.throwIfAborted();
}

/** Ends early when the signal aborts; the caller looks at the signal itself. */
function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, durationMs);
    signal.addEventListener('abort', end, { once: true });
    if (signal.aborted) end();
  });
}
