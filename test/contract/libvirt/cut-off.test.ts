import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { LibvirtClient } from '#drivers/libvirt/client.ts';
import { type CutOff, defaultMigrationRun, MigrationRun } from '#drivers/libvirt/migration-run.ts';
import type { DomainRef } from '#drivers/libvirt/values.ts';
import { failureOf } from '#test/support/failure.ts';
import { until } from '#test/support/until.ts';

import { admin } from './daemon-admin.ts';
import { FakeLibvirtd } from './fake-libvirtd.ts';
import { guestXml } from './site.ts';

const options = { ...defaultMigrationRun, progressIntervalMs: 10, cutOffAfterMs: 30, abortDeadlineMs: 400 };

describe('a job that hears no abort', () => {
  let fake: FakeLibvirtd;
  let client: LibvirtClient;
  let domain: DomainRef;
  let asked: string[];

  beforeEach(async () => {
    fake = await FakeLibvirtd.start({ uri: 'fake://here', peers: new Map(), copyMs: 60_000 });
    client = await admin(fake);
    domain = await client.createXml(guestXml('deaf'), 0);
    asked = [];
  });
  afterEach(async () => {
    await client.close();
    await fake.stop();
  });

  /** A job that goes on until one of its connections is ended, or it is given up. */
  async function runDeaf(streams: number, abort: AbortSignal): Promise<unknown> {
    const { promise, reject } = Promise.withResolvers<never>();
    const cutOff: CutOff = {
      stream: async () => {
        asked.push('stream');
        if (streams > 0) reject(new Error('stream ended'));
        return streams;
      },
      control: async () => {
        asked.push('control');
        reject(new Error('control ended'));
      },
    };
    const call = (_work: LibvirtClient, { signal }: { readonly signal?: AbortSignal }): Promise<never> => {
      signal?.addEventListener('abort', () => reject(new Error('given up')), { once: true });
      return promise;
    };
    const run = new MigrationRun({ work: client, watch: async () => client }, { domain, call, cutOff }, options);
    return failureOf(run.carryOut(() => undefined, abort));
  }

  it('loses the connections of its stream', async () => {
    expect(await runDeaf(1, AbortSignal.abort())).toMatchObject({ message: 'stream ended' });
    expect(asked).toEqual(['stream']);
  });

  it('that has no stream yet loses those to the peer, as long as the VM runs', async () => {
    expect(await runDeaf(0, AbortSignal.abort())).toMatchObject({ message: 'control ended' });
    expect(asked).toEqual(['stream', 'control']);
  });

  it('keeps those to the peer once the VM is stopped: its answer would be lost', async () => {
    await client.suspend(domain);
    expect(await runDeaf(0, AbortSignal.abort())).toMatchObject({ code: 'deadline-exceeded' });
    expect(new Set(asked)).toEqual(new Set(['stream']));
  });

  it('loses nothing before it was aborted', async () => {
    const abort = new AbortController();
    const ended = runDeaf(1, abort.signal);
    const { calls } = fake;
    const before = calls.length;
    await until('it was looked at a few times', () => calls.length > before + 10);
    expect(asked).toEqual([]);
    abort.abort();
    expect(await ended).toMatchObject({ message: 'stream ended' });
  });
});
