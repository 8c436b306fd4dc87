/**
 * Path probes: does an IP packet of exactly this size cross to the peer, unfragmented?
 *
 * Node cannot set IP_MTU_DISCOVER, so the probes rely on Linux' default for datagrams (ip(7), IP_PMTUDISC_WANT): up to the MTU that the
 * kernel knows for the route a datagram leaves whole, over IPv4 with DF; above it the kernel itself makes fragments. So a probe counts
 * only if the known MTU is at least its size before it is sent and still after it was answered. Both are needed: an ICMP message that the
 * first copy caused lowers the known MTU, the second copy then leaves in fragments and is answered. The kernel keeps what it learned for
 * ten minutes (net.ipv4.route.mtu_expires), far longer than a probe takes.
 * A host that turned DF off (net.ipv4.ip_no_pmtu_disc, or a locked route MTU) cannot measure IPv4: that is an error, not an answer.
 */
import { isIPv6 } from 'node:net';
import type { Socket } from 'node:dgram';
import type { HostAddresses } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import { type Listening, probePorts } from '#core/ports.ts';
import { type IpCommand, ipv6MtuOf } from './ip-command.ts';
import { pause } from './pause.ts';
import { decodeProbe, encodeProbe, probeBytesMin } from './probe-packet.ts';
import { sameAddress } from './same-address.ts';
import type { SharedSockets } from './shared-sockets.ts';
import { readTextFile } from './text-file.ts';
import { closeSocket, openFreeSocket, sendDatagram } from './udp-socket.ts';

export interface PathProbe {
  readonly from: HostAddresses;
  readonly to: HostAddresses;
  readonly nonce: string;
  readonly packetBytes: number;
  readonly timeoutMs: number;
}

/** One lost packet must not look like a limit. */
const copiesMax = 3;

/** The total length field of IPv4 has 16 bits (RFC 791); IPv6 is held to the same. */
const packetBytesMax = 65_535;

const noDiscoveryFile = '/proc/sys/net/ipv4/ip_no_pmtu_disc';

/** IPv4 header without options (RFC 791), IPv6 header (RFC 8200), UDP header (RFC 768). */
export function pathProbeOverheadBytes(address: string): number {
  return (isIPv6(address) ? 40 : 20) + 8;
}

/** Answers path probes that carry the nonce with the smallest packet, whatever their size. */
export async function answerPathProbes(sockets: SharedSockets, address: string, nonce: string, signal: AbortSignal): Promise<Listening> {
  const { socket, giveBack } = await sockets.borrow(address, probePorts.path, signal);
  const onMessage = (packet: Buffer, sender: { readonly address: string; readonly port: number }): void => {
    const probe = decodeProbe(packet, nonce);
    if (probe?.kind !== 'ask') return;
    const answer = encodeProbe({ kind: 'answer', sequence: probe.sequence }, nonce, probeBytesMin(nonce));
    void sendDatagram(socket, answer, sender);
  };
  socket.on('message', onMessage);
  const close = async (): Promise<void> => {
    socket.off('message', onMessage);
    await giveBack();
  };
  return { close };
}

/** Throws RangeError for a size that no probe with this nonce has. Rejects with `channel-failed` where DF is turned off. */
export async function probePath(ip: IpCommand, probe: PathProbe, signal: AbortSignal): Promise<boolean> {
  const payloadBytes = probe.packetBytes - pathProbeOverheadBytes(probe.to.underlay);
  const bytesMin = probeBytesMin(probe.nonce);
  if (!Number.isInteger(payloadBytes) || payloadBytes < bytesMin || probe.packetBytes > packetBytesMax) {
    throw new RangeError(`a path probe with this nonce has at least ${bytesMin} bytes of payload, not ${payloadBytes}`);
  }
  await refuseWithoutDf(probe, signal);
  const leavesWhole = async (): Promise<boolean> => (await knownMtuBytes(ip, probe, signal)) >= probe.packetBytes;
  if (!(await leavesWhole())) return false;
  const socket = await openFreeSocket(probe.from.underlay, signal);
  const done = new AbortController();
  const until = AbortSignal.any([signal, done.signal]);
  try {
    const answered = firstAnswer(socket, probe);
    for (let copy = 0; copy < copiesMax; copy += 1) {
      // Past the first: not when the network has said meanwhile that it is too large.
      if (copy > 0 && !(await leavesWhole())) return false;
      const to = { address: probe.to.underlay, port: probePorts.path };
      await sendDatagram(socket, encodeProbe({ kind: 'ask', sequence: copy }, probe.nonce, payloadBytes), to);
      const late = pause(probe.timeoutMs / copiesMax, until).then(() => false);
      if (await Promise.race([answered, late])) return await leavesWhole();
      signal.throwIfAborted();
    }
    return false;
  } finally {
    done.abort();
    await closeSocket(socket);
  }
}

function firstAnswer(socket: Socket, probe: PathProbe): Promise<true> {
  return new Promise((resolve) => {
    socket.on('message', (packet, sender) => {
      if (sender.port !== probePorts.path || !sameAddress(sender.address, probe.to.underlay)) return;
      if (decodeProbe(packet, probe.nonce)?.kind === 'answer') resolve(true);
    });
  });
}

async function knownMtuBytes(ip: IpCommand, probe: PathProbe, signal: AbortSignal): Promise<number> {
  const route = await ip.routeTo(probe.to.underlay, probe.from.underlay, signal);
  if (!isIPv6(probe.to.underlay) && route.mtuLocked) {
    const sentence = `The route to ${probe.to.underlay} has a locked MTU, so Linux sends without DF; take the lock off to measure the path.`;
    throw new PlimsollError('channel-failed', sentence);
  }
  if (route.mtuBytes !== null) return route.mtuBytes;
  const link = await ip.link(route.device, signal);
  const ofIpv6 = isIPv6(probe.to.underlay) ? await ipv6MtuOf(route.device, signal) : null;
  return Math.min(link?.mtuBytes ?? 0, ofIpv6 ?? Infinity);
}

/** Sockets of a host with this setting above 0 are made with IP_PMTUDISC_DONT (kernel's ip-sysctl). IPv6 has no such setting. */
async function refuseWithoutDf(probe: PathProbe, signal: AbortSignal): Promise<void> {
  if (isIPv6(probe.to.underlay)) return;
  const text = await readTextFile(noDiscoveryFile, signal);
  if (text === null || text.trim() === '0') return;
  throw new PlimsollError('channel-failed', 'This host sends without DF; set net.ipv4.ip_no_pmtu_disc to 0 to measure the path.');
}
