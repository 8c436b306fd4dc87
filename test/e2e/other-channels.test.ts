/** The channels to compare IPsec with, on real hosts without Plimsoll's own processes: what crosses the wire, and what becomes of the VM. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { exampleOptions } from '#core/migration/forecast-examples.ts';
import type { TransferOptions } from '#core/model/method.ts';
import { PlimsollError } from '#core/model/result.ts';
import { sealedImageTransport, type ImageDestination } from '#drivers/transports/sealed-image.ts';
import type { TransportOutcome, TransportRequest } from '#drivers/transports/transport.ts';
import { type Lab, type LabHost, labUp, type ScanResult, waitFor } from '#lab/api.ts';
import { expectSound } from './cluster.ts';
import { missingForOtherChannels, offerQemuTls, offerSsh } from './other-channels/hosts.ts';
import { RemoteEnd } from './other-channels/remote-end.ts';
import { failureOf } from '#test/support/failure.ts';

const missing = missingForOtherChannels();
const signal = AbortSignal.timeout(600_000);

describe.runIf(missing === null)(`channels other than IPsec${missing === null ? '' : `: not run, needs ${missing}`}`, () => {
  let lab: Lab;
  const ends = new Map<string, RemoteEnd>();

  beforeAll(async () => {
    lab = await labUp({ name: 'e2e-other', plimsoll: false, hosts: 2, guests: 1 });
    await offerSsh(lab);
    await offerQemuTls(lab);
    for (const host of lab.hosts) ends.set(host.name, await RemoteEnd.start(host));
    await guest().steer({ cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 5 });
  });
  afterAll(async () => {
    for (const end of ends.values()) await end.stop();
    await lab?.down();
  });

  const guest = () => lab.guest('vm1');
  const end = (host: LabHost): RemoteEnd => {
    const found = ends.get(host.name);
    if (found === undefined) throw new Error(`no end on ${host.name}`);
    return found;
  };

  async function sides(): Promise<{ readonly from: LabHost; readonly to: LabHost }> {
    const [name, ...more] = (await lab.placement())['vm1'] ?? [];
    expect(more).toEqual([]);
    const to = lab.hosts.find((host) => host.name !== name);
    if (name === undefined || to === undefined) throw new Error('the guest runs nowhere');
    return { from: lab.host(name), to };
  }

  function request(to: LabHost, more: Partial<TransferOptions> = {}): TransportRequest {
    const options = exampleOptions(more);
    return { vmId: guest().uuid, peerHostId: to.name, peerUnderlay: to.underlay, options };
  }

  async function move(kind: string): Promise<TransportOutcome> {
    const { from, to } = await sides();
    if (kind !== 'sealed-image') return end(from).migrate(kind, request(to), signal);
    const asImage = request(to, { method: 'save-restore' });
    return sealedImageTransport(end(from).source, () => end(to).destination).migrate(asImage, () => undefined, signal);
  }

  async function captured(kind: string): Promise<{ readonly scan: ScanResult; readonly outcome: TransportOutcome }> {
    const { to } = await sides();
    const capture = await lab.startCapture('other');
    const outcome = await move(kind);
    const scan = await lab.scan(await capture.stop());
    expect((await lab.placement())['vm1']).toEqual([to.name]);
    await expectSound(guest());
    return { scan, outcome };
  }

  it('none: the guest arrives whole, and its marker is on the wire (the control arm)', async () => {
    const { scan } = await captured('none');
    expect(scan.markers[guest().marker]).toBeGreaterThan(100);
  });

  it.each([
    ['qemu-tls', 'tcp/49152'],
    ['ssh', 'tcp/22'],
    ['sealed-image', 'tcp/49220'],
  ])('%s: the guest arrives whole through %s, and its marker is nowhere on the wire', async (kind, service) => {
    const { scan, outcome } = await captured(kind);
    expect(scan.markers[guest().marker]).toBe(0);
    const packets = kind === 'sealed-image' ? sealedPackets(scan) : (scan.kinds[service] ?? 0);
    expect(packets).toBeGreaterThan(1_000);
    expect(outcome.memorySentBytes).toBeGreaterThan(10_000_000);
    expect(outcome.cipher).not.toBeNull();
  });

  /** A capture names a service by its smaller port, which may be the sender's here. */
  function sealedPackets(scan: ScanResult): number {
    const high = Object.entries(scan.kinds).filter(([kind]) => Number(/^tcp\/(\d+)$/u.exec(kind)?.[1] ?? 0) > 32_767);
    return high.reduce((sum, [, count]) => sum + count, 0);
  }

  it('ssh: a peer with another host key gets nothing, and the VM stays', async () => {
    const { from, to } = await sides();
    const stranger = await from.exec(['cat', '/etc/plimsoll/ssh/id.pub']);
    const path = join(from.directory, 'etc-plimsoll/ssh/known_hosts');
    const truth = (await from.exec(['cat', '/etc/plimsoll/ssh/known_hosts'])).stdout;
    writeFileSync(path, `${to.name} ${stranger.stdout.trim()}\n`);
    expect(await failureOf(move('ssh'))).toMatchObject({ code: 'channel-failed', message: expect.stringContaining('known_hosts') });
    writeFileSync(path, truth);
    expect((await lab.placement())['vm1']).toEqual([from.name]);
    await expectSound(guest());
  });

  it('ssh: cut in the middle of the copy, the VM stays on its source, and the next try succeeds', async () => {
    const { from, to } = await sides();
    const moving = failureOf(end(from).migrate('ssh', request(to, { bandwidthBytesPerSecond: 4 * 2 ** 20 }), signal));
    const remaining = async () => /Memory processed:\s+([1-9]|\d{2,})/u.test(await from.virsh(['domjobinfo', 'vm1']).catch(() => ''));
    await waitFor(remaining, { what: 'the copy to be under way', timeoutMs: 20_000 });
    expect((await from.exec(['sh', '-c', 'kill -9 $(pidof ssh)'])).code).toBe(0);
    expect(await moving).toMatchObject({ code: 'channel-failed' });
    expect((await lab.placement())['vm1']).toEqual([from.name]);
    await expectSound(guest());
    await move('ssh');
    expect((await lab.placement())['vm1']).toEqual([to.name]);
  });

  it('sealed-image: a destination that cannot start it gives it back', async () => {
    const { from, to } = await sides();
    for (const step of [['down'], ['name', 'brlost']]) await to.exec(['ip', 'link', 'set', 'brvm', ...step]);
    try {
      expect(await failureOf(move('sealed-image'))).toMatchObject({ code: 'hypervisor-failed' });
    } finally {
      for (const step of [
        ['brlost', 'name', 'brvm'],
        ['brvm', 'up'],
      ])
        await to.exec(['ip', 'link', 'set', ...step]);
    }
    expect((await lab.placement())['vm1']).toEqual([from.name]);
    await expectSound(guest());
  });

  it('sealed-image: when the destination dies before it was told to start, the VM goes on where it was', async () => {
    const { from, to } = await sides();
    const dying: ImageDestination = {
      ...end(to).destination,
      open: async (...args) => {
        await end(to).kill();
        return end(to).destination.open(...args);
      },
    };
    const transport = sealedImageTransport(end(from).source, () => dying);
    expect(await failureOf(transport.migrate(request(to), () => undefined, signal))).toMatchObject({ code: 'link-lost' });
    ends.set(to.name, await RemoteEnd.start(to));
    expect((await lab.placement())['vm1']).toEqual([from.name]);
    await expectSound(guest());
  });

  it.each(['save', 'giveAway'] as const)(
    'sealed-image: when the source dies after %s, nothing is lost and nothing runs twice',
    async (step) => {
      const { from, to } = await sides();
      const source = end(from).source;
      const dying = {
        ...source,
        save: async (...args: Parameters<typeof source.save>) => {
          await source.save(...args);
          if (step === 'save') await end(from).kill();
        },
        giveAway: async (...args: Parameters<typeof source.giveAway>) => {
          await source.giveAway(...args);
          await end(from).kill();
          throw new PlimsollError('link-lost', 'its agent died');
        },
      };
      const transport = sealedImageTransport(dying, () => end(to).destination);
      expect(await failureOf(transport.migrate(request(to), () => undefined, signal))).toMatchObject({ code: 'zero-copies' });
      expect((await lab.placement())['vm1']).toEqual([]);
      const next = await RemoteEnd.start(from);
      ends.set(from.name, next);
      const unknown = await next.call('source.recover', [], signal);
      if (step === 'giveAway') {
        expect(unknown).toEqual([guest().uuid]);
        await next.source.takeBack(guest().uuid, signal);
      }
      expect((await lab.placement())['vm1']).toEqual([from.name]);
      await expectSound(guest());
    },
  );
});
