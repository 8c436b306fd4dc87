/** Stop-and-copy of a VM as an encrypted file. The order of its steps is the core's: image-move.ts. */
import { setTimeout as sleep } from 'node:timers/promises';

import { moveImage } from '#core/migration/image-move.ts';
import type { Clock } from '#core/ports.ts';
import type { ImageDestination, ImageSource } from '#core/transports.ts';

import { ageCipher } from './age.ts';
import type { Transport, TransportRequest } from './transport.ts';

export type { ImageDestination, ImageOffer, ImageSource, RestoreVerdict } from '#core/transports.ts';

/** `destinationOf` gives the line to a peer's end. */
export function sealedImageTransport(
  source: ImageSource,
  destinationOf: (request: TransportRequest) => ImageDestination,
  monotonicMs: () => number = performance.now.bind(performance),
): Transport {
  const clock: Clock = {
    nowMs: () => Date.now(),
    monotonicMs,
    sleep: (durationMs, signal) => sleep(durationMs, undefined, signal === undefined ? {} : { signal }),
  };
  return {
    kind: 'sealed-image',
    migrate: async (request, onProgress, signal) => {
      const outcome = await moveImage({ source, destination: destinationOf(request), clock }, request.vmId, onProgress, signal);
      return { ...outcome, cipher: ageCipher };
    },
  };
}
