import type { MethodWish } from '#core/model/method.ts';

export interface Case {
  readonly name: string;
  readonly wish: MethodWish;
}

const stops = { downtimeMsMax: 60_000 };
const mebibyte = 1024 ** 2;

/** Every method, and every option that belongs to one. */
export const cases: readonly Case[] = [
  { name: 'pre-copy', wish: { method: 'pre-copy' } },
  { name: 'pre-copy, auto-converge', wish: { method: 'pre-copy', autoConverge: true } },
  { name: 'pre-copy, xbzrle', wish: { method: 'pre-copy', compression: 'xbzrle' } },
  { name: 'pre-copy, mt compression', wish: { method: 'pre-copy', compression: 'mt' } },
  { name: 'pre-copy, at most 10 MiB/s', wish: { method: 'pre-copy', bandwidthBytesPerSecond: 10 * mebibyte } },
  { name: 'pre-copy, chosen by itself', wish: { method: 'auto' } },
  { name: 'hybrid', wish: { method: 'hybrid' } },
  { name: 'post-copy', wish: { method: 'post-copy' } },
  { name: 'stop-and-copy', wish: { method: 'stop-and-copy', ...stops } },
  { name: 'save-restore', wish: { method: 'save-restore', ...stops } },
];

/** What these versions, or this channel, cannot do: refused before the first byte. */
export const refused: readonly Case[] = [
  { name: 'pre-copy, 4 streams', wish: { method: 'pre-copy', streams: 4 } },
  { name: 'pre-copy, zlib', wish: { method: 'pre-copy', compression: 'zlib' } },
  { name: 'pre-copy, 2 streams, zstd', wish: { method: 'pre-copy', streams: 2, compression: 'zstd' } },
  { name: 'post-copy, xbzrle', wish: { method: 'post-copy', compression: 'xbzrle' } },
];
