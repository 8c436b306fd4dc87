import { describe, expect, it } from 'vitest';

import { exampleOptions } from '#core/migration/forecast-examples.ts';
import type { TransferOptions } from '#core/model/method.ts';

import { migrateArguments, toldDowntimeMs, xbzrleCacheBytes } from './migrate-arguments.ts';

const domain = { name: 'web', uuid: '466b12ad-41d1-465c-a339-b802545650a3', id: 3 };
const mebibyte = 1024 * 1024;
const plain = exampleOptions();
const peerToPeerAbortOnError = 2 + 4096;

function args(
  options: Partial<TransferOptions> = {},
  more: { readonly address?: string; readonly persistent?: boolean; readonly tls?: boolean; readonly resume?: boolean } = {},
): ReturnType<typeof migrateArguments> {
  const request = {
    peerAddress: more.address ?? '10.79.0.2',
    streamSecurity: more.tls === true ? ('qemu-tls' as const) : ('none' as const),
    options: { ...plain, ...options },
  };
  const setting = {
    persistent: more.persistent ?? false,
    memoryBytes: 512 * mebibyte,
    destinationUri: 'qemu+tls://peer/system',
    resume: more.resume ?? false,
  };
  return migrateArguments(domain, request, setting);
}

function paramsOf(options: Partial<TransferOptions>): Readonly<Record<string, unknown>> {
  const params = args(options).params.filter(({ field }) => field !== 'migrate_uri' && field !== 'listen_address');
  return Object.fromEntries(params.map((param) => [param.field, [param.type, param.value]]));
}

describe('the arguments of a migration', () => {
  it('keep the data stream on the address of the peer, on both sides', () => {
    expect(args().params).toEqual([
      { field: 'migrate_uri', type: 'string', value: 'tcp://10.79.0.2' },
      { field: 'listen_address', type: 'string', value: '10.79.0.2' },
    ]);
    expect(args({}, { address: 'fd00::2' }).params[0]).toMatchObject({ value: 'tcp://[fd00::2]' });
  });

  it('never round a bandwidth cap down to none', () => {
    expect(paramsOf({ bandwidthBytesPerSecond: 1 })).toEqual({ bandwidth: ['u64', 1n] });
    expect(paramsOf({ bandwidthBytesPerSecond: 10 * mebibyte })).toEqual({ bandwidth: ['u64', 10n] });
  });

  it('cap the post-copy phase too, where there can be one', () => {
    const capped = { bandwidth: ['u64', 5n], 'bandwidth.postcopy': ['u64', 5n] };
    expect(paramsOf({ method: 'post-copy', bandwidthBytesPerSecond: 5 * mebibyte })).toEqual(capped);
    expect(paramsOf({ method: 'hybrid', bandwidthBytesPerSecond: 5 * mebibyte })).toEqual(capped);
  });

  it('are peer-to-peer and abort on error; a definition moves only when there is one', () => {
    expect(args().flags).toBe(1 + peerToPeerAbortOnError);
    expect(args({}, { persistent: true }).flags).toBe(1 + 8 + 16 + peerToPeerAbortOnError);
  });

  it('ask QEMU for TLS when the channel is its own', () => {
    expect(args({}, { tls: true }).flags).toBe(1 + 65_536 + peerToPeerAbortOnError);
  });

  it('let the VM run for every method but stop-and-copy', () => {
    expect(args({ method: 'stop-and-copy' }).flags).toBe(peerToPeerAbortOnError);
    expect(args({ method: 'post-copy' }).flags).toBe(1 + 32_768 + peerToPeerAbortOnError);
    expect(args({ method: 'hybrid' }).flags).toBe(1 + 32_768 + peerToPeerAbortOnError);
    expect(args({ method: 'hybrid' }, { resume: true }).flags).toBe(1 + 32_768 + 524_288 + peerToPeerAbortOnError);
  });

  it('slow the VM down by the percentages given', () => {
    const options = { autoConverge: { initialPercent: 30, incrementPercent: 15 } };
    expect(args(options).flags).toBe(1 + 8192 + peerToPeerAbortOnError);
    expect(paramsOf(options)).toEqual({ 'auto_converge.initial': ['i32', 30], 'auto_converge.increment': ['i32', 15] });
  });

  it('share the memory among several streams only when there are several', () => {
    expect(args({ streams: 4 }).flags).toBe(1 + 131_072 + peerToPeerAbortOnError);
    expect(paramsOf({ streams: 4 })).toEqual({ 'parallel.connections': ['i32', 4] });
    expect(paramsOf({ streams: 1 })).toEqual({});
  });

  it('compress as asked', () => {
    expect(args({ compression: 'mt' }).flags).toBe(1 + 2048 + peerToPeerAbortOnError);
    expect(paramsOf({ compression: 'mt' })).toEqual({ compression: ['string', 'mt'] });
    const cache = ['u64', BigInt(256 * mebibyte)];
    expect(paramsOf({ compression: 'xbzrle' })).toEqual({ compression: ['string', 'xbzrle'], 'compression.xbzrle.cache': cache });
  });

  it('are never tunnelled, whatever is asked for', () => {
    const tunnelled = 4;
    for (const method of ['pre-copy', 'hybrid', 'post-copy', 'stop-and-copy'] as const) {
      for (const compression of ['none', 'xbzrle', 'mt', 'zlib', 'zstd'] as const) {
        for (const streams of [1, 2]) expect(args({ method, compression, streams }).flags & tunnelled).toBe(0);
      }
    }
  });
});

describe('the downtime limit that QEMU is told', () => {
  const told = (method: TransferOptions['method'], downtimeMsMax: number): number => toldDowntimeMs({ ...plain, method, downtimeMsMax });

  it('is small for a VM that stands still anyway, so that its transfer can be watched and cancelled', () => {
    expect(told('stop-and-copy', 85_000)).toBe(300);
    expect(told('stop-and-copy', 100)).toBe(100);
  });

  it('is that of the plan for one that runs', () => {
    for (const method of ['pre-copy', 'hybrid', 'post-copy'] as const) expect(told(method, 20_000)).toBe(20_000);
  });
});

describe('the cache of xbzrle', () => {
  it('is a power of two that holds half of the VM, within 64 MiB and 1 GiB', () => {
    expect(xbzrleCacheBytes(0)).toBe(64 * mebibyte);
    expect(xbzrleCacheBytes(192 * mebibyte)).toBe(128 * mebibyte);
    expect(xbzrleCacheBytes(1024 * mebibyte)).toBe(512 * mebibyte);
    expect(xbzrleCacheBytes(64 * 1024 * mebibyte)).toBe(1024 * mebibyte);
  });
});
