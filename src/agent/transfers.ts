import type { GuardState, SecurityAssociation } from '#core/model/channel.ts';
import type { Progress } from '#core/model/migration.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import { pause, withDeadline } from '#core/time.ts';
import type { CommandArgs, TransferStatus } from '#wire/agent-protocol.ts';
import type { Channels } from './channels.ts';
import type { Gate } from './gate.ts';
import type { AgentParts } from './parts.ts';
import { shortRefusalOf } from './short-refusal.ts';

interface Transfer {
  readonly peerHostId: string;
  readonly abort: AbortController;
  status: TransferStatus;
}

const channelCheckIntervalMs = 500;
/** A reading that takes longer has failed: a daemon that hangs is no better than one that is away. */
const channelReadingMsMax = 2000;
/** Readings in a row that may fail (a daemon that restarts) before the channel counts as lost. */
const channelReadingsLostMax = 6;
const finishedKeptMax = 64;

/** The transfers that this agent process has started; they go on when the line to the controller is lost. */
export class Transfers {
  readonly #parts: AgentParts;
  readonly #channels: Channels;
  readonly #gate: Gate;
  readonly #transfers = new Map<string, Transfer>();

  constructor(parts: AgentParts, channels: Channels, gate: Gate) {
    this.#parts = parts;
    this.#channels = channels;
    this.#gate = gate;
  }

  /** Resolves with the proven SA once the transfer is under way; it then runs by itself. */
  async start(args: CommandArgs<'transfer.start'>, signal: AbortSignal): Promise<SecurityAssociation> {
    const sa = await this.#channels.provenSa(args.peer, signal);
    // Whoever asked has been told by now that nothing began.
    signal.throwIfAborted();
    this.#gate.spend(args.migrationId, args.vmId, args.peer.hostId, this.#parts.clock.nowMs());
    this.#forgetOldest();
    const transfer: Transfer = { peerHostId: args.peer.hostId, abort: new AbortController(), status: { kind: 'running', progress: null } };
    this.#transfers.set(args.migrationId, transfer);
    void this.#run(transfer, args, sa);
    return sa;
  }

  status(migrationId: string): TransferStatus {
    return this.#transfers.get(migrationId)?.status ?? { kind: 'unknown' };
  }

  /** Aborts by the transfer's own signal, or, if an agent before this one started it, by the hypervisor's job. */
  async abort(migrationId: string, vmId: string, signal: AbortSignal): Promise<void> {
    const transfer = this.#transfers.get(migrationId);
    if (transfer?.status.kind === 'running') transfer.abort.abort(new PlimsollError('aborted', 'aborted on request'));
    else await this.#parts.hypervisor.abortJob(vmId, signal);
  }

  async #run(transfer: Transfer, args: CommandArgs<'transfer.start'>, sa: SecurityAssociation): Promise<void> {
    const ended = new AbortController();
    const note = (progress: Progress) => {
      if (transfer.status.kind === 'running') transfer.status = { kind: 'running', progress };
    };
    const watching = this.#watchChannel(transfer, sa, ended.signal);
    try {
      const outcome = await this.#parts.hypervisor.migrate(
        {
          vmId: args.vmId,
          peerHostId: args.peer.hostId,
          peerProtectedAddress: args.peer.addresses.protected,
          bandwidthBytesPerSecond: args.bandwidthBytesPerSecond,
          downtimeMsMax: args.downtimeMsMax,
        },
        note,
        transfer.abort.signal,
      );
      transfer.status = { kind: 'completed', outcome };
    } catch (error) {
      const reason: unknown = transfer.abort.signal.aborted ? transfer.abort.signal.reason : error;
      transfer.status = { kind: 'failed', refusal: shortRefusalOf(reason, 'hypervisor-failed') };
    } finally {
      ended.abort();
      await watching;
    }
    this.#parts.log.info('transfer ended', { migrationId: args.migrationId, vmId: args.vmId, ended: transfer.status.kind });
  }

  /** Aborts the transfer when its SA or the guard goes: fail closed, the VM stays here. */
  async #watchChannel(transfer: Transfer, sa: SecurityAssociation, ended: AbortSignal): Promise<void> {
    let unread = 0;
    while (!ended.aborted) {
      if (!(await pause(this.#parts.clock, channelCheckIntervalMs, ended))) return;
      const reading = await this.#readChannel(transfer.peerHostId, sa, ended);
      unread = reading.read ? 0 : unread + 1;
      const fault = reading.read || unread > channelReadingsLostMax ? reading.fault : null;
      if (fault !== null && !ended.aborted) {
        this.#parts.log.error('channel lost during a transfer', { peer: transfer.peerHostId, fault });
        transfer.abort.abort(
          new PlimsollError('channel-failed', `the channel to ${transfer.peerHostId} was lost: ${fault}; the VM stays here`),
        );
        return;
      }
    }
  }

  async #readChannel(
    peerHostId: string,
    proven: SecurityAssociation,
    ended: AbortSignal,
  ): Promise<{ readonly read: boolean; readonly fault: string | null }> {
    try {
      const { sa, guard } = await withDeadline(this.#parts.clock, channelReadingMsMax, ended, (limited) =>
        this.#channels.state(peerHostId, limited),
      );
      return { read: true, fault: channelFault(sa, guard, proven) };
    } catch (error) {
      return { read: false, fault: `it cannot be read: ${refusalOf(error).message}` };
    }
  }

  #forgetOldest(): void {
    if (this.#transfers.size < finishedKeptMax) return;
    for (const [id, transfer] of this.#transfers) {
      if (transfer.status.kind === 'running') continue;
      this.#transfers.delete(id);
      return;
    }
  }
}

function channelFault(sa: SecurityAssociation | null, guard: GuardState, proven: SecurityAssociation): string | null {
  if (!guard.installed) return 'the guard is gone';
  if (sa === null) return 'there is no SA any more';
  // A rekey changes the SPIs and keeps the proposal.
  const same = sa.encryption === proven.encryption && sa.mode === proven.mode;
  return same ? null : `its SA is now ${sa.encryption} in ${sa.mode} mode, proven was ${proven.encryption} in ${proven.mode} mode`;
}
