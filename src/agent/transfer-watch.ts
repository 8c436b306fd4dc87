/** What protects a transfer is looked at until the transfer ends, and when it goes, nothing more leaves. */
import type { ChannelReading } from '#core/model/channel.ts';
import { PlimsollError, type Refusal, refusalOf } from '#core/model/result.ts';
import { withDeadline } from '#core/time.ts';
import type { CommandArgs } from '#wire/agent-protocol.ts';
import { watchChannel, type WatchLimits } from './channel-watch.ts';
import type { Channels } from './channels.ts';
import type { AgentParts } from './parts.ts';
import { judgeTransfer } from './transfer-rules.ts';

type Start = CommandArgs<'transfer.start'>;

/** What a transfer's channel is seen, and closed, by. */
export interface TransferSight {
  readonly parts: Pick<AgentParts, 'clock' | 'log'>;
  readonly channels: Channels;
  readonly limits: WatchLimits;
}

export interface Watched {
  readonly args: Start;
  readonly first: ChannelReading;
  readonly transfer: {
    readonly isSplit: boolean;
    abort(why: PlimsollError): boolean;
  };
}

/**
 * Fail closed. A transfer whose VM can still stay here is aborted. In post-copy an abort would lose the VM: instead the guard is put
 * back and an SA that is not the proven one is taken down, so that the stream stands still behind the guard. The VM is then halted until
 * its channel is proven anew. It is looked at again and again, for a job may go into post-copy while it is being aborted.
 */
export async function watchTransfer(sight: TransferSight, watched: Watched, ended: AbortSignal): Promise<void> {
  const { args, first, transfer } = watched;
  const told = new Set<string>();
  // Which reading a fault is of; null when there was none. Not the newest one: that may come late, and belong to no fault.
  const judged: { reading: ChannelReading | null } = { reading: null };
  const channel = {
    read: (signal: AbortSignal) => read(sight, args, signal),
    judge: (reading: ChannelReading) => {
      judged.reading = reading;
      return judgeTransfer(args, first, reading);
    },
    unreadable: (why: string): Refusal => {
      judged.reading = null;
      return { code: 'channel-failed', message: `its channel cannot be read: ${why}; the VM stays here` };
    },
  };
  for (;;) {
    const fault = await watchChannel(sight.parts.clock, channel, sight.limits, ended);
    if (fault === null) return;
    const what = transfer.isSplit
      ? 'channel lost in post-copy: nothing is aborted, nothing leaves unprotected'
      : 'channel lost during a transfer';
    if (!told.has(what)) sight.parts.log.error(what, { peer: args.peer.hostId, vmId: args.vmId, fault: fault.message });
    told.add(what);
    if (transfer.isSplit) await closeWay(sight, args, { fault, reading: judged.reading }, ended);
    else transfer.abort(new PlimsollError(fault.code, `the transfer to ${args.peer.hostId} was aborted: ${fault.message}`));
  }
}

/** Null when this end cannot be read: an older reading would count too little. */
export async function lastReading(sight: TransferSight, args: Start): Promise<ChannelReading | null> {
  try {
    const going = new AbortController().signal;
    return await withDeadline(sight.parts.clock, sight.limits.readingMsMax, going, (signal) => read(sight, args, signal));
  } catch {
    return null;
  }
}

function read({ channels }: TransferSight, { channelKind, peer }: Start, signal: AbortSignal): Promise<ChannelReading> {
  return channelKind === 'ipsec' ? channels.reading(peer.hostId, signal) : channels.readingWithoutIpsec(signal);
}

/** What cannot be done now is done after the next look. */
async function closeWay(
  { parts: { clock, log }, channels, limits }: TransferSight,
  { peer, vmId }: Start,
  { fault, reading }: { readonly fault: Refusal; readonly reading: ChannelReading | null },
  ended: AbortSignal,
): Promise<void> {
  if (reading === null) return;
  try {
    if (!reading.guard.installed) await withDeadline(clock, limits.readingMsMax, ended, (signal) => channels.installGuard(signal));
    if (fault.code !== 'channel-failed' || reading.sa === null) return;
    await withDeadline(clock, limits.readingMsMax, ended, (signal) => channels.end(peer.hostId, signal));
    log.warn('an SA that was not proven was taken down in post-copy', { peer: peer.hostId, vmId });
  } catch (error) {
    if (!ended.aborted) log.warn('the way out of a post-copy could not be closed, it is tried again', { vmId, ...refusalOf(error) });
  }
}
