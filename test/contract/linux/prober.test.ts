/** The prober between two private network namespaces. Needs root. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxProber } from '#drivers/linux/prober.ts';
import { NftGuard } from '#drivers/linux/guard.ts';
import { type Family, twoEnds, type TwoEnds, whyNoNamespaces } from './namespaces.ts';

const signal = new AbortController().signal;

const missing = whyNoNamespaces();

describe.runIf(missing === null).each<Family>(['IPv4', 'IPv6'])(
  `the prober between two hosts on %s${missing === null ? '' : ` (${missing})`}`,
  (family) => {
    let ends: TwoEnds;
    let guard: NftGuard;

    beforeAll(() => {
      ends = twoEnds(family, `p${family.slice(2)}`);
      guard = new NftGuard({ command: ends.far.within('/usr/sbin/nft') });
    });
    afterAll(() => ends.close());

    const sides = () => ({ from: ends.near.addresses, to: ends.far.addresses });
    const sendProtected = async (nonce: string, timeoutMs: number, sizeBytes = 1200) =>
      (await ends.near.ask({ op: 'probe-send-protected', ...sides(), nonce, count: 10, sizeBytes, timeoutMs })).count;
    const sendPlain = async (nonce: string) => (await ends.near.ask({ op: 'probe-send-plain', ...sides(), nonce, count: 5 })).count;
    const counts = () => ends.far.ask({ op: 'probe-counts' });

    it('has its protected probes answered through the tunnel, and counts only those with the nonce', async () => {
      await ends.far.ask({ op: 'probe-listen', addresses: ends.far.addresses, nonce: 'the-nonce' });
      expect(await sendProtected('another-one', 100)).toBe(0);
      expect(await counts()).toEqual({ protectedProbes: 0, plainProbes: 0 });
      const linkBefore = ends.far.run('/bin/sh', '-c', 'grep ipsec0 /proc/net/dev');
      expect(await sendProtected('the-nonce', 5000)).toBe(10);
      expect(await counts()).toEqual({ protectedProbes: 10, plainProbes: 0 });
      expect(ends.far.run('/bin/sh', '-c', 'grep ipsec0 /proc/net/dev')).not.toBe(linkBefore);
      await ends.far.ask({ op: 'probe-close' });
    });

    it('has its plain probes counted where there is no guard (control arm), and not where there is one', async () => {
      await ends.far.ask({ op: 'probe-listen', addresses: ends.far.addresses, nonce: 'plain' });
      expect(await sendPlain('plain')).toBe(5);
      await expect.poll(counts).toEqual({ protectedProbes: 0, plainProbes: 5 });
      await ends.far.ask({ op: 'probe-close' });

      await guard.install({ addresses: ends.far.addresses, backend: 'libipsec' }, signal);
      await ends.far.ask({ op: 'probe-listen', addresses: ends.far.addresses, nonce: 'guarded' });
      expect(await sendPlain('guarded')).toBe(5);
      await expect.poll(async () => (await guard.inspect(signal)).droppedProbePackets).toBe(5);
      expect(await sendProtected('guarded', 5000)).toBe(10);
      expect(await counts()).toEqual({ protectedProbes: 10, plainProbes: 0 });
      await ends.far.ask({ op: 'probe-close' });
      await guard.remove(signal);
    });

    it('gets no answer where nobody listens, within its time', async () => {
      expect(await sendProtected('nobody', 100)).toBe(0);
    });
  },
);

describe('the prober on one host', () => {
  const local = { underlay: '127.0.3.1', protected: '127.0.3.2', interface: 'lo' };
  const remote = { underlay: '127.0.3.3', protected: '127.0.3.4', interface: 'lo' };

  it('serves several listeners on the same ports, each with its own nonce', async () => {
    const prober = new LinuxProber();
    const [one, two] = await Promise.all([prober.listen(remote, 'one', signal), prober.listen(remote, 'two', signal)]);
    const common = { from: local, to: remote, count: 3, sizeBytes: 64, timeoutMs: 5000 };
    expect(await prober.sendProtected({ ...common, nonce: 'one' }, signal)).toBe(3);
    expect(one.counts()).toEqual({ protectedProbes: 3, plainProbes: 0 });
    expect(two.counts()).toEqual({ protectedProbes: 0, plainProbes: 0 });
    await one.close();
    await one.close();
    expect(await prober.sendProtected({ ...common, nonce: 'two' }, signal)).toBe(3);
    await two.close();
    const again = await prober.listen(remote, 'one', signal);
    await again.close();
  });

  it('refuses an address that is not on this host, and a port that is taken', async () => {
    const prober = new LinuxProber();
    const absent = { ...local, protected: '192.0.2.77' };
    await expect(prober.listen(absent, 'nonce', signal)).rejects.toMatchObject({ code: 'channel-failed' });
    const listener = await prober.listen(remote, 'nonce', signal);
    await expect(new LinuxProber().listen(remote, 'nonce', signal)).rejects.toMatchObject({ code: 'channel-failed' });
    await expect(prober.listen(remote, 'nonce', signal)).rejects.toMatchObject({ code: 'channel-failed' });
    await listener.close();
  });

  it('stops at once when it is aborted, with the reason', async () => {
    const prober = new LinuxProber();
    const abort = new AbortController();
    const reason = new Error('stop');
    const run = prober.sendProtected({ from: local, to: remote, nonce: 'n', count: 1, sizeBytes: 64, timeoutMs: 60_000 }, abort.signal);
    abort.abort(reason);
    await expect(run).rejects.toBe(reason);
  });
});
