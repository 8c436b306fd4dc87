/** The statement that a receipt signs: what was moved, for whom, through what, and what it cost. */
import { carriedBetween, errorsBetween, rekeysBetween } from '#core/channel/watch.ts';
import type {
  ChannelKind,
  ChannelReading,
  IpsecErrors,
  Proof,
  SaCounters,
  SecurityAssociation,
  TuningRecord,
} from '#core/model/channel.ts';
import type { Prediction } from '#core/model/forecast.ts';
import type { Measures } from '#core/model/measures.ts';
import type { Decision, TransferOptions } from '#core/model/method.ts';
import type { Migration } from '#core/model/migration.ts';
import { outcomeOf } from './step.ts';

/** What receipts of version 3 add: how the VM was to be moved, what that was to cost and did cost, and what was decided on the way. */
export interface ReceiptStatement extends Omit<ReceiptStatementV2, 'version'> {
  readonly version: 3;
  /** Null where it ended before it was chosen how. */
  readonly method: ReceiptMethod | null;
  /** What was predicted before the first byte; null where memory or channel could not be measured. */
  readonly prediction: Prediction | null;
  /** What it did cost, and how the VM was found on its destination; null where it did not get there. */
  readonly measures: Measures | null;
  /** Of the choice of the method and of the autopilot, oldest first. */
  readonly decisions: readonly Decision[];
  /** Decisions that were too many, out of the middle. */
  readonly decisionsLeftOut: number;
}

/** As planned: what the autopilot made of it is among the decisions, and the method that it ended with in the measures. */
export interface ReceiptMethod {
  readonly options: TransferOptions;
  readonly reason: string;
}

/** Receipts of before there were methods to choose from; they are stored and stay valid. */
export interface ReceiptStatementV2 {
  readonly version: 2;
  readonly sequence: number;
  /** SHA-256 (hex) of the envelope before this one; null for the first. Makes a removed receipt visible. */
  readonly previousSha256: string | null;
  readonly migrationId: string;
  readonly vmId: string;
  readonly vmName: string;
  readonly fromHostId: string;
  readonly toHostId: string;
  readonly cause: string;
  readonly askedBy: string;
  readonly approvedBy: string | null;
  readonly planId: string | null;
  readonly vmEpoch: number;
  readonly askedAtMs: number;
  readonly endedAtMs: number;
  readonly outcome: 'moved' | 'stayed' | 'unclear';
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly channel: ReceiptChannel;
  readonly transfer: ReceiptTransfer | null;
}

export interface ReceiptTransfer {
  readonly totalMs: number;
  readonly downtimeMs: number | null;
  readonly hypervisorBytes: number;
  readonly iterations: number | null;
}

export interface ReceiptChannel {
  readonly kind: ChannelKind;
  /** True for everything but IPsec. */
  readonly weaker: boolean;
  /** The break-glass grant that allowed a weaker channel. */
  readonly grantId: string | null;
  /** What encrypted a weaker channel, such as `aes256-gcm@openssh.com`. Null for IPsec, whose algorithms are in the proof, and for plain text. */
  readonly cipher: string | null;
  /** Null where the channel was never proven, as every channel that is not IPsec. */
  readonly proof: ReceiptProof | null;
  /** What went through IPsec, seen from the source. Null where the transfer never began, or its end could not be read. */
  readonly traffic: ReceiptTraffic | null;
  /** What the source's guard and IPsec refused during the transfer. Null as `traffic`. */
  readonly refused: ReceiptRefused | null;
  readonly packetSizes: ReceiptPacketSizes | null;
}

export type ReceiptProof = Proof;

/** Counters of one SA during the transfer, as the source counts them: `Out` is towards the destination. */
export type ReceiptSa = SaCounters;

export interface ReceiptTraffic {
  /** Oldest first: the SA that the transfer began with, and each that replaced it. */
  readonly sas: readonly ReceiptSa[];
  /** The AH SA around them, in profile `ah+esp`; the newest one, should it have been replaced. */
  readonly outer: ReceiptSa | null;
  readonly rekeys: number;
  readonly bytesOut: number;
  readonly packetsOut: number;
  readonly bytesIn: number;
  readonly packetsIn: number;
  /** IPsec carried at least what the hypervisor says it sent. Null when the hypervisor did not say. */
  readonly coversHypervisorBytes: boolean | null;
}

export interface ReceiptRefused {
  /** Plain text dropped by the guard, on its way out of the source, and into it. Null when the guard was made anew meanwhile. */
  readonly guardDroppedOutPackets: number | null;
  readonly guardDroppedInPackets: number | null;
  /** Null where the host cannot count them. */
  readonly errors: IpsecErrors | null;
}

export type ReceiptPacketSizes = Pick<
  TuningRecord,
  'pathMtuBytes' | 'limitedBy' | 'mtuBeforeBytes' | 'mtuAfterBytes' | 'mssBeforeBytes' | 'mssAfterBytes' | 'kept'
>;

/** A receipt is kept for ever: no more decisions than this, the first and the last of them, and no longer texts. */
const decisionsMax = 64;
const actionCharactersMax = 200;
const reasonCharactersMax = 1000;

export function receiptOf(migration: Migration, sequence: number, previousSha256: string | null): ReceiptStatement {
  const { request, outcome, failure, plan } = migration;
  return {
    version: 3,
    sequence,
    previousSha256,
    migrationId: request.migrationId,
    vmId: request.vmId,
    vmName: request.vmName,
    fromHostId: request.fromHostId,
    toHostId: request.toHostId,
    cause: request.cause,
    askedBy: request.askedBy,
    approvedBy: request.approvedBy,
    planId: request.planId,
    vmEpoch: request.vmEpoch,
    askedAtMs: request.askedAtMs,
    endedAtMs: migration.endedAtMs ?? migration.phaseSinceMs,
    outcome: outcomeOf(migration),
    failure: failure && { code: failure.code, message: failure.message },
    channel: channelOf(migration),
    transfer: outcome && {
      totalMs: outcome.totalMs,
      downtimeMs: outcome.downtimeMs,
      hypervisorBytes: outcome.memorySentBytes,
      iterations: outcome.iterations,
    },
    method: plan && { options: plan.options, reason: short(plan.reason, reasonCharactersMax) },
    prediction: plan?.prediction ?? null,
    measures: migration.measures,
    ...boundedDecisions(migration.decisions),
  };
}

function boundedDecisions(all: readonly Decision[]): Pick<ReceiptStatement, 'decisions' | 'decisionsLeftOut'> {
  const kept = all.length <= decisionsMax ? all : [...all.slice(0, decisionsMax / 2), ...all.slice(-decisionsMax / 2)];
  const decisions = kept.map(({ by, atMs, elapsedMs, action, reason }) => {
    return { by, atMs, elapsedMs, action: short(action, actionCharactersMax), reason: short(reason, reasonCharactersMax) };
  });
  return { decisions, decisionsLeftOut: all.length - kept.length };
}

function short(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}

function channelOf(migration: Migration): ReceiptChannel {
  const { request, proof, channelBefore: before, channelAfter: after, tuning } = migration;
  const kind = request.channelKind;
  return {
    kind,
    weaker: kind !== 'ipsec',
    grantId: request.grantId,
    cipher: migration.outcome?.cipher ?? null,
    proof,
    traffic: before && after && kind === 'ipsec' ? trafficOf(before.sa, after.sa, migration) : null,
    refused: before && after && refusedBetween(before, after),
    packetSizes: tuning && packetSizesOf(tuning),
  };
}

function trafficOf(before: SecurityAssociation | null, after: SecurityAssociation | null, migration: Migration): ReceiptTraffic | null {
  if (before === null || after === null) return null;
  const rekeys = rekeysBetween(before, after);
  const sum = carriedBetween(before, after);
  if (rekeys === null || sum === null) return null;
  const sas = [...after.replaced.slice(after.replaced.length - rekeys), after].map((sa) => countersSince(sa, before));
  const sent = migration.outcome?.memorySentBytes ?? null;
  const outer = after.outer && countersSince(after.outer, before.outer);
  return { sas, outer, rekeys, ...sum, coversHypervisorBytes: sent === null ? null : sum.bytesOut >= sent };
}

/** The first SA may have carried other things before the transfer. */
function countersSince(sa: SaCounters, before: SaCounters | null): ReceiptSa {
  const earlier = sa.spiIn === before?.spiIn && sa.spiOut === before.spiOut ? before : null;
  return {
    spiIn: sa.spiIn,
    spiOut: sa.spiOut,
    bytesIn: sa.bytesIn - (earlier?.bytesIn ?? 0),
    bytesOut: sa.bytesOut - (earlier?.bytesOut ?? 0),
    packetsIn: sa.packetsIn - (earlier?.packetsIn ?? 0),
    packetsOut: sa.packetsOut - (earlier?.packetsOut ?? 0),
  };
}

function refusedBetween(before: ChannelReading, after: ChannelReading): ReceiptRefused {
  const grown = (from: number, to: number): number | null => (to < from ? null : to - from);
  return {
    guardDroppedOutPackets: grown(before.guard.droppedOutPackets, after.guard.droppedOutPackets),
    guardDroppedInPackets: grown(before.guard.droppedInPackets, after.guard.droppedInPackets),
    errors: errorsBetween(before.errors, after.errors),
  };
}

function packetSizesOf(tuning: TuningRecord): ReceiptPacketSizes {
  const { pathMtuBytes, limitedBy, mtuBeforeBytes, mtuAfterBytes, mssBeforeBytes, mssAfterBytes, kept } = tuning;
  return { pathMtuBytes, limitedBy, mtuBeforeBytes, mtuAfterBytes, mssBeforeBytes, mssAfterBytes, kept };
}
