import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Hypervisor, HypervisorEvent, MigrateRequest } from '#core/ports.ts';
import { createLibvirtHypervisor } from '#drivers/libvirt/hypervisor.ts';

import { admin } from './daemon-admin.ts';
import { FakeLibvirtd } from './fake-libvirtd.ts';
import { guestXml, plainOptions } from './site.ts';
import { failureOf } from '#test/support/failure.ts';
import { until } from '#test/support/until.ts';

const signal = new AbortController().signal;

describe('a libvirtd that misbehaves', () => {
  let fake: FakeLibvirtd;
  let peer: FakeLibvirtd;
  let hypervisor: Hypervisor;

  beforeEach(async () => {
    const peers = new Map<string, FakeLibvirtd>();
    fake = await FakeLibvirtd.start({ uri: 'fake://here', peers, copyMs: 60_000 });
    peer = await FakeLibvirtd.start({ uri: 'fake://there', peers });
    hypervisor = createLibvirtHypervisor({
      socketPath: fake.socketPath,
      uri: 'qemu:///system',
      pkiPath: '/nowhere',
      callDeadlineMs: 500,
      backoffMs: { first: 5, max: 50 },
      destinationUri: () => 'fake://there',
      migrationRun: { progressIntervalMs: 10, abortDeadlineMs: 200 },
    });
  });
  afterEach(async () => {
    await hypervisor.close();
    await fake.stop();
    await peer.stop();
  });

  async function startGuest(name: string): Promise<string> {
    const client = await admin(fake);
    const { uuid } = await client.createXml(guestXml(name), 0);
    await client.close();
    return uuid;
  }

  function request(vmId: string): MigrateRequest {
    return { vmId, peerHostId: 'there', peerAddress: '10.0.0.2', streamSecurity: 'none', options: plainOptions };
  }

  it.each([
    ['text', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['an announced 4 GiB', Buffer.from('ffffffff', 'hex')],
    ['zeros', Buffer.alloc(64)],
  ])('and sends %s loses its connections, and gets new ones', async (_name, garbage) => {
    const events: HypervisorEvent['kind'][] = [];
    hypervisor.onEvent((event) => events.push(event.kind));
    expect(await hypervisor.listVms(signal)).toEqual([]);
    fake.spill(garbage);
    await until('the loss is told', () => events.includes('disconnected'));
    await until('the return is told', () => events.at(-1) === 'connected');
    expect(await hypervisor.listVms(signal)).toEqual([]);
  });

  it('and cuts connections again and again is connected to again and again', async () => {
    for (let round = 0; round < 5; round += 1) {
      await until('it answers', async () => (await failureOf(hypervisor.listVms(signal))) === 'no failure');
      fake.cut();
    }
    await until('it answers', async () => (await failureOf(hypervisor.listVms(signal))) === 'no failure');
  });

  it('and does not answer gives hypervisor-unavailable within the deadline', async () => {
    await hypervisor.version(signal);
    fake.mood = 'stall';
    expect(await failureOf(hypervisor.listVms(signal))).toMatchObject({ code: 'hypervisor-unavailable' });
  });

  it('never has more than four calls of one connection to answer', async () => {
    const client = await admin(fake);
    await Promise.all(Array.from({ length: 50 }, async () => client.hostname()));
    expect(Math.max(...[...fake.clients].map((peerSeen) => peerSeen.inFlightMost))).toBe(4);
    await client.close();
  });

  it('and wants SASL is refused with a reason; with polkit it is asked', async () => {
    fake.authTypes = [1];
    expect(await failureOf(admin(fake))).toMatchObject({ code: 'auth-unsupported' });
    fake.authTypes = [2];
    const client = await admin(fake);
    expect(fake.calls).toContain(70);
    await client.close();
  });

  it('may run three migrations from here at once, and no fourth', async () => {
    const vmIds = [await startGuest('one'), await startGuest('two'), await startGuest('three'), await startGuest('four')];
    const abort = new AbortController();
    const running = vmIds.slice(0, 3).map(async (vmId) => failureOf(hypervisor.migrate(request(vmId), () => undefined, abort.signal)));
    await until('three copies come in', () => peer.domains.size === 3);
    expect(await failureOf(hypervisor.migrate(request(vmIds[3] ?? ''), () => undefined, signal))).toMatchObject({
      code: 'migration-limit',
    });
    // The fourth place of the work connection still serves.
    await hypervisor.destroy(vmIds[3] ?? '', signal);
    abort.abort();
    for (const failure of await Promise.all(running)) expect(failure).toMatchObject({ code: 'aborted' });
  });

  it('and has an incoming copy back whose process never began removes it when its part of the migration is ended, and not otherwise', async () => {
    const vmId = await startGuest('orphaned');
    fake.orphan(fake.find(vmId));
    const client = await admin(fake);
    expect(await failureOf(client.destroy(await client.lookupByUuid(vmId), 0))).toMatchObject({ server: { code: 68 } });
    await client.close();
    await hypervisor.destroy(vmId, signal);
    expect(await hypervisor.findVm(vmId, signal)).toBeNull();
  });

  it('and never ends an aborted migration does not make us claim that the VM stayed', async () => {
    const vmId = await startGuest('limbo');
    const abort = new AbortController();
    const migrating = failureOf(hypervisor.migrate(request(vmId), () => undefined, abort.signal));
    await until('the copy comes in', () => peer.domains.size === 1);
    fake.mood = 'stall';
    abort.abort();
    expect(await migrating).toMatchObject({ code: 'hypervisor-unavailable' });
  });

  it('and dies in the middle of a migration gives hypervisor-unavailable, also when an abort was asked', async () => {
    const vmId = await startGuest('orphan');
    const abort = new AbortController();
    const migrating = failureOf(hypervisor.migrate(request(vmId), () => undefined, abort.signal));
    await until('the copy comes in', () => peer.domains.size === 1);
    fake.mood = 'stall';
    abort.abort();
    await fake.crash();
    expect(await migrating).toMatchObject({ code: 'hypervisor-unavailable' });
  });

  it('does not change a migration by a progress listener that throws', async () => {
    const vmId = await startGuest('watched');
    const abort = new AbortController();
    let calls = 0;
    const listener = (): void => {
      calls += 1;
      throw new Error('a faulty listener');
    };
    const migrating = failureOf(hypervisor.migrate(request(vmId), listener, abort.signal));
    await until('the listener was called', () => calls > 0);
    abort.abort();
    expect(await migrating).toMatchObject({ code: 'aborted' });
  });
});
