/** The prober between two private network namespaces. Needs root. */
import { createSocket } from 'node:dgram';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probePorts } from '#core/ports.ts';
import { until } from '#test/support/until.ts';
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

  it('works where the address in the channel is the underlay address, several runs at a time', async () => {
    const prober = new LinuxProber();
    const [here, there] = ['127.0.3.5', '127.0.3.6'].map((address) => ({ underlay: address, protected: address, interface: 'lo' }));
    if (here === undefined || there === undefined) throw new Error('two addresses');
    const nonces = ['one', 'two', 'three', 'four'];
    const listeners = await Promise.all(nonces.map((nonce) => prober.listen(there, nonce, signal)));
    const run = { from: here, to: there, count: 25, sizeBytes: 64, timeoutMs: 5000 };
    expect(await Promise.all(nonces.map((nonce) => prober.sendProtected({ ...run, nonce }, signal)))).toEqual([25, 25, 25, 25]);
    expect(listeners.map((listener) => listener.counts().protectedProbes)).toEqual([25, 25, 25, 25]);
    expect(await prober.sendPlain({ ...run, nonce: 'one' }, signal)).toBe(25);
    await until('the plain ones are counted', () => listeners[0]?.counts().plainProbes === 25);
    await Promise.all(listeners.map((listener) => listener.close()));
  });

  it('sends every protected probe from the one port that selectors of transport mode can name', async () => {
    const prober = new LinuxProber();
    const senders: number[] = [];
    const watcher = createSocket('udp4');
    watcher.on('message', (_, sender) => senders.push(sender.port));
    await new Promise<void>((resolve) => watcher.bind(probePorts.protected, remote.protected, resolve));
    const run = { from: local, to: remote, count: 3, sizeBytes: 64, timeoutMs: 200 };
    expect(await Promise.all(['one', 'two'].map((nonce) => prober.sendProtected({ ...run, nonce }, signal)))).toEqual([0, 0]);
    watcher.close();
    expect(senders.length).toBeGreaterThanOrEqual(6);
    expect(new Set(senders)).toEqual(new Set([probePorts.sender]));
    // The port is free again.
    const taken = createSocket('udp4');
    await new Promise<void>((resolve) => taken.bind(probePorts.sender, local.protected, resolve));
    await expect(prober.sendProtected({ ...run, nonce: 'three' }, signal)).rejects.toMatchObject({ code: 'channel-failed' });
    taken.close();
  });

  it('stops a path probe and a stream when it is aborted, with the reason', async () => {
    const prober = new LinuxProber();
    const reason = new Error('stop');
    const ends = { from: local, to: remote, nonce: 'n' };
    const stream = await prober.receiveStream(remote, 'n', signal);
    const abort = new AbortController();
    const runs = [
      prober.probePath({ ...ends, packetBytes: 1000, timeoutMs: 60_000 }, abort.signal),
      prober.sendStream({ ...ends, port: stream.port, durationMs: 60_000 }, abort.signal),
    ];
    setTimeout(() => abort.abort(reason), 100);
    for (const result of await Promise.allSettled(runs)) expect(result).toEqual({ status: 'rejected', reason });
    await stream.close();
    await expect(prober.receiveStream({ ...local, protected: '192.0.2.77' }, 'n', signal)).rejects.toMatchObject({
      code: 'channel-failed',
    });
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
