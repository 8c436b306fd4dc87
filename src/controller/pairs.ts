/** What two hosts say of the channel between them, joined. */
import type { SecurityAssociation, TuningRecord } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { Refusal } from '#core/model/result.ts';
import type { CommandReply } from '#wire/agent-protocol.ts';
import type { ChannelEndResource, ChannelResource } from '#wire/channel-api.ts';

/** One host's answer to `channel.list`, or why there is none. */
export type HostReport = { readonly list: CommandReply<'channel.list'> } | { readonly refusal: Refusal };

/** One end, out of its host's report of all its channels. */
export function endOf(hostId: HostId, peerHostId: HostId, report: HostReport): ChannelEndResource {
  if ('refusal' in report) return { hostId, refusal: report.refusal, backend: null, sa: null, guard: null, errors: null, tuned: null };
  const { backend, guard, errors, sas, tuned } = report.list;
  const tunedFor = tuned.find((tuning) => tuning.peerHostId === peerHostId) ?? null;
  return { hostId, refusal: null, backend, sa: newestOf(sas, peerHostId), guard, errors, tuned: tunedFor };
}

/** How the two ends fit together. */
export function stateOf([one, other]: readonly [ChannelEndResource, ChannelEndResource]): ChannelResource['state'] {
  if (one.sa !== null && other.sa !== null) return one.sa.spiOut === other.sa.spiIn && one.sa.spiIn === other.sa.spiOut ? 'up' : 'half';
  if (one.refusal !== null || other.refusal !== null) return 'unknown';
  return one.sa === null && other.sa === null ? 'down' : 'half';
}

/** Every pair that has, or had, something between them; each once, its first host being the lesser name. */
export function pairsOf(
  reports: ReadonlyMap<HostId, HostReport>,
  tunings: readonly { readonly hostA: HostId; readonly hostB: HostId; readonly record: TuningRecord }[],
): readonly (readonly [HostId, HostId])[] {
  const pairs = new Map<string, readonly [HostId, HostId]>();
  const add = (one: HostId, other: HostId) => {
    const pair = one < other ? ([one, other] as const) : ([other, one] as const);
    pairs.set(pair.join(' '), pair);
  };
  for (const [hostId, report] of reports) {
    if ('refusal' in report) continue;
    for (const { peerHostId } of [...report.list.sas, ...report.list.tuned]) add(hostId, peerHostId);
  }
  for (const { hostA, hostB } of tunings) add(hostA, hostB);
  return [...pairs].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
}

/** The SA that carries traffic: during a rekey there are two, and the newer one is used. */
function newestOf(sas: readonly SecurityAssociation[], peerHostId: HostId): SecurityAssociation | null {
  const usable = sas.filter((sa) => sa.peerHostId === peerHostId && (sa.state === 'installed' || sa.state === 'rekeying'));
  return usable.toSorted((a, b) => Number(b.childUniqueId) - Number(a.childUniqueId))[0] ?? null;
}
