import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { LibvirtClient, openUnixSocket, type ClientOptions } from '#drivers/libvirt/client.ts';
import type { LibvirtEvent } from '#drivers/libvirt/events.ts';
import { createFlag, eventId, listFlag, statsGroup } from '#drivers/libvirt/flags.ts';

import { guestXml, type Site } from './site.ts';
import { siteKinds } from './site-kinds.ts';
import { failureOf } from '#test/support/failure.ts';
import { until } from '#test/support/until.ts';

for (const kind of siteKinds()) {
  describe.runIf(kind.missing === null)(`libvirt client against ${kind.name}`, () => {
    let site: Site;
    let client: LibvirtClient;
    const opened: LibvirtClient[] = [];

    async function open(options: Partial<ClientOptions> = {}): Promise<LibvirtClient> {
      const stream = await openUnixSocket(site.source.socketPath, AbortSignal.timeout(5_000));
      const made = await LibvirtClient.open(stream, { uri: 'qemu:///system', ...options });
      opened.push(made);
      return made;
    }

    beforeAll(async () => {
      site = await kind.start();
    });
    afterAll(async () => site.stop());
    beforeEach(async () => {
      client = await open();
    });
    afterEach(async () => {
      for (const domain of await client.listAllDomains(listFlag.active)) await client.destroy(domain, 0);
      for (const domain of await client.listAllDomains(0)) await client.undefine(domain, 0);
      for (const made of opened.splice(0)) await made.close();
    });

    it('tells who the daemon is', async () => {
      expect(await client.type()).toBe('QEMU');
      expect(await client.libVersion()).toBeGreaterThanOrEqual(9_000_000n);
      expect(await client.version()).toBeGreaterThanOrEqual(5_000_000n);
      expect(await client.hostname()).toMatch(/^[a-z0-9-]+$/u);
      expect(await client.capabilities()).toMatch(/^<capabilities>[\s\S]*<host[\s/>]/u);
    });

    it('reads the machine', async () => {
      const info = await client.nodeInfo();
      expect(info.model).toMatch(/^[a-z0-9_]+$/u);
      expect(info.cpus).toBeGreaterThan(0);
      expect(info.memoryKib).toBeGreaterThan(0n);
      expect((await client.nodeCpuStats()).map((stat) => stat.field)).toEqual(expect.arrayContaining(['kernel', 'user', 'idle']));
      expect((await client.nodeMemoryStats()).map((stat) => stat.field)).toEqual(expect.arrayContaining(['total', 'free']));
      expect(await client.nodeFreeMemoryBytes()).toBeGreaterThan(0n);
    });

    it('leads a persistent domain through its whole life', async () => {
      const defined = await client.defineXml(guestXml('life', { memoryMib: 32, vcpus: 2 }), 0);
      expect(defined).toMatchObject({ name: 'life', id: -1 });
      expect(await client.isPersistent(defined)).toBe(true);
      expect(await client.lookupByName('life')).toEqual(defined);
      expect(await client.lookupByUuid(defined.uuid)).toEqual(defined);
      expect(await client.xmlDesc(defined, 0)).toContain('<name>life</name>');
      const started = await client.createWithFlags(defined, createFlag.paused);
      expect(started.id).toBeGreaterThan(0);
      expect((await client.state(started)).state).toBe(3);
      await client.resume(started);
      expect((await client.state(started)).state).toBe(1);
      await client.suspend(started);
      expect((await client.state(started)).state).toBe(3);
      expect(await client.jobStats(started, 0)).toEqual({ type: 0, params: [] });
      await client.destroy(started, 0);
      expect((await client.state(started)).state).toBe(5);
      await client.undefine(defined, 0);
      expect(await failureOf(client.lookupByName('life'))).toMatchObject({ code: 'no-such-vm', server: { code: 42 } });
    });

    it('forgets a transient domain when it stops', async () => {
      const started = await client.createXml(guestXml('passing', { memoryMib: 32 }), 0);
      expect(await client.isPersistent(started)).toBe(false);
      expect(await client.listAllDomains(listFlag.active)).toEqual([started]);
      await client.destroy(started, 0);
      expect(await client.listAllDomains(0)).toEqual([]);
    });

    it('reads the statistics of all domains in one call', async () => {
      const domain = await client.createXml(guestXml('counted', { memoryMib: 32 }), 0);
      const stats = await client.allDomainStats({ stats: statsGroup.state | statsGroup.cpu | statsGroup.balloon, flags: 0 });
      expect(stats.map((record) => record.domain)).toEqual([domain]);
      expect(stats[0]?.params).toContainEqual({ field: 'state.state', type: 'i32', value: 1 });
      expect(stats[0]?.params).toContainEqual({ field: 'balloon.maximum', type: 'u64', value: 32_768n });
      expect(stats[0]?.params.find((param) => param.field === 'cpu.time')?.type).toBe('u64');
    });

    it('tells lifecycle events until they are no longer wanted', async () => {
      const events: LibvirtEvent[] = [];
      client.onEvent((event) => events.push(event));
      const callbackId = await client.registerEvent(eventId.lifecycle, null);
      const domain = await client.createXml(guestXml('told', { memoryMib: 32 }), 0);
      await client.suspend(domain);
      await until('the suspension is told', () => events.some((event) => event.kind === 'lifecycle' && event.event === 3));
      expect(events).toContainEqual({ kind: 'lifecycle', callbackId, domain, event: 2, detail: 0 });
      await client.deregisterEvent(callbackId);
      const told = events.length;
      await client.resume(domain);
      await client.hostname();
      expect(events).toHaveLength(told);
    });

    it('turns refusals of the daemon into stable codes', async () => {
      const domain = await client.createXml(guestXml('refused', { memoryMib: 32 }), 0);
      expect(await failureOf(client.defineXml('<nonsense/>', 0))).toMatchObject({ code: 'bad-definition' });
      expect(await failureOf(client.create(domain))).toMatchObject({ code: 'invalid-state', server: { code: 55 } });
      expect(await failureOf(client.abortJob(domain))).toMatchObject({ code: 'invalid-state' });
      expect(await failureOf(client.abortJobFlags(domain, 0))).toMatchObject({ code: 'invalid-state' });
      expect(await failureOf(client.migrateStartPostCopy(domain))).toMatchObject({ server: { code: expect.any(Number) } });
      expect(await failureOf(client.lookupByUuid('00000000-0000-0000-0000-000000000000'))).toMatchObject({ code: 'no-such-vm' });
      expect(await failureOf(client.lookupByName('nul\0inside'))).toMatchObject({ code: 'bad-argument' });
    });

    it('takes the limits of a migration before it begins', async () => {
      const domain = await client.createXml(guestXml('limited', { memoryMib: 32 }), 0);
      await expect(client.migrateSetMaxDowntime(domain, 50)).resolves.toBeUndefined();
      await expect(client.migrateSetMaxSpeed(domain, 100, 0)).resolves.toBeUndefined();
    });

    it('answers forty calls at once, in order of asking', async () => {
      const hostname = await client.hostname();
      const order: number[] = [];
      const calls = Array.from({ length: 40 }, async (_, index) => {
        expect(await client.hostname()).toBe(hostname);
        order.push(index);
      });
      await Promise.all(calls);
      expect(order).toHaveLength(40);
      expect(order.slice(0, 4).every((index) => index < 8)).toBe(true);
    });

    it('gives a call up at its deadline, keeps the connection, and counts the late answer', async () => {
      site.source.stall();
      const failure = await failureOf(client.hostname({ deadlineMs: 50 })).finally(() => site.source.unstall());
      expect(failure).toMatchObject({ code: 'deadline-exceeded' });
      expect(await client.hostname()).toMatch(/./u);
      await until('the late answer is counted', () => client.counters.lateReplies === 1);
    });

    it('gives a call up when its signal aborts', async () => {
      site.source.stall();
      const abort = new AbortController();
      const failing = failureOf(client.hostname({ signal: abort.signal }));
      abort.abort();
      const failure = await failing.finally(() => site.source.unstall());
      expect(failure).toMatchObject({ code: 'aborted' });
    });

    it('declares a daemon dead that leaves pings unanswered', async () => {
      const watched = await open({ keepAlive: { intervalMs: 20, missesMax: 3 } });
      site.source.stall();
      const failure = await failureOf(watched.hostname()).finally(() => site.source.unstall());
      expect(failure).toMatchObject({ code: 'connection-lost' });
      expect(watched.isLost).toBe(true);
    });

    it('keeps an idle connection alive by pinging', async () => {
      // Many misses: a daemon that is slow for a moment is not what is tested here.
      const idle = await open({ keepAlive: { intervalMs: 20, missesMax: 1000 } });
      await until('three pongs are heard', () => idle.counters.pongsHeard >= 3);
      expect(await idle.hostname()).toMatch(/./u);
    });

    it('answers the pings of the daemon', async () => {
      site.source.ping();
      await until('a ping is answered', () => client.counters.pingsAnswered > 0);
      expect(await client.hostname()).toMatch(/./u);
    });

    it('fails the calls under way when the daemon dies', async () => {
      const doomed = await open();
      site.source.stall();
      const failing = failureOf(doomed.hostname());
      await site.source.crash();
      expect(await failing).toMatchObject({ code: 'connection-lost' });
      expect(await doomed.lost).toMatchObject({ code: 'connection-lost' });
      expect(await failureOf(doomed.hostname())).toMatchObject({ code: 'connection-lost' });
      await site.source.revive();
      client = await open();
    });

    it('says so when nobody listens on the socket', async () => {
      const nowhere = openUnixSocket(`${site.source.socketPath}-nowhere`, AbortSignal.timeout(5_000));
      expect(await failureOf(nowhere)).toMatchObject({ code: 'connect-failed' });
    });
  });
}
