import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IpsecBackend } from '#core/model/channel.ts';
import type { CharonPair } from './charon-pair.ts';
import { FakeCharon } from './fake-charon.ts';

/** Two fake charons on one fake wire. */
export interface FakePair extends CharonPair {
  readonly a: FakeCharon;
  readonly b: FakeCharon;
}

export async function startFakePair(backend: IpsecBackend = 'libipsec'): Promise<FakePair> {
  const directory = await mkdtemp(join(tmpdir(), 'plimsoll-fake-charon-'));
  const hosts = new Map<string, FakeCharon>();
  const a = new FakeCharon('host-a', 1, join(directory, 'a.vici'), hosts, backend);
  const b = new FakeCharon('host-b', 2, join(directory, 'b.vici'), hosts, backend);
  for (const host of [a, b]) {
    hosts.set(host.underlay, host);
    await host.startCharon();
  }
  const stop = async (): Promise<void> => {
    for (const host of [a, b]) await host.killCharon();
    await rm(directory, { recursive: true, force: true });
  };
  return { a, b, stop };
}
