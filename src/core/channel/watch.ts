/** Whether a transfer may go on, judged from readings of the source's end of its channel. */
import type { ChannelReading, IpsecErrors, Proof, SaCounters, SecurityAssociation } from '#core/model/channel.ts';
import type { Refusal } from '#core/model/result.ts';

export const watchPolicy = { intervalMs: 500 } as const;

/** A host reports at most this many replaced SAs, the newest. */
const replacedMax = 64;

export type WatchVerdict = { readonly kind: 'fine' } | { readonly kind: 'abort'; readonly refusal: Refusal };

/** Which SA was proven, from the source's view. */
export type ProvenSa = Pick<Proof, 'spiSourceToDestination' | 'spiDestinationToSource'>;

/** What one end of a channel has carried, over all the SAs that followed each other by rekeying. */
export interface Carried {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
}

export function carried(sa: SecurityAssociation): Carried {
  return total([...sa.replaced, sa]);
}

function total(sas: readonly SaCounters[]): Carried {
  const sum = (of: (sa: SaCounters) => number): number => sas.reduce((before, sa) => before + of(sa), 0);
  return {
    bytesIn: sum((sa) => sa.bytesIn),
    bytesOut: sum((sa) => sa.bytesOut),
    packetsIn: sum((sa) => sa.packetsIn),
    packetsOut: sum((sa) => sa.packetsOut),
  };
}

/**
 * How often the SA of `first` was replaced until `now`; null when `now` does not follow from it by rekeying alone. After more rekeys
 * than a host remembers it is the number that it does remember.
 */
export function rekeysBetween(first: SecurityAssociation, now: SecurityAssociation): number | null {
  if (isSame(first, now)) return 0;
  const index = now.replaced.findLastIndex((old) => isSame(first, old));
  if (index !== -1) return now.replaced.length - index;
  return now.replaced.length >= replacedMax ? now.replaced.length : null;
}

/**
 * What went through the channel from `first` to `now`; null when `now` is not the same channel. Only the SAs from `first`'s on
 * count. Where a host has forgotten `first`'s, what it remembers is the least that can have gone through.
 */
export function carriedBetween(first: SecurityAssociation, now: SecurityAssociation): Carried | null {
  const rekeys = rekeysBetween(first, now);
  if (rekeys === null) return null;
  const since = now.replaced.slice(now.replaced.length - rekeys);
  const after = total([...since, now]);
  if (rekeys > 0 && !since.some((old) => isSame(first, old))) return after;
  return {
    bytesIn: after.bytesIn - first.bytesIn,
    bytesOut: after.bytesOut - first.bytesOut,
    packetsIn: after.packetsIn - first.packetsIn,
    packetsOut: after.packetsOut - first.packetsOut,
  };
}

/** Errors counted from `first` to `now`; null when either could not be read. A daemon that started anew counts from 0 again. */
export function errorsBetween(first: IpsecErrors | null, now: IpsecErrors | null): IpsecErrors | null {
  if (first === null || now === null) return null;
  const grown = (of: (errors: IpsecErrors) => number): number => (of(now) >= of(first) ? of(now) - of(first) : of(now));
  return {
    integrityPackets: grown((errors) => errors.integrityPackets),
    replayPackets: grown((errors) => errors.replayPackets),
    unknownSpiPackets: grown((errors) => errors.unknownSpiPackets),
    plainTextPackets: grown((errors) => errors.plainTextPackets),
  };
}

/**
 * Judges the newest reading of a transfer against the proof it began with and its first reading. The channel must still be the one
 * that was proven, its keys replaced at most, with the same algorithms, behind an intact guard. Outgoing drops are this host's own
 * migration traffic without IPsec, which ends it too. Incoming drops and IPsec's errors are not judged, for anybody on the
 * network can cause them; they are dropped already, and recorded.
 */
export function judgeReading(proven: ProvenSa, first: ChannelReading, now: ChannelReading): WatchVerdict {
  if (!now.guard.installed)
    return stop('guard-missing', "the guard on the source is gone or was changed: nothing keeps the VM's memory inside IPsec");
  const fault = channelFault(proven, first.sa, now.sa);
  if (fault !== null) return stop('channel-failed', `${fault}; the VM stays on its source`);
  const plain = now.guard.droppedOutPackets - first.guard.droppedOutPackets;
  // Fewer than before: the guard was made anew in between, and what it had counted is lost.
  if (plain < 0) return stop('guard-missing', 'the guard on the source was made anew during the transfer: look for who removed it');
  if (plain > 0) {
    const message = `migration traffic of the source tried to leave in plain text (${plain} packets, all dropped): look at the IPsec policies of the host`;
    return stop('plain-text-seen', message);
  }
  return { kind: 'fine' };
}

function channelFault(proven: ProvenSa, first: SecurityAssociation | null, now: SecurityAssociation | null): string | null {
  if (now === null) return 'the SA is gone';
  if (now.state !== 'installed' && now.state !== 'rekeying') return `the SA is ${now.state}`;
  if (first === null || first.spiOut !== proven.spiSourceToDestination || first.spiIn !== proven.spiDestinationToSource)
    return 'the transfer did not begin with the SA that was proven';
  if (rekeysBetween(first, now) === null) return 'the SA was replaced by one that does not follow from it';
  return changedFault(first, now);
}

function changedFault(first: SecurityAssociation, now: SecurityAssociation): string | null {
  if (now.peerHostId !== first.peerHostId) return `the SA is with ${now.peerHostId} now`;
  if (now.protocol !== first.protocol || now.mode !== first.mode || (now.outer === null) !== (first.outer === null))
    return 'a rekey changed how the SA wraps packets';
  if (now.encryption !== first.encryption || now.integrity !== first.integrity || now.outer?.integrity !== first.outer?.integrity)
    return `a rekey changed the algorithms to ${now.encryption}${now.integrity === null ? '' : `, ${now.integrity}`}`;
  if (first.extendedSequenceNumbers && !now.extendedSequenceNumbers) return 'a rekey gave up 64-bit sequence numbers';
  return null;
}

function isSame(a: SaCounters, b: SaCounters): boolean {
  return a.spiIn === b.spiIn && a.spiOut === b.spiOut;
}

function stop(code: Refusal['code'], message: string): WatchVerdict {
  return { kind: 'abort', refusal: { code, message } };
}
