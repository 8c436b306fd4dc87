/** What the options of a transfer do to its stream: plain factors, in the direction that measurements have. */
import type { IpsecBackend } from '#core/model/channel.ts';
import type { Compression } from '#core/model/method.ts';

const kernelGainPerStream = 0.2;
const kernelGainMax = 1.6;
/** Several streams through userspace ESP: 40 s and no end, where one stream took 8 s. */
const userspaceLoss = 0.2;

/** What `streams` connections carry together, against one. */
export function streamsFactor(streams: number, backend: IpsecBackend): number {
  if (streams <= 1) return 1;
  return backend === 'kernel' ? Math.min(kernelGainMax, 1 + kernelGainPerStream * (streams - 1)) : userspaceLoss;
}

/** Bytes that cross for each byte of memory. Differences of pages can be sent only of pages that were sent before. */
export function wireShare(compression: Compression, round: number): number {
  switch (compression) {
    case 'none':
      return 1;
    case 'xbzrle':
      return round > 1 ? 0.6 : 1;
    case 'mt':
    case 'zlib':
    case 'zstd':
      return 0.7;
    default:
      return compression satisfies never;
  }
}

/** CPU time at each end for a byte of the stream; compressing costs more. */
export function coreSecondsPerByte(compression: Compression): number {
  return (compression === 'none' ? 1 : 3) / (400 * 2 ** 20);
}
