/**
 * What to set on the two ends of a channel so that its packets are as large as the whole path carries, and no larger.
 *
 *   ways of both ends -> planMeasurement -> (path MTU measured both ways) -> planTuning -> (bulk stream before, after) -> keepBetter
 */
import type { ChannelProfile, PeerTuning, SecurityAssociation, SizeLimit, TuningRecord, WayFacts } from '#core/model/channel.ts';
import type { HostAddresses, HostId } from '#core/model/host.ts';
import type { ChannelPolicy } from '#core/model/policy.ts';
import type { Result } from '#core/model/result.ts';
import {
  fullSegment,
  type FullSegment,
  ipVersionOf,
  overheadBytes,
  packetBytesMax,
  type Wrapping,
  wrappingOfProfile,
  wrappingOfSa,
} from './overhead.ts';
import { migrationAddress } from './profiles.ts';

export interface TuningEnd {
  readonly hostId: HostId;
  readonly addresses: HostAddresses;
  /** Its way to the other end, as it was before anything was set. */
  readonly way: WayFacts;
}

export interface TuningFacts {
  readonly profile: ChannelProfile;
  /** The SA that is up; null predicts from the profile's best proposals. */
  readonly sa: SecurityAssociation | null;
  readonly source: TuningEnd;
  readonly destination: TuningEnd;
  readonly policy: ChannelPolicy['tuning'];
}

/** Settings for each end: what it sets towards the other. Null: nothing. */
export interface EndSettings {
  readonly source: PeerTuning | null;
  readonly destination: PeerTuning | null;
}

export interface MeasurementPlan {
  /** Interface MTUs to raise for the measurement, since no larger packet leaves without. */
  readonly settings: EndSettings;
  /** No larger packet can be of use (`path.measure`). */
  readonly packetBytesMax: number;
  /** Sizes that the path is likely to carry. */
  readonly hintsBytes: readonly number[];
}

export interface Prediction {
  readonly before: FullSegment;
  readonly after: FullSegment;
  /** False where the path loses the packets of the settings before: a black hole. */
  readonly beforeFits: boolean;
}

export type TuningRecordFields = Omit<TuningRecord, 'measuredAtMs' | 'bytesPerSecondBefore' | 'bytesPerSecondAfter' | 'kept'>;

export interface TuningPlan {
  readonly settings: EndSettings;
  readonly record: TuningRecordFields;
  readonly prediction: Prediction;
  /** What stands in the way of larger packets, as a sentence. */
  readonly limit: string;
}

/** Says what to set before the path MTU is measured, and how far to look. */
export function planMeasurement({ profile, source, destination, policy }: TuningFacts): MeasurementPlan {
  const reach = Math.min(reachOf(source.way, policy), reachOf(destination.way, policy));
  const raise = (from: TuningEnd, to: TuningEnd): PeerTuning | null =>
    reach > from.way.interfaceMtuBytes ? { ...settingsOf(profile, from, to), interfaceMtuBytes: reach } : null;
  const hints = [source.way, destination.way].flatMap((way) => [way.interfaceMtuBytes, way.routeMtuBytes ?? way.interfaceMtuBytes]);
  return {
    settings: { source: raise(source, destination), destination: raise(destination, source) },
    packetBytesMax: reach,
    hintsBytes: [...new Set(hints)],
  };
}

/**
 * Plans the settings for a path MTU that was measured (the smaller one of the two directions). Refuses a path that does not even
 * carry a TCP segment in this channel. All sizes are of whole IP packets.
 */
export function planTuning(facts: TuningFacts, pathMtuBytes: number): Result<{ readonly plan: TuningPlan }, { readonly why: string }> {
  const wrapping = wrappingOf(facts);
  const tunnelMtuBytes = leastOf(facts, (way) => way.tunnelMtuBytes);
  const mtuBeforeBytes = Math.min(mtuOf(facts.source.way), mtuOf(facts.destination.way));
  const segment = (mtuBytes: number): FullSegment =>
    fullSegment(wrapping, { pathMtuBytes: mtuBytes, tunnelMtuBytes, mssBytesMax: null, tcpTimestamps: true });
  const before = segment(mtuBeforeBytes);
  const after = segment(pathMtuBytes);
  if (after.mssBytes < mssBytesMin)
    return { ok: false, why: `the path carries packets of ${pathMtuBytes} bytes only, too small for a TCP segment inside of this channel` };
  const limitedBy = limitOf(facts, pathMtuBytes, tunnelMtuBytes, after);
  const settings = settingsFor(facts, pathMtuBytes, after.mssBytes);
  return {
    ok: true,
    plan: {
      settings,
      record: {
        pathMtuBytes,
        limitedBy,
        overheadBytes: overheadBytes(after),
        mssBeforeBytes: before.mssBytes,
        mssAfterBytes: after.mssBytes,
        mtuBeforeBytes,
        mtuAfterBytes: mtuAfter(facts, pathMtuBytes),
      },
      prediction: { before, after, beforeFits: before.packetBytes <= pathMtuBytes },
      limit: limitSentence(limitedBy, facts, pathMtuBytes, tunnelMtuBytes),
    },
  };
}

/** Linux takes no lower MSS from a SYN (`TCP_MIN_MSS`), and the contract's settings none below. */
const mssBytesMin = 88;

/** A difference of this share is noise, on a link that others use too. */
const noiseShare = 0.03;

export interface StreamMeasured {
  readonly bytesPerSecond: number;
}

/**
 * Which settings to keep, by a short transfer through the channel with each. The planned ones win unless they are measurably slower,
 * because they need fewer packets, and so less CPU than a short transfer shows; without a measurement the prediction decides.
 */
export function keepBetter(before: StreamMeasured | null, after: StreamMeasured | null): 'before' | 'after' {
  // Nothing came through with the new ones, or nobody could tell: old settings that did carry something are the safe ones.
  if (after === null) return before === null ? 'after' : 'before';
  if (before === null) return 'after';
  if (after.bytesPerSecond <= 0) return 'before';
  return after.bytesPerSecond >= before.bytesPerSecond * (1 - noiseShare) ? 'after' : 'before';
}

/** The record of a tuning that is over. */
export function tuningRecord(
  plan: TuningPlan,
  measured: { readonly before: StreamMeasured | null; readonly after: StreamMeasured | null },
  measuredAtMs: number,
): TuningRecord {
  return {
    measuredAtMs,
    ...plan.record,
    bytesPerSecondBefore: measured.before?.bytesPerSecond ?? null,
    bytesPerSecondAfter: measured.after?.bytesPerSecond ?? null,
    kept: keepBetter(measured.before, measured.after),
  };
}

function wrappingOf({ profile, sa, source, destination }: TuningFacts): Wrapping {
  const outer = ipVersionOf(destination.addresses.underlay);
  const inner = ipVersionOf(migrationAddress(profile, destination.addresses));
  if (sa !== null) return wrappingOfSa(profile.name, sa, outer, inner);
  const userspace = source.way.tunnelMtuBytes !== null || destination.way.tunnelMtuBytes !== null;
  return wrappingOfProfile(profile, outer, inner, userspace);
}

/** How large an interface may become, by its device and by policy. */
function reachOf(way: WayFacts, policy: ChannelPolicy['tuning']): number {
  if (!mayRaise(way, policy)) return Math.min(way.interfaceMtuBytes, packetBytesMax);
  const largest = Math.min(way.interfaceMtuBytesMax ?? way.interfaceMtuBytes, policy.mtuBytesMax, packetBytesMax);
  return Math.max(way.interfaceMtuBytes, largest);
}

/** Larger outer packets are of no use to userspace ESP, whose TUN device holds the inner ones small. */
function mayRaise(way: WayFacts, policy: ChannelPolicy['tuning']): boolean {
  return policy.mode === 'raise' && way.tunnelMtuBytes === null;
}

function mtuOf(way: WayFacts): number {
  return Math.min(way.interfaceMtuBytes, way.routeMtuBytes ?? way.interfaceMtuBytes);
}

function leastOf(facts: TuningFacts, of: (way: WayFacts) => number | null): number | null {
  const values = [of(facts.source.way), of(facts.destination.way)].filter((value) => value !== null);
  return values.length === 0 ? null : Math.min(...values);
}

/** The host's path MTU after the settings: only `raise` changes MTUs, a clamp alone leaves them. */
function mtuAfter(facts: TuningFacts, pathMtuBytes: number): number {
  const ends = [facts.source.way, facts.destination.way];
  return Math.min(...ends.map((way) => (mayRaise(way, facts.policy) ? pathMtuBytes : mtuOf(way))));
}

function settingsFor(facts: TuningFacts, pathMtuBytes: number, mssBytes: number): EndSettings {
  const { profile, source, destination, policy } = facts;
  if (policy.mode === 'off') return { source: null, destination: null };
  const end = (from: TuningEnd, to: TuningEnd): PeerTuning => {
    const raises = mayRaise(from.way, policy);
    const interfaceMtuBytes = raises && pathMtuBytes > from.way.interfaceMtuBytes ? pathMtuBytes : null;
    const mtuBytes = Math.max(from.way.interfaceMtuBytes, interfaceMtuBytes ?? 0);
    // The route says what the path carries where that is less than the interface, or more than the route's own.
    const routeMtuBytes =
      raises && (pathMtuBytes < mtuBytes || interfaceMtuBytes !== null || from.way.routeMtuBytes !== null) ? pathMtuBytes : null;
    return { ...settingsOf(profile, from, to), mssBytes, routeMtuBytes, interfaceMtuBytes };
  };
  return { source: end(source, destination), destination: end(destination, source) };
}

/** Names the peer and changes nothing yet. */
function settingsOf(profile: ChannelProfile, from: TuningEnd, to: TuningEnd): PeerTuning {
  return {
    peerHostId: to.hostId,
    peerUnderlay: to.addresses.underlay,
    peerChannelAddress: migrationAddress(profile, to.addresses),
    interface: from.way.interface,
    mssBytes: null,
    routeMtuBytes: null,
    interfaceMtuBytes: null,
  };
}

function limitOf(facts: TuningFacts, pathMtuBytes: number, tunnelMtuBytes: number | null, after: FullSegment): SizeLimit {
  if (tunnelMtuBytes !== null && after.innerPacketBytes >= tunnelMtuBytes) return 'userspace-esp';
  const ends = [facts.source.way, facts.destination.way];
  const reach = Math.min(...ends.map((way) => reachOf(way, facts.policy)));
  if (pathMtuBytes < reach) return 'path';
  // At least one end goes no further: its device, or what policy makes of it.
  const atLimit = ends.filter((way) => reachOf(way, facts.policy) <= pathMtuBytes);
  return atLimit.some((way) => (way.interfaceMtuBytesMax ?? way.interfaceMtuBytes) <= pathMtuBytes) ? 'interface' : 'policy';
}

function limitSentence(limitedBy: SizeLimit, facts: TuningFacts, pathMtuBytes: number, tunnelMtuBytes: number | null): string {
  switch (limitedBy) {
    case 'userspace-esp':
      return `userspace ESP takes inner packets of ${tunnelMtuBytes ?? 0} bytes at most (its TUN device): a kernel with ESP would take ${pathMtuBytes} on the wire`;
    case 'path':
      return `the network between ${facts.source.hostId} and ${facts.destination.hostId} carries packets of ${pathMtuBytes} bytes, less than the interfaces: raise the MTU of its switches and routers`;
    case 'interface':
      return `an interface takes packets of ${pathMtuBytes} bytes at most, and the network carries them`;
    case 'policy':
      return facts.policy.mode === 'raise'
        ? `policy allows packets of ${facts.policy.mtuBytesMax} bytes, and the network carries them: raise channel.tuning.mtuBytesMax for more`
        : `policy leaves the interfaces at ${pathMtuBytes} bytes: channel.tuning.mode raise would try more`;
    default:
      return limitedBy satisfies never;
  }
}

/** Full packets that carry 1 GiB of the VM's memory. */
export function packetsPerGibibyte(segment: FullSegment): number {
  return Math.ceil(2 ** 30 / segment.payloadBytes);
}
