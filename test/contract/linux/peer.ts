/** A program that runs inside a namespace and sends and receives as it is told, one JSON command per line. */
import { createSocket } from 'node:dgram';
import { connect, createServer, isIPv6 } from 'node:net';
import { createInterface } from 'node:readline';
import { LinuxNetwork } from '#drivers/linux/network.ts';
import { LinuxProber } from '#drivers/linux/prober.ts';
import type { PeerTuning, WayFacts } from '#core/model/channel.ts';
import type { HostAddresses } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Listening, ProbeListener } from '#core/ports.ts';

interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export type PeerCommand =
  | { readonly op: 'listen'; readonly protocol: 'tcp' | 'udp'; readonly at: Endpoint }
  /** How many connections or datagrams came in at this port. */
  | { readonly op: 'received'; readonly protocol: 'tcp' | 'udp'; readonly port: number }
  | { readonly op: 'udp-send'; readonly from: Endpoint; readonly to: Endpoint; readonly payloadBytes?: number }
  /** Connects and waits for the greeting; `reached` is false after `timeoutMs` or a refusal. */
  | { readonly op: 'tcp-connect'; readonly from: Endpoint; readonly to: Endpoint; readonly timeoutMs: number }
  | { readonly op: 'probe-listen'; readonly addresses: HostAddresses; readonly nonce: string }
  | { readonly op: 'probe-counts' }
  | (Parameters<LinuxProber['sendProtected']>[0] & { readonly op: 'probe-send-protected' })
  | (Parameters<LinuxProber['sendPlain']>[0] & { readonly op: 'probe-send-plain' })
  | { readonly op: 'probe-close' }
  /** Kept open until `answers-close`. */
  | { readonly op: 'path-answer'; readonly addresses: HostAddresses; readonly nonce: string }
  | { readonly op: 'stream-receive'; readonly addresses: HostAddresses; readonly nonce: string }
  | { readonly op: 'answers-close' }
  | (Parameters<LinuxProber['probePath']>[0] & { readonly op: 'path-probe' })
  | (Parameters<LinuxProber['sendStream']>[0] & { readonly op: 'stream-send' })
  | { readonly op: 'way'; readonly stateDir: string; readonly peerUnderlay: string }
  | { readonly op: 'tune'; readonly stateDir: string; readonly tuning: PeerTuning }
  | { readonly op: 'restore'; readonly stateDir: string; readonly peerHostId: string | null }
  | { readonly op: 'tuned'; readonly stateDir: string };

export interface PeerAnswer {
  readonly count?: number;
  readonly reached?: boolean;
  readonly errorCode?: string;
  readonly protectedProbes?: number;
  readonly plainProbes?: number;
  readonly port?: number;
  readonly bytes?: number;
  readonly durationMs?: number;
  readonly way?: WayFacts;
  readonly tunings?: readonly PeerTuning[];
}

const received = new Map<string, number>();
const prober = new LinuxProber();
let listener: ProbeListener | null = null;
const answering: Listening[] = [];

function note(protocol: string, port: number): void {
  received.set(`${protocol}/${port}`, (received.get(`${protocol}/${port}`) ?? 0) + 1);
}

function codeOf(error: unknown): string {
  if (error instanceof PlimsollError) return `${error.code}: ${error.message}`;
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

function listen(protocol: 'tcp' | 'udp', at: Endpoint): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    if (protocol === 'udp') {
      const socket = createSocket(isIPv6(at.address) ? 'udp6' : 'udp4');
      socket.on('message', () => note('udp', at.port));
      socket.bind(at.port, at.address, () => resolve({}));
      return;
    }
    const server = createServer((connection) => {
      note('tcp', at.port);
      connection.on('error', () => connection.destroy());
      connection.end('greeting');
    });
    server.listen(at.port, at.address, () => resolve({}));
  });
}

function udpSend(from: Endpoint, to: Endpoint, payloadBytes = 8): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(from.address) ? 'udp6' : 'udp4');
    socket.on('error', (error) => {
      socket.close();
      resolve({ errorCode: codeOf(error) });
    });
    socket.bind(from.port, from.address, () => {
      socket.send(Buffer.alloc(payloadBytes), to.port, to.address, (error) => {
        socket.close();
        resolve(error === null ? {} : { errorCode: codeOf(error) });
      });
    });
  });
}

function tcpConnect(from: Endpoint, to: Endpoint, timeoutMs: number): Promise<PeerAnswer> {
  return new Promise((resolve) => {
    const settings = { host: to.address, port: to.port, localAddress: from.address };
    const socket = connect(from.port === 0 ? settings : { ...settings, localPort: from.port });
    const end = (answer: PeerAnswer): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end({ reached: false, errorCode: 'deadline' }), timeoutMs);
    socket.on('data', () => end({ reached: true }));
    socket.on('error', (error) => end({ reached: false, errorCode: codeOf(error) }));
  });
}

function network(command: { readonly stateDir: string }): LinuxNetwork {
  return new LinuxNetwork({ stateDir: command.stateDir });
}

function deadline(): AbortSignal {
  return AbortSignal.timeout(9000);
}

/** What goes wrong as it should is an answer. */
async function answerOf(command: PeerCommand): Promise<PeerAnswer> {
  try {
    return await obey(command);
  } catch (error) {
    if (error instanceof PlimsollError) return { errorCode: codeOf(error) };
    throw error;
  }
}

async function obey(command: PeerCommand): Promise<PeerAnswer> {
  switch (command.op) {
    case 'listen':
      return listen(command.protocol, command.at);
    case 'received':
      return { count: received.get(`${command.protocol}/${command.port}`) ?? 0 };
    case 'udp-send':
      return udpSend(command.from, command.to, command.payloadBytes);
    case 'tcp-connect':
      return tcpConnect(command.from, command.to, command.timeoutMs);
    case 'probe-listen':
      listener = await prober.listen(command.addresses, command.nonce, AbortSignal.timeout(5000));
      return {};
    case 'probe-counts':
      return listener?.counts() ?? {};
    case 'probe-send-protected':
      return { count: await prober.sendProtected(command, AbortSignal.timeout(8000)) };
    case 'probe-send-plain':
      return { count: await prober.sendPlain(command, AbortSignal.timeout(8000)) };
    case 'probe-close':
      await listener?.close();
      return {};
    case 'path-answer':
      answering.push(await prober.answerPath(command.addresses, command.nonce, deadline()));
      return {};
    case 'stream-receive': {
      const stream = await prober.receiveStream(command.addresses, command.nonce, deadline());
      answering.push(stream);
      return { port: stream.port };
    }
    case 'answers-close':
      await Promise.all(answering.splice(0).map((answer) => answer.close()));
      return {};
    case 'path-probe':
      return { reached: await prober.probePath(command, deadline()) };
    case 'stream-send':
      return prober.sendStream(command, deadline());
    case 'way':
      return { way: await network(command).way(command.peerUnderlay, deadline()) };
    case 'tune':
      await network(command).tune(command.tuning, deadline());
      return {};
    case 'restore':
      await network(command).restore(command.peerHostId, deadline());
      return {};
    case 'tuned':
      return { tunings: await network(command).tuned(deadline()) };
    default:
      return command satisfies never;
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
for await (const line of lines) {
  process.stdout.write(`${JSON.stringify(await answerOf(JSON.parse(line) as PeerCommand))}\n`);
}
