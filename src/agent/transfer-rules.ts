/** When a transfer may begin and go on, by what protects it. */
import { goesPastGuard } from '#core/channel/weaker.ts';
import { judgeReading } from '#core/channel/watch.ts';
import type { ChannelKind, ChannelReading, GuardState } from '#core/model/channel.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { CommandArgs, Peer } from '#wire/agent-protocol.ts';

type Start = CommandArgs<'transfer.start'>;

/** Throws unless the guard stands and, where it would drop this kind of channel, lets exactly this peer through in plain text. */
export function mustBeLetThrough(kind: ChannelKind, peer: Peer, guard: GuardState): void {
  if (!guard.installed) throw new PlimsollError('guard-missing', 'the guard is gone from this host: nothing was sent');
  if (goesPastGuard(kind) || guard.exemptPeers.includes(peer.addresses.underlay)) return;
  throw new PlimsollError(
    'grant-missing',
    `the guard of this host lets nothing to ${peer.hostId} (${peer.addresses.underlay}) through outside IPsec: a break-glass grant is needed`,
  );
}

/** Null while the transfer may go on. */
export function judgeTransfer({ channelKind, peer }: Start, first: ChannelReading, now: ChannelReading): Refusal | null {
  if (channelKind === 'ipsec') {
    const proven = { spiSourceToDestination: first.sa?.spiOut ?? '', spiDestinationToSource: first.sa?.spiIn ?? '' };
    const verdict = judgeReading(proven, first, now);
    return verdict.kind === 'fine' ? null : verdict.refusal;
  }
  if (!now.guard.installed) return { code: 'guard-missing', message: 'the guard on the source is gone or was changed' };
  if (goesPastGuard(channelKind) || now.guard.exemptPeers.includes(peer.addresses.underlay)) return null;
  return { code: 'grant-invalid', message: `the exemption of ${peer.hostId} from the guard has ended` };
}
