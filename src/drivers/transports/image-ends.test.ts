/** Both ends of a sealed image on this machine's disk, with a hypervisor that only remembers; what outlives a process of the agent. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { PlimsollError } from '#core/model/result.ts';
import { bytes } from '#core/model/units.ts';
import type { VmState, VmView } from '#core/model/vm.ts';

import { LocalImageDestination } from './image-destination.ts';
import { LocalImageSource, type ImageHypervisor, type VmImages } from './image-source.ts';

const vmId = '466b12ad-41d1-465c-a339-b802545650a3';
const going = new AbortController().signal;
const hasAge = existsSync('/usr/bin/age');

class FakeHost implements ImageHypervisor {
  state: VmState | null;
  readonly folder: string;
  /** Ends a restore. */
  restoring: Promise<void> = Promise.resolve();
  isAway = false;
  readonly done: string[] = [];

  constructor(folder: string, state: VmState | null) {
    this.folder = folder;
    this.state = state;
  }

  readonly findVm = (): Promise<VmView | null> => {
    const { state } = this;
    if (this.isAway) return Promise.reject(new PlimsollError('hypervisor-unavailable', 'libvirtd is away'));
    const rest = { vmId, name: 'vm1', vcpus: 1, memoryBytes: bytes(1), persistent: true, jobActive: false, postCopy: null };
    return Promise.resolve(state === null ? null : { ...rest, state });
  };

  readonly images: VmImages = {
    save: async () => {
      this.state = 'shut-off';
      const path = join(this.folder, 'saved');
      await writeFile(path, 'the memory of a VM');
      return { vmName: 'vm1', path, definitionXml: '<domain/>' };
    },
    isSaved: () => Promise.resolve(this.state === 'shut-off'),
    startSaved: async () => this.#run('start-saved'),
    keepImage: () => Promise.resolve({ vmName: 'vm1', path: this.images.keptPath(vmId), definitionXml: '<domain/>' }),
    keptPath: () => join(this.folder, 'kept.image'),
    release: async () => void (this.state = null),
    restore: async () => {
      await this.restoring;
      this.#run('restore');
    },
    define: () => Promise.resolve(),
  };

  #run(what: string): void {
    this.done.push(what);
    this.state = 'running';
  }
}

describe('the ends of a sealed image', () => {
  let folder: string;
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'plimsoll-images-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const times = { arrivalMsMax: 5_000, silenceMsMax: 5_000 };
  const source = (hypervisor: FakeHost) => new LocalImageSource({ hypervisor, stateFolder: join(folder, 'state'), silenceMsMax: 5_000 });
  const incoming = () => join(folder, 'incoming');
  const destination = (hypervisor: FakeHost) =>
    new LocalImageDestination({
      hypervisor,
      folder: incoming(),
      address: '127.0.0.1',
      channelAddresses: ['127.0.0.2'],
      port: 0,
      bytesMax: 1_000_000,
      ...times,
    });
  /** What an agent leaves that died while the hypervisor was starting the VM. */
  async function diedInRestore(hypervisor: FakeHost): Promise<LocalImageDestination> {
    const end = destination(hypervisor);
    await end.sweep();
    await writeFile(join(incoming(), `${vmId}.json`), '{"begun":true}');
    await writeFile(join(incoming(), `${vmId}.image`), 'the memory of a VM');
    const next = destination(hypervisor);
    await next.sweep();
    return next;
  }

  it('source: a later process knows what was kept and what was given, starts the one and leaves the other', async () => {
    const host = new FakeHost(folder, 'running');
    await source(host).save(vmId, () => undefined, going);
    expect([...(await source(host).standings())]).toEqual([[vmId, 'kept']]);
    expect(await source(host).recover(going)).toEqual([]);
    expect([host.done, [...(await source(host).standings())]]).toEqual([['start-saved'], []]);
    await source(host).save(vmId, () => undefined, going);
    await source(host).giveAway(vmId, going);
    expect([...(await source(host).standings())]).toEqual([[vmId, 'given']]);
    expect(await source(host).recover(going)).toEqual([vmId]);
    expect([host.state, host.done.length]).toEqual([null, 1]);
    await source(host).takeBack(vmId, going);
    expect([host.state, host.done.at(-1), (await source(host).standings()).size]).toEqual(['running', 'restore', 0]);
  });

  it('source: a note that cannot be read is not taken for none', async () => {
    const host = new FakeHost(folder, 'running');
    await source(host).save(vmId, () => undefined, going);
    await writeFile(join(folder, 'state', `${vmId}.json`), 'no JSON');
    await expect(source(host).standings()).rejects.toThrow('JSON');
  });

  it('destination: sweeps images and keeps the word that one was being started', async () => {
    const end = await diedInRestore(new FakeHost(folder, null));
    expect(await readdir(incoming())).toEqual([`${vmId}.json`]);
    expect(await end.standing(vmId)).toBe('begun');
  });

  it('destination: after that says that the VM runs when it does, and never that it was not started', async () => {
    const host = new FakeHost(folder, null);
    const end = await diedInRestore(host);
    await expect(end.restore(vmId, going)).rejects.toMatchObject({ code: 'truth-unknown' });
    host.state = 'paused';
    await expect(end.restore(vmId, going)).rejects.toMatchObject({ code: 'truth-unknown' });
    expect(await end.standing(vmId)).toBe('begun');
    host.state = 'running';
    expect(await end.restore(vmId, going)).toEqual({ kind: 'running' });
    expect(await end.standing(vmId)).toBeNull();
    expect(host.done).toEqual([]);
  });

  it('destination: an agent that died earlier says that it was not started (the control arm), and a VM that it may have started is thrown away on request', async () => {
    const host = new FakeHost(folder, null);
    const end = destination(host);
    await end.sweep();
    expect(await end.restore(vmId, going)).toMatchObject({ kind: 'refused', refusal: { code: 'channel-failed' } });
    const begun = await diedInRestore(host);
    await begun.discard(vmId);
    expect(await begun.standing(vmId)).toBeNull();
  });

  it.runIf(hasAge)(
    'both: what was sealed is opened and restored; nothing is thrown away or offered anew meanwhile',
    { timeout: 30_000 },
    async () => {
      const [from, to] = [new FakeHost(folder, 'running'), new FakeHost(folder, null)];
      const [sender, receiver] = [source(from), destination(to)];
      await receiver.sweep();
      const offer = await receiver.offer(vmId, going);
      expect(await receiver.standing(vmId)).toBe('offered');
      await sender.save(vmId, () => undefined, going);
      const sent = await sender.send(vmId, offer, () => undefined, going);
      await receiver.open(vmId, sent);
      expect(await receiver.standing(vmId)).toBe('opened');
      const { promise, resolve } = Promise.withResolvers<void>();
      to.restoring = promise;
      const restored = receiver.restore(vmId, going);
      for (const act of [() => receiver.discard(vmId), () => receiver.offer(vmId, going), () => receiver.restore(vmId, going)])
        await expect(act()).rejects.toMatchObject({ code: 'vm-busy' });
      expect(await receiver.standing(vmId)).toBe('restoring');
      resolve();
      expect(await restored).toEqual({ kind: 'running' });
      expect([await receiver.standing(vmId), await readdir(incoming())]).toEqual([null, []]);
    },
  );

  it.runIf(hasAge)('destination: takes an image in at the address in a channel that it was asked for, and only there', async () => {
    const end = destination(new FakeHost(folder, null));
    await end.sweep();
    const offer = await end.offer(vmId, going, '127.0.0.2');
    expect(offer.address).toBe('127.0.0.2');
    const reaches = (address: string) =>
      new Promise<boolean>((resolve) => {
        const socket = connect({ host: address, port: offer.port });
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      });
    expect([await reaches('127.0.0.2'), await reaches('127.0.0.1')]).toEqual([true, false]);
    await end.discard(vmId);
    expect((await end.offer(vmId, going)).address).toBe('127.0.0.1');
    await end.discard(vmId);
  });

  it('destination: offers nothing at an address that is not its own', async () => {
    const host = new FakeHost(folder, null);
    const end = destination(host);
    await end.sweep();
    for (const address of ['10.9.9.9', '0.0.0.0', '::', ''])
      await expect(end.offer(vmId, going, address)).rejects.toMatchObject({ code: 'channel-failed' });
    expect([await end.standing(vmId), await readdir(incoming())]).toEqual([null, []]);
  });

  /** A destination that has opened an image and whose hypervisor then does not start it. */
  async function openedByFailing(host: FakeHost): Promise<LocalImageDestination> {
    const [sender, receiver] = [source(new FakeHost(folder, 'running')), destination(host)];
    await receiver.sweep();
    const offer = await receiver.offer(vmId, going);
    await sender.save(vmId, () => undefined, going);
    await receiver.open(vmId, await sender.send(vmId, offer, () => undefined, going));
    host.restoring = Promise.reject(new PlimsollError('hypervisor-failed', 'no such bridge'));
    host.restoring.catch(() => undefined);
    return receiver;
  }

  it.runIf(hasAge)('destination: a start that the hypervisor refuses leaves nothing', { timeout: 30_000 }, async () => {
    const receiver = await openedByFailing(new FakeHost(folder, null));
    expect(await receiver.restore(vmId, going)).toMatchObject({ kind: 'refused' });
    expect([await receiver.standing(vmId), await readdir(incoming())]).toEqual([null, []]);
  });

  it.runIf(hasAge)(
    'destination: a start that the hypervisor does not tell the end of is never tried twice',
    { timeout: 30_000 },
    async () => {
      const host = new FakeHost(folder, null);
      const receiver = await openedByFailing(host);
      host.isAway = true;
      await expect(receiver.restore(vmId, going)).rejects.toMatchObject({ code: 'hypervisor-unavailable' });
      host.isAway = false;
      host.restoring = Promise.resolve();
      await expect(receiver.restore(vmId, going)).rejects.toMatchObject({ code: 'truth-unknown' });
      expect([host.done, await receiver.standing(vmId)]).toEqual([[], 'begun']);
    },
  );
});

describe('the channels of a host', () => {
  it('are all but ssh where that is not configured, which says what to configure', async () => {
    const { hostTransports } = await import('./host-transports.ts');
    const host = new FakeHost('/nowhere', null);
    const kept = new LocalImageSource({ hypervisor: host, stateFolder: '/nowhere', silenceMsMax: 1 });
    const incoming = new LocalImageDestination({
      hypervisor: host,
      folder: '/nowhere',
      address: '127.0.0.1',
      channelAddresses: [],
      port: 0,
      bytesMax: 1,
      arrivalMsMax: 1,
      silenceMsMax: 1,
    });
    const transports = hostTransports({ hypervisor: { migrate: () => Promise.reject(new Error('not here')) }, kept, incoming, ssh: null });
    expect(transports.fault('ssh')).toEqual({ code: 'profile-unsupported', message: expect.stringContaining('keyFile') });
    for (const kind of ['none', 'qemu-tls', 'sealed-image'] as const) expect(transports.fault(kind)).toBeNull();
  });
});
