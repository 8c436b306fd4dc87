/** The statement that a receipt signs: what was moved, for whom, through what, and what it cost. */
import type { Migration } from '#core/model/migration.ts';
import { outcomeOf } from './step.ts';

export interface ReceiptStatement {
  readonly version: 1;
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
  readonly vmEpoch: number;
  readonly askedAtMs: number;
  readonly endedAtMs: number;
  readonly outcome: 'moved' | 'stayed' | 'unclear';
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly channel: ReceiptChannel | null;
  readonly transfer: {
    readonly totalMs: number;
    readonly downtimeMs: number | null;
    readonly hypervisorBytes: number;
    readonly iterations: number | null;
  } | null;
}

export interface ReceiptChannel {
  readonly mode: string;
  readonly encryption: string;
  readonly keyExchange: string;
  readonly spiSourceToDestination: string;
  readonly spiDestinationToSource: string;
  readonly provenAtMs: number;
  readonly plainProbesDropped: number;
  /** Through the SA from the transfer's start to its end; null when the counters could not be read at the end. */
  readonly espBytes: number | null;
  readonly espPackets: number | null;
  /** The SA carried at least what the hypervisor says it sent. Null when either figure is missing. */
  readonly coversHypervisorBytes: boolean | null;
}

export function receiptOf(migration: Migration, sequence: number, previousSha256: string | null): ReceiptStatement {
  const { request, outcome } = migration;
  return {
    version: 1,
    sequence,
    previousSha256,
    migrationId: request.migrationId,
    vmId: request.vmId,
    vmName: request.vmName,
    fromHostId: request.fromHostId,
    toHostId: request.toHostId,
    cause: request.cause,
    askedBy: request.askedBy,
    vmEpoch: request.vmEpoch,
    askedAtMs: request.askedAtMs,
    endedAtMs: migration.endedAtMs ?? migration.phaseSinceMs,
    outcome: outcomeOf(migration),
    failure: migration.failure,
    channel: channelOf(migration),
    transfer: outcome && {
      totalMs: outcome.totalMs,
      downtimeMs: outcome.downtimeMs,
      hypervisorBytes: outcome.memorySentBytes,
      iterations: outcome.iterations,
    },
  };
}

function channelOf(migration: Migration): ReceiptChannel | null {
  const { proof, saBefore, saAfter, outcome } = migration;
  if (proof === null) return null;
  const sameSa = saBefore !== null && saAfter !== null && saBefore.spiOut === saAfter.spiOut;
  const espBytes = sameSa ? saAfter.bytesOut - saBefore.bytesOut : null;
  return {
    mode: proof.mode,
    encryption: proof.encryption,
    keyExchange: proof.keyExchange,
    spiSourceToDestination: proof.spiSourceToDestination,
    spiDestinationToSource: proof.spiDestinationToSource,
    provenAtMs: proof.provenAtMs,
    plainProbesDropped: proof.plainProbesDropped,
    espBytes,
    espPackets: sameSa ? saAfter.packetsOut - saBefore.packetsOut : null,
    coversHypervisorBytes: espBytes === null || outcome === null ? null : espBytes >= outcome.memorySentBytes,
  };
}
