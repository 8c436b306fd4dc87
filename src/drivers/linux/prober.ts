/** Proof probes and path probes over UDP, and the bulk stream over TCP. */
import type { Socket } from 'node:dgram';
import type { HostAddresses } from '#core/model/host.ts';
import { type Listening, probePorts, type ProbeListener, type Prober } from '#core/ports.ts';
import { receiveBulk } from './bulk-receiver.ts';
import { sendBulk } from './bulk-sender.ts';
import { IpCommand, type IpOptions } from './ip-command.ts';
import { answerPathProbes, type PathProbe, probePath } from './path-probe.ts';
import { pause } from './pause.ts';
import { decodeProbe, encodeProbe, probeBytesMin } from './probe-packet.ts';
import { ProbeReceiver } from './probe-receiver.ts';
import { sameAddress } from './same-address.ts';
import { SharedSockets } from './shared-sockets.ts';
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
  readonly #sockets = new SharedSockets();
  readonly #ip: IpCommand;

  constructor(options: { readonly ip?: IpOptions } = {}) {
    this.#ip = new IpCommand(options.ip);
  }

  async listen(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<ProbeListener> {
    const key = `${addresses.underlay} ${addresses.protected}`;
    const receiver = this.#receivers.get(key) ?? new ProbeReceiver(addresses, () => this.#receivers.delete(key));
    this.#receivers.set(key, receiver);
    return receiver.add(nonce, signal);
  }

  async sendProtected(options: Run & { readonly sizeBytes: number; readonly timeoutMs: number }, signal: AbortSignal): Promise<number> {
    checkCount(options.count);
    const { socket, giveBack } = await this.#sockets.borrow(options.from.protected, probePorts.sender, signal);
    const open = new Set(Array.from({ length: options.count }, (_, sequence) => sequence));
    const answers = collectAnswers(socket, options, open);
    try {
      await untilAnswered(socket, options, { open, answered: answers.all, signal });
    } finally {
      answers.stop();
      await giveBack();
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

  answerPath(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<Listening> {
    return answerPathProbes(this.#sockets, addresses.underlay, nonce, signal);
  }

  probePath(options: PathProbe, signal: AbortSignal): Promise<boolean> {
    return probePath(this.#ip, options, signal);
  }

  receiveStream(addresses: HostAddresses, nonce: string, signal: AbortSignal): Promise<Listening & { readonly port: number }> {
    return receiveBulk(addresses.protected, nonce, signal);
  }

  sendStream(
    options: Omit<Run, 'count'> & { readonly port: number; readonly durationMs: number },
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number; readonly durationMs: number }> {
    const { port, nonce, durationMs } = options;
    return sendBulk({ from: options.from.protected, to: options.to.protected, port, nonce, durationMs }, signal);
  }
}

function checkCount(count: number): void {
  if (!Number.isInteger(count) || count < 1 || count > probesMax) throw new RangeError(`1 to ${probesMax} probes, not ${count}`);
}

/** `all` resolves when nothing is open any more. Only the peer's own protected address and port can answer. */
function collectAnswers(socket: Socket, run: Run, open: Set<number>): { readonly all: Promise<void>; stop(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const onMessage = (packet: Buffer, sender: { readonly address: string; readonly port: number }): void => {
    if (sender.port !== probePorts.protected || !sameAddress(sender.address, run.to.protected)) return;
    const probe = decodeProbe(packet, run.nonce);
    if (probe?.kind !== 'answer') return;
    open.delete(probe.sequence);
    if (open.size === 0) resolve();
  };
  socket.on('message', onMessage);
  return { all: promise, stop: () => socket.off('message', onMessage) };
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
