/**
 * Stop-and-copy of a VM as an encrypted file: save, seal, send, open, restore. Two ends, and the order of their steps.
 *
 *   source       running -> saved -> sent ---------> given away ---------------> gone
 *                   ^         |       |                  |  destination refused
 *                   +---------+-------+------------------+
 *   destination  nothing -> offered -> opened ------------------> running
 *
 * The saved image on the source is the VM until `giveAway`; from then on only the destination may start it, and the source takes
 * it back only when the destination has said that it did not and threw its copy away. If it cannot be asked, nobody acts.
 */
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';

import { ageCipher } from './age.ts';
import type { ImageDigest } from './image-line.ts';
import type { Transport, TransportRequest } from './transport.ts';

/** Where and for whom the image is to be sealed. */
export interface ImageOffer {
  readonly address: string;
  readonly port: number;
  /** Hex; proves to the receiver that this sender was told of the offer. */
  readonly token: string;
  /** Public key of age. */
  readonly recipient: string;
}

/** Known to be running, or known never to: the image was thrown away. Anything else is a rejection. */
export type RestoreVerdict = { readonly kind: 'running' } | { readonly kind: 'refused'; readonly refusal: Refusal };

/** The destination's end. Reached over an authenticated line: the digest that comes this way is what makes the image authentic. */
export interface ImageDestination {
  offer(vmId: VmId, signal: AbortSignal): Promise<ImageOffer>;
  /** Opens what was received if it is exactly what was sent. */
  open(vmId: VmId, sent: ImageDigest, signal: AbortSignal): Promise<void>;
  restore(vmId: VmId, signal: AbortSignal): Promise<RestoreVerdict>;
  /** Throws away what there is of an image that was not restored. */
  discard(vmId: VmId, signal: AbortSignal): Promise<void>;
}

/** The source's end. */
export interface ImageSource {
  save(vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<void>;
  send(vmId: VmId, offer: ImageOffer, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ImageDigest>;
  /** After this the VM can no longer be started here by anybody but `takeBack`. */
  giveAway(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Makes the VM run here again, from whichever state the other steps have left. */
  takeBack(vmId: VmId, signal: AbortSignal): Promise<void>;
  /** Removes the image of a VM that runs elsewhere. */
  forget(vmId: VmId, signal: AbortSignal): Promise<void>;
}

const mendMsMax = 10 * 60_000;

/** `destinationOf` gives the line to a peer's end. */
export function sealedImageTransport(
  source: ImageSource,
  destinationOf: (request: TransportRequest) => ImageDestination,
  monotonicMs: () => number = performance.now.bind(performance),
): Transport {
  return {
    kind: 'sealed-image',
    migrate: async (request, onProgress, signal) => {
      const outcome = await moveImage({ source, destination: destinationOf(request), monotonicMs }, request.vmId, onProgress, signal);
      return { ...outcome, cipher: ageCipher };
    },
  };
}

interface Ends {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly monotonicMs: () => number;
}

async function moveImage(ends: Ends, vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
  const { source, destination, monotonicMs } = ends;
  const startedMs = monotonicMs();
  const offer = await destination.offer(vmId, signal);
  const stoppedMs = monotonicMs();
  const sent = await bringOver(ends, vmId, { offer, onProgress }, signal);
  // Past the point of return: an abort would leave the VM nowhere.
  const verdict = await restored(destination, vmId);
  if (verdict.kind === 'refused') {
    await mend(source, vmId);
    throw new PlimsollError(
      'hypervisor-failed',
      `the destination did not restore the VM, which runs here again: ${verdict.refusal.message}`,
    );
  }
  const endedMs = monotonicMs();
  // It runs there: an image that stays here is litter, not a failure.
  await source.forget(vmId, AbortSignal.timeout(mendMsMax)).catch(() => undefined);
  return {
    totalMs: Math.round(endedMs - startedMs),
    downtimeMs: Math.round(endedMs - stoppedMs),
    memorySentBytes: sent.bytes,
    iterations: null,
  };
}

/** Everything up to the point of return; if any of it fails, the VM runs here again when this rejects. */
async function bringOver(
  { source, destination }: Ends,
  vmId: VmId,
  { offer, onProgress }: { readonly offer: ImageOffer; readonly onProgress: (progress: Progress) => void },
  signal: AbortSignal,
): Promise<ImageDigest> {
  try {
    let last: Progress | null = null;
    await source.save(
      vmId,
      (progress) => {
        last = progress;
        onProgress(progress);
      },
      signal,
    );
    const onBytes = (memorySentBytes: number): void => {
      if (last !== null) onProgress({ ...last, memorySentBytes });
    };
    const sent = await source.send(vmId, offer, onBytes, signal);
    await destination.open(vmId, sent, signal);
    signal.throwIfAborted();
    await source.giveAway(vmId, signal);
    return sent;
  } catch (error) {
    // The destination starts nothing that it was not told to start.
    await destination.discard(vmId, AbortSignal.timeout(mendMsMax)).catch(() => undefined);
    await mend(source, vmId);
    if (signal.aborted) throw new PlimsollError('aborted', 'moving the sealed image was given up; the VM runs here', { cause: error });
    throw error;
  }
}

async function restored(destination: ImageDestination, vmId: VmId): Promise<RestoreVerdict> {
  try {
    return await destination.restore(vmId, AbortSignal.timeout(mendMsMax));
  } catch (cause) {
    const advice = 'its image is kept here and starts by itself nowhere: ask the destination, then take it back or forget it';
    throw new PlimsollError('truth-unknown', `the VM was given to the destination, which did not say that it runs; ${advice}`, { cause });
  }
}

async function mend(source: ImageSource, vmId: VmId): Promise<void> {
  try {
    await source.takeBack(vmId, AbortSignal.timeout(mendMsMax));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new PlimsollError('zero-copies', `the VM is saved on this host and could not be started again: ${why}; start it by hand`, {
      cause,
    });
  }
}
