import { beforeEach, describe, expect, it } from 'vitest';
import type { ChannelPeer } from '#core/ports.ts';
import { reqidsOf } from '#drivers/strongswan/reqid.ts';
import { Xfrm, systemIp } from '#drivers/strongswan/xfrm.ts';
import { profileOf } from './charon-pair.ts';
import { FakeKernel } from './fake-kernel.ts';

const signal = new AbortController().signal;
const peerOf = (peerHostId: string, underlay: string): ChannelPeer => ({
  localAddresses: { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' },
  peerHostId,
  peerAddresses: { underlay, protected: '10.1.0.2', interface: 'eth0' },
  profile: profileOf({ name: 'ah+esp' }),
  secrets: { preSharedKey: null, postQuantumKey: null },
});

describe("our policies in the kernel's table", () => {
  let kernel: FakeKernel;
  let xfrm: Xfrm;
  const updates = (): number => kernel.commands.filter((command) => command.startsWith('xfrm policy update')).length;

  beforeEach(() => {
    kernel = new FakeKernel();
    xfrm = new Xfrm(kernel.run);
  });

  it('are made once, and only what is missing is made again', async () => {
    await xfrm.install(peerOf('host-b', '10.0.0.2'), signal);
    await xfrm.install(peerOf('host-b', '10.0.0.2'), signal);
    expect([kernel.policies.size, updates()]).toEqual([10, 10]);
    const [first = ''] = kernel.policies.keys();
    kernel.policies.delete(first);
    await xfrm.install(peerOf('host-b', '10.0.0.2'), signal);
    expect([kernel.policies.size, updates()]).toEqual([10, 11]);
  });

  it('follow a peer to another address, and leave those of others alone', async () => {
    await xfrm.install(peerOf('host-b', '10.0.0.2'), signal);
    await xfrm.install(peerOf('host-c', '10.0.0.3'), signal);
    await xfrm.install(peerOf('host-b', '10.0.0.9'), signal);
    expect([...kernel.policies.keys()].filter((key) => key.includes('10.0.0.2/'))).toEqual([]);
    expect(kernel.policies.size).toBe(20);
    await xfrm.removeAll('host-b', signal);
    expect(await xfrm.reqidsInUse(signal)).toEqual(new Set(Object.values(reqidsOf('host-c'))));
    await xfrm.removeAll('host-b', signal);
    expect(kernel.policies.size).toBe(10);
  });
});

describe('ip(8)', () => {
  it('says why it failed, and what to do', async () => {
    await expect(systemIp('/nonexistent/ip')(['xfrm', 'policy', 'list'], signal)).rejects.toMatchObject({ code: 'ipsec-failed' });
    const wrong = systemIp('sh', ['-c', 'echo "RTNETLINK answers: Operation not permitted" >&2; exit 2']);
    await expect(wrong(['xfrm', 'policy', 'list'], signal)).rejects.toThrow(
      /xfrm policy list failed \(RTNETLINK answers: Operation not permitted\)/,
    );
  });

  it('ends with its caller', async () => {
    const controller = new AbortController();
    const waiting = systemIp('sleep', ['60'])([], controller.signal);
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'aborted' });
  });
});
