import { mkdir, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';

import { startChild, type Child } from './child.ts';

export interface SshOptions {
  /** An account on the peers that may open libvirt's socket; it needs no shell. */
  readonly user: string;
  /** Private key, readable by root only, without passphrase. */
  readonly keyFile: string;
  /** Host keys of the peers, each under its host id (`HostKeyAlias`). No other key is ever accepted. */
  readonly knownHostsFile: string;
  /** Of sshd on the peers. */
  readonly port: number;
  /** For the sockets of the forwards; short, a socket's path has 107 characters. */
  readonly runFolder: string;
  /** libvirt's socket on the peers. */
  readonly peerSocketPath: string;
  /** Ports of the loopback address, free on both hosts; outside of libvirt's own range, which libvirt hands out by itself. */
  readonly dataPorts: { readonly first: number; readonly last: number };
  readonly connectDeadlineMs: number;
}

/** A forward that stands. */
export interface SshForward {
  readonly controlSocket: string;
  readonly dataPort: number;
  /** Aborts when ssh ends by itself; its reason is a PlimsollError. */
  readonly lost: AbortSignal;
  close(): Promise<void>;
}

/** The one cipher that is offered, so that it is known which one was used (RFC 5647 as OpenSSH has it). */
export const sshCipher = 'aes256-gcm@openssh.com';

const loopback = '127.0.0.1';
const pollMs = 20;

/**
 * Opens a connection to the peer's sshd with two forwards: a Unix socket to the peer's libvirtd, and one TCP port to the same
 * port there. Rejects with `channel-failed` when the peer cannot be reached or is not who it should be; `aborted`.
 */
export async function openSshForward(
  options: SshOptions,
  peer: { readonly hostId: HostId; readonly underlay: string },
  signal: AbortSignal,
): Promise<SshForward> {
  await mkdir(options.runFolder, { recursive: true, mode: 0o700 });
  const dataPort = await freePort(options.dataPorts, signal);
  const controlSocket = join(options.runFolder, `ssh-${dataPort}.sock`);
  await rm(controlSocket, { force: true });
  const child = startChild(sshArguments(options, peer, { controlSocket, dataPort }));
  const close = async (): Promise<void> => {
    await child.stop();
    await rm(controlSocket, { force: true });
  };
  try {
    await untilUp(child, controlSocket, peer.hostId, AbortSignal.any([signal, AbortSignal.timeout(options.connectDeadlineMs)]));
  } catch (error) {
    await close();
    if (signal.aborted) throw new PlimsollError('aborted', 'opening the ssh channel was given up', { cause: signal.reason });
    throw error;
  }
  const lost = new AbortController();
  void abortAtEnd(child, peer.hostId, lost);
  return { controlSocket, dataPort, lost: lost.signal, close };
}

/** Exported for the test of what is never allowed. */
export function sshArguments(
  options: SshOptions,
  peer: { readonly hostId: HostId; readonly underlay: string },
  forward: { readonly controlSocket: string; readonly dataPort: number },
): readonly string[] {
  const settings = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${options.knownHostsFile}`,
    'GlobalKnownHostsFile=none',
    `HostKeyAlias=${peer.hostId}`,
    'UpdateHostKeys=no',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'PreferredAuthentications=publickey',
    `Ciphers=${sshCipher}`,
    'Compression=no',
    'ControlMaster=no',
    'ControlPath=none',
    'ForwardAgent=no',
    'ExitOnForwardFailure=yes',
    'StreamLocalBindMask=0177',
    // Fifteen seconds without an answer end the connection, and with it the migration: the VM stays here.
    'ServerAliveInterval=5',
    'ServerAliveCountMax=3',
    `ConnectTimeout=${Math.ceil(options.connectDeadlineMs / 1000)}`,
  ];
  const { controlSocket, dataPort } = forward;
  return [
    'ssh',
    // No configuration file: nothing from outside of this list counts.
    '-F',
    'none',
    '-N',
    '-T',
    ...settings.flatMap((setting) => ['-o', setting]),
    '-i',
    options.keyFile,
    '-p',
    `${options.port}`,
    '-l',
    options.user,
    '-L',
    `${loopback}:${dataPort}:${loopback}:${dataPort}`,
    '-L',
    `${controlSocket}:${options.peerSocketPath}`,
    '--',
    peer.underlay,
  ];
}

async function abortAtEnd(child: Child, peer: HostId, lost: AbortController): Promise<void> {
  const { complaint } = await child.ended;
  lost.abort(new PlimsollError('channel-failed', `ssh to ${peer} ended: ${complaint === '' ? 'it said nothing' : complaint}`));
}

/** ssh binds its forwards after it has authenticated: when the socket leads somewhere, the peer is who it should be. */
async function untilUp(child: Child, controlSocket: string, peer: HostId, signal: AbortSignal): Promise<void> {
  while (!(await accepts(controlSocket))) {
    const end = child.hasEnded();
    if (end !== null) {
      const advice = 'check that its sshd runs, that its host key stands in known_hosts under its host id, and that it knows our key';
      throw new PlimsollError('channel-failed', `no ssh channel to ${peer}: ${end.complaint}; ${advice}`);
    }
    if (signal.aborted) throw new PlimsollError('channel-failed', `no ssh channel to ${peer} in time; check the network and its sshd`);
    await sleep(pollMs);
  }
}

async function accepts(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  const answer = await promise;
  socket.destroy();
  return answer;
}

/** A port that is free here now. Whether it is free on the peer shows when its QEMU listens: the migration then fails, and the VM stays. */
async function freePort(range: SshOptions['dataPorts'], signal: AbortSignal): Promise<number> {
  const count = range.last - range.first + 1;
  // Not always the first one: two agents that send to the same peer would ask for the same port there.
  const start = process.pid % count;
  for (let index = 0; index < count && !signal.aborted; index += 1) {
    const port = range.first + ((start + index) % count);
    if (await isFree(port)) return port;
  }
  throw new PlimsollError('channel-failed', `no free port from ${range.first} to ${range.last}; wait for a migration to end`);
}

async function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once('error', () => resolve(false));
  server.listen({ host: loopback, port, exclusive: true }, () => server.close(() => resolve(true)));
  return promise;
}
