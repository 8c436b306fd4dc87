import { describe, expect, it } from 'vitest';

import { readOutcome, readProgress } from './job-stats.ts';
import { migrateArguments } from './migration-run.ts';

const domain = { name: 'web', uuid: '466b12ad-41d1-465c-a339-b802545650a3', id: 3 };

function args(
  address: string,
  bandwidthBytesPerSecond: number,
  persistent: boolean,
  streamSecurity: 'none' | 'qemu-tls' = 'none',
): ReturnType<typeof migrateArguments> {
  const request = { peerAddress: address, streamSecurity, bandwidthBytesPerSecond };
  return migrateArguments(domain, request, { persistent, destinationUri: 'qemu+tls://peer/system' });
}

describe('the arguments of a migration', () => {
  it('keep the data stream on the address of the peer, on both sides', () => {
    expect(args('10.79.0.2', 0, false).params).toEqual([
      { field: 'migrate_uri', type: 'string', value: 'tcp://10.79.0.2' },
      { field: 'listen_address', type: 'string', value: '10.79.0.2' },
    ]);
    expect(args('fd00::2', 0, false).params[0]).toMatchObject({ value: 'tcp://[fd00::2]' });
  });

  it('never round a bandwidth cap down to none', () => {
    expect(args('10.79.0.2', 1, false).params[2]).toEqual({ field: 'bandwidth', type: 'u64', value: 1n });
    expect(args('10.79.0.2', 10 * 1024 * 1024, false).params[2]).toMatchObject({ value: 10n });
  });

  it('are live, peer-to-peer, abort on error, never tunnelled; a definition moves only when there is one', () => {
    const tunnelled = 4;
    expect(args('10.79.0.2', 0, false).flags).toBe(1 + 2 + 4096);
    expect(args('10.79.0.2', 0, true).flags).toBe(1 + 2 + 8 + 16 + 4096);
    expect(args('10.79.0.2', 0, true).flags & tunnelled).toBe(0);
  });

  it('ask QEMU for TLS when the channel is its own', () => {
    expect(args('10.79.0.2', 0, false, 'qemu-tls').flags).toBe(1 + 2 + 4096 + 65_536);
  });
});

describe('job statistics', () => {
  it('are read as progress and as outcome', () => {
    const params = [
      { field: 'time_elapsed', type: 'u64', value: 2_296n },
      { field: 'downtime', type: 'u64', value: 235n },
      { field: 'memory_total', type: 'u64', value: 67_502_080n },
      { field: 'memory_processed', type: 'u64', value: 574_313n },
      { field: 'memory_remaining', type: 'u64', value: 0n },
      { field: 'memory_iteration', type: 'u64', value: 3n },
    ] as const;
    expect(readOutcome(params)).toEqual({ totalMs: 2_296, downtimeMs: 235, memorySentBytes: 574_313, iterations: 3 });
    expect(readProgress(params)).toMatchObject({ elapsedMs: 2_296, memorySentBytes: 574_313, bandwidthBytesPerSecond: null, iteration: 3 });
  });
});
