import { execFile } from 'node:child_process';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer } from '#core/ports.ts';
import { reqidsOf } from './reqid.ts';
import { type XfrmPolicy, bundlePolicies, policyDelete, policyList, policyUpdate, readPolicies } from './xfrm-policy.ts';
import { type XfrmState, readStates, stateDelete, stateList } from './xfrm-state.ts';

/** Runs `ip` with these arguments and gives its output; rejects with whatever it said. Never with a secret in them. */
export type RunIp = (args: readonly string[], signal: AbortSignal) => Promise<string>;

const ipPath = '/sbin/ip';

/** A change of policies takes milliseconds; starting a program can take seconds on a host that is over its line. */
const deadlineMs = 10_000;

/** A policy line is about 400 characters. */
const outputBytesMax = 16 * 1024 * 1024;

/** The system's ip(8), or another program with these arguments before ip's own. */
export function systemIp(path: string = ipPath, before: readonly string[] = []): RunIp {
  return (args, signal) =>
    new Promise((resolve, reject) => {
      const options = { signal, timeout: deadlineMs, maxBuffer: outputBytesMax };
      execFile(path, [...before, ...args], options, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (signal.aborted) reject(new PlimsollError('aborted', 'Waiting for the kernel to change its IPsec policies was given up.'));
        else reject(failed(args, error.killed === true ? `no answer within ${deadlineMs} ms` : stderr, error));
      });
    });
}

function failed(args: readonly string[], stderr: string, cause: unknown): PlimsollError {
  const reason = stderr.trim().split('\n').at(-1) || 'no reason given';
  return new PlimsollError(
    'ipsec-failed',
    `ip ${args.slice(0, 4).join(' ')} failed (${reason}): check that iproute2 is installed and that this process has CAP_NET_ADMIN.`,
    { cause },
  );
}

/** The kernel's side of the channels: policies of our own, and what charon left behind when it died. Kernel backend only. */
export class Xfrm {
  readonly #run: RunIp;

  constructor(run: RunIp) {
    this.#run = run;
  }

  /** Makes the kernel hold exactly the policies of this peer's bundle, beside those that charon installs. Idempotent. */
  async install(peer: ChannelPeer, signal: AbortSignal): Promise<void> {
    const wanted = bundlePolicies(peer);
    const present = await this.#policies(peer.peerHostId, signal);
    const presentKeys = new Set(present.map(fullKeyOf));
    for (const policy of wanted) if (!presentKeys.has(fullKeyOf(policy))) await this.#run(policyUpdate(policy), signal);
    const wantedKeys = new Set(wanted.map(keyOf));
    for (const policy of present) if (isOfBundle(policy) && !wantedKeys.has(keyOf(policy))) await this.#delete(policy, signal);
  }

  /** Takes away every bundle policy of this peer, whoever installed it. */
  async removeBundle(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    for (const policy of await this.#policies(peerHostId, signal)) if (isOfBundle(policy)) await this.#delete(policy, signal);
  }

  /** Takes away every SA and policy of this peer that is left in the kernel, whether charon or Plimsoll made it. */
  async removeAll(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    await this.removeStates(peerHostId, signal);
    for (const policy of await this.#policies(peerHostId, signal)) await this.#delete(policy, signal);
  }

  /** SAs outlive a charon that was killed: nobody rekeys or ends them, and the kernel would go on accepting their packets. */
  async removeStates(peerHostId: HostId, signal: AbortSignal): Promise<void> {
    for (const reqid of Object.values(reqidsOf(peerHostId))) {
      for (const state of await this.#states(reqid, signal)) await this.#deleteState(state, reqid, signal);
    }
  }

  /** The request ids that appear in our policies. */
  async reqidsInUse(signal: AbortSignal): Promise<ReadonlySet<number>> {
    return new Set(readPolicies(await this.#run(policyList, signal)).flatMap((policy) => policy.reqids));
  }

  /** Takes away the policies with any of these request ids. */
  async removeReqids(reqids: ReadonlySet<number>, signal: AbortSignal): Promise<void> {
    for (const policy of readPolicies(await this.#run(policyList, signal))) {
      if (policy.reqids.some((reqid) => reqids.has(reqid))) await this.#delete(policy, signal);
    }
  }

  async #policies(peerHostId: HostId, signal: AbortSignal): Promise<readonly XfrmPolicy[]> {
    const { esp, ah } = reqidsOf(peerHostId);
    const all = readPolicies(await this.#run(policyList, signal));
    return all.filter(({ reqids }) => reqids.includes(esp) || reqids.includes(ah));
  }

  async #states(reqid: number, signal: AbortSignal): Promise<readonly XfrmState[]> {
    return readStates(await this.#run(stateList(reqid), signal));
  }

  async #deleteState(state: XfrmState, reqid: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#run(stateDelete(state), signal);
    } catch (error) {
      // charon, or the SA's lifetime, may have been faster.
      if ((await this.#states(reqid, signal)).some(({ spi }) => spi === state.spi)) throw error;
    }
  }

  async #delete(policy: XfrmPolicy, signal: AbortSignal): Promise<void> {
    try {
      await this.#run(policyDelete(policy), signal);
    } catch (error) {
      // charon may have been faster.
      const left = readPolicies(await this.#run(policyList, signal));
      if (left.some((candidate) => keyOf(candidate) === keyOf(policy))) throw error;
    }
  }
}

/** A bundle has two templates; what charon installs has one. */
function isOfBundle({ reqids }: XfrmPolicy): boolean {
  return reqids.length > 1;
}

function fullKeyOf(policy: XfrmPolicy): string {
  return `${keyOf(policy)} ${policy.reqids.join()}`;
}

/** What the kernel tells policies apart by. */
function keyOf({ direction, source, destination, selector }: XfrmPolicy): string {
  return [direction, source.replace(/\/\d+$/, ''), destination.replace(/\/\d+$/, ''), ...selector].join(' ');
}
