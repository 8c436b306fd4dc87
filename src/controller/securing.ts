/** Makes, proves and closes the channel between two hosts by commands to both agents. */
import { judgeProof } from '#core/channel/proof.ts';
import type { ChannelProfile, ChannelSecrets, Proof, TuningRecord } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError, type RefusalCode, refusalOf } from '#core/model/result.ts';
import type { CommandArgs, CommandName, CommandReply, Peer } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';

const quickMs = 10_000;
const channelMs = 30_000;
const keyBytes = 32;

/** Two hosts, the one that sends first. */
export interface Ends {
  readonly fromHostId: HostId;
  readonly toHostId: HostId;
}

export interface Secured {
  readonly proof: Proof;
  readonly tuning: TuningRecord | null;
}

/** What is done between the SA and its proof; resolves with what the receipt says of it. */
export type Fit = (ends: Ends, profile: ChannelProfile) => Promise<TuningRecord | null>;

export class Securing {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #signal: AbortSignal;

  constructor(parts: ControllerParts, lines: AgentLines, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#signal = signal;
  }

  /** A channel of this profile, proven. One whose other end had died without this end's knowledge is made anew, once. */
  async secure(ends: Ends, profile: ChannelProfile, fit: Fit): Promise<Secured> {
    try {
      return await this.#openAndProve(ends, profile, fit);
    } catch (error) {
      const refusal = refusalOf(error);
      if (!mayBeStale(refusal.code)) throw error;
      this.#parts.log.warn('the channel is not proven, it is made anew once', { ...refusal });
      await this.close(ends);
      return this.#openAndProve(ends, profile, fit);
    }
  }

  /** Keys on both hosts, and the SA between them. */
  async open({ fromHostId, toHostId }: Ends, profile: ChannelProfile): Promise<void> {
    const secrets = this.#freshSecrets(profile);
    const source = this.peer(fromHostId, profile);
    const destination = this.peer(toHostId, profile);
    await this.#command(toHostId, 'channel.prepare', { peer: source, secrets }, channelMs);
    await this.#command(fromHostId, 'channel.prepare', { peer: destination, secrets }, channelMs);
    await this.#command(fromHostId, 'channel.establish', { peer: destination }, channelMs);
  }

  /** Throws `proof-failed` and the agents' own refusals. */
  async prove({ fromHostId, toHostId }: Ends, profile: ChannelProfile): Promise<Proof> {
    const source = this.peer(fromHostId, profile);
    const destination = this.peer(toHostId, profile);
    const nonce = this.#parts.random.id();
    await this.#command(toHostId, 'channel.listen', { peer: source, nonce }, quickMs);
    const sent = await this.#command(fromHostId, 'channel.probe', { peer: destination, nonce }, channelMs);
    const heard = await this.#command(toHostId, 'channel.heard', { nonce }, quickMs);
    const verdict = judgeProof(profile, sent.facts, heard.facts, this.#parts.clock.nowMs());
    if (!verdict.ok) throw new PlimsollError(verdict.refusal.code, verdict.refusal.message);
    return verdict.proof;
  }

  /** Takes the channel down on both hosts; what cannot be reached is left to its agent's own time-outs. */
  async close({ fromHostId, toHostId }: Ends): Promise<void> {
    await this.#tryCommand(fromHostId, 'channel.close', { peerHostId: toHostId });
    await this.#tryCommand(toHostId, 'channel.close', { peerHostId: fromHostId });
  }

  /** Lets traffic between the two pass the guards of both in plain text, for a time; 0 ends it. */
  async exempt({ fromHostId, toHostId }: Ends, lifetimeMs: number): Promise<void> {
    await this.#command(toHostId, 'guard.exempt', { peerUnderlay: this.#underlayOf(fromHostId), lifetimeMs }, quickMs);
    await this.#command(fromHostId, 'guard.exempt', { peerUnderlay: this.#underlayOf(toHostId), lifetimeMs }, quickMs);
  }

  /** As far as the hosts can be reached; the kernel ends the rest by itself. */
  async withdrawExemption({ fromHostId, toHostId }: Ends, underlays: (hostId: HostId) => string | null): Promise<void> {
    for (const [hostId, peer] of [
      [fromHostId, toHostId],
      [toHostId, fromHostId],
    ] as const) {
      const peerUnderlay = underlays(peer);
      if (peerUnderlay !== null) await this.#tryCommand(hostId, 'guard.exempt', { peerUnderlay, lifetimeMs: 0 });
    }
  }

  /** Throws `host-down`. */
  peer(hostId: HostId, profile: ChannelProfile): Peer {
    const facts = this.#lines.facts(hostId);
    if (!facts) throw new PlimsollError('host-down', `host ${hostId} is not connected: start its agent (or wait, it dials by itself)`);
    const { ikeProposals, espProposals, ahProposals } = profile;
    const lists = { ikeProposals: [...ikeProposals], espProposals: [...espProposals], ahProposals: [...ahProposals] };
    return { hostId, addresses: facts.addresses, profile: { ...profile, ...lists } };
  }

  async #openAndProve(ends: Ends, profile: ChannelProfile, fit: Fit): Promise<Secured> {
    await this.open(ends, profile);
    // The proof comes last: it is fresh when the transfer starts, and it is of the channel as it was fitted.
    const tuning = await fit(ends, profile);
    return { proof: await this.prove(ends, profile), tuning };
  }

  #underlayOf(hostId: HostId): string {
    const facts = this.#lines.facts(hostId);
    if (!facts) throw new PlimsollError('host-down', `host ${hostId} is not connected: start its agent (or wait, it dials by itself)`);
    return facts.addresses.underlay;
  }

  /** New ones for each channel, in memory only: they go to the two agents over their mutual TLS and nowhere else. */
  #freshSecrets({ authentication, postQuantumKey }: ChannelProfile): ChannelSecrets {
    return {
      preSharedKey: authentication === 'psk' ? this.#parts.randomKey(keyBytes) : null,
      postQuantumKey: postQuantumKey ? this.#parts.randomKey(keyBytes) : null,
    };
  }

  #command<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>, timeoutMs: number): Promise<CommandReply<Name>> {
    return this.#lines.command(hostId, name, args, timeoutMs, this.#signal);
  }

  async #tryCommand<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>): Promise<void> {
    try {
      await this.#command(hostId, name, args, quickMs);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warn('command failed', { hostId, command: name, ...refusalOf(error) });
    }
  }
}

/** An SA whose other end died (its charon was killed) still looks good on this end: a fresh one settles it. */
function mayBeStale(code: RefusalCode): boolean {
  return code === 'proof-failed' || code === 'ipsec-failed';
}
