import type { JobOutcome, Progress } from '#core/model/migration.ts';
import type { MigrateRequest } from '#core/ports.ts';
import type { OtherChannelKind, TransportOutcome, TransportRequest } from '#core/transports.ts';

export type { OtherChannelKind, TransportOutcome, TransportRequest } from '#core/transports.ts';

/**
 * Moves one running VM from this host over a channel of one kind. Resolves when it runs on the peer. Rejects with a PlimsollError:
 * the VM then runs here, unless the code is `truth-unknown` (ask both hosts) or `zero-copies` (its image waits on this host).
 * Aborting the signal ends the move and rejects with `aborted`, or comes too late and changes nothing.
 */
export interface Transport {
  readonly kind: OtherChannelKind;
  migrate(request: TransportRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<TransportOutcome>;
}

/** The part of a hypervisor that live migration over these channels needs; `through` as the libvirt driver has it. */
export interface LiveMigrator {
  migrate(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome>;
}

/** A migration that may go through a forward of this host: a socket to the peer's daemon, and one port, the same on both loopbacks. */
export type ThroughRequest = MigrateRequest & { readonly through?: { readonly controlSocket: string; readonly dataPort: number } };

/** Live migration straight to the peer's underlay address: in QEMU's own TLS, or in plain text. */
export function directTransport(kind: 'qemu-tls' | 'none', hypervisor: LiveMigrator): Transport {
  return {
    kind,
    migrate: async (request, onProgress, signal) => {
      const outcome = await hypervisor.migrate(liveRequest(request, kind), onProgress, signal);
      // GnuTLS chooses inside QEMU, which does not tell.
      return { ...outcome, cipher: kind === 'qemu-tls' ? 'TLS, chosen by QEMU' : null };
    },
  };
}

export function liveRequest(request: TransportRequest, streamSecurity: MigrateRequest['streamSecurity']): MigrateRequest {
  const { vmId, peerHostId, peerUnderlay, options } = request;
  return { vmId, peerHostId, peerAddress: peerUnderlay, streamSecurity, options };
}
