/** Path probes and the bulk stream over a path with a narrow middle. Needs root. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Family, whyNoNamespaces } from './namespaces.ts';
import { narrowPath, type Path, pathAddress, transportAddresses } from './path.ts';

const missing = whyNoNamespaces();
const middleMtuBytes = 1413;
const directions = ['near', 'far'] as const;

describe.runIf(missing === null)(`a path whose middle takes less than its ends${missing === null ? '' : ` (${missing})`}`, () => {
  let path: Path;

  beforeAll(() => {
    path = narrowPath('w', { middleMtuBytes, endMtuBytes: 1500 });
  });
  afterAll(() => path.close());

  const sides = (from: 'near' | 'far', family: Family) => {
    const to = from === 'near' ? 'far' : 'near';
    return { sender: path[from], answerer: path[to], from: transportAddresses(from, family), to: transportAddresses(to, family) };
  };

  async function crosses(from: 'near' | 'far', family: Family, packetBytes: number, timeoutMs: number): Promise<boolean | undefined> {
    const { sender, ...ends } = sides(from, family);
    return (await sender.ask({ op: 'path-probe', from: ends.from, to: ends.to, nonce: 'path', packetBytes, timeoutMs })).reached;
  }

  /** The largest size that crosses. */
  async function measured(from: 'near' | 'far', family: Family): Promise<number> {
    let [fits, tooLarge] = [1280, 1501];
    while (tooLarge - fits > 1) {
      const middle = Math.floor((fits + tooLarge) / 2);
      // A third of this passes between two copies; a probe that crosses is answered within a millisecond.
      if (await crosses(from, family, middle, 600)) fits = middle;
      else tooLarge = middle;
    }
    return fits;
  }

  const forget = (): void => {
    for (const end of [path.near, path.far]) {
      end.run('/usr/sbin/ip', '-4', 'route', 'flush', 'cache');
      end.run('/usr/sbin/ip', '-6', 'route', 'flush', 'cache');
    }
  };

  describe.each<Family>(['IPv4', 'IPv6'])('on %s', (family) => {
    it.each(directions)('is measured to the byte from the %s end, with and without any ICMP', async (from) => {
      const { answerer, to } = sides(from, family);
      await answerer.ask({ op: 'path-answer', addresses: to, nonce: 'path' });
      try {
        path.setIcmp(true);
        forget();
        expect(await measured(from, family)).toBe(middleMtuBytes);
        const learned = await path[from].ask({ op: 'way', stateDir: path.stateDir, peerUnderlay: to.underlay });
        expect(learned.way?.routeMtuBytes).toBe(middleMtuBytes);
        path.setIcmp(false);
        forget();
        expect(await measured(from, family)).toBe(middleMtuBytes);
        const silent = await path[from].ask({ op: 'way', stateDir: path.stateDir, peerUnderlay: to.underlay });
        expect(silent.way?.routeMtuBytes).toBe(null);
      } finally {
        await answerer.ask({ op: 'answers-close' });
      }
    });

    it('does not take fragments for a packet, which do arrive (control arm)', async () => {
      const { answerer, sender, from, to } = sides('near', family);
      path.setIcmp(true);
      forget();
      await answerer.ask({ op: 'path-answer', addresses: to, nonce: 'path' });
      const payloadBytes = 1460 - (family === 'IPv4' ? 28 : 48);
      const port = family === 'IPv4' ? 7000 : 7001;
      await answerer.ask({ op: 'listen', protocol: 'udp', at: { address: to.underlay, port } });
      await expect
        .poll(async () => {
          await sender.ask({ op: 'udp-send', from: { address: from.underlay, port: 0 }, to: { address: to.underlay, port }, payloadBytes });
          return (await answerer.ask({ op: 'received', protocol: 'udp', port })).count;
        })
        .toBeGreaterThan(0);
      forget();
      for (let attempt = 0; attempt < 3; attempt += 1) expect(await crosses('near', family, 1460, 600)).toBe(false);
      await answerer.ask({ op: 'answers-close' });
    });

    it('is told by nobody with another nonce, and by nobody who does not listen', async () => {
      const { answerer, to } = sides('near', family);
      expect(await crosses('near', family, 1280, 150)).toBe(false);
      await answerer.ask({ op: 'path-answer', addresses: to, nonce: 'another' });
      expect(await crosses('near', family, 1280, 150)).toBe(false);
      await answerer.ask({ op: 'answers-close' });
    });

    it('carries a bulk stream, whose receiver counts what the sender says', async () => {
      path.setIcmp(true);
      const { answerer, sender, from, to } = sides('near', family);
      const { port = 0 } = await answerer.ask({ op: 'stream-receive', addresses: to, nonce: 'bulk' });
      const receivedBytes = (): number =>
        Number(
          answerer
            .run('/bin/sh', '-c', 'grep eth0 /proc/net/dev')
            .trim()
            .split(/[\s:]+/)[1],
        );
      const before = receivedBytes();
      const sent = await sender.ask({ op: 'stream-send', from, to, port, nonce: 'bulk', durationMs: 300 });
      const onTheWire = receivedBytes() - before;
      expect(sent.durationMs).toBeGreaterThanOrEqual(290);
      expect(sent.bytes).toBeGreaterThan(1_000_000);
      // The link's counter has headers in it, and at most a few segments sent twice.
      expect(onTheWire).toBeGreaterThan(sent.bytes ?? 0);
      expect(onTheWire).toBeLessThan((sent.bytes ?? 0) * 1.25);
      await answerer.ask({ op: 'answers-close' });
    });

    it('swallows a bulk stream without ICMP: next to nothing is counted, and the sender does not hang', async () => {
      path.setIcmp(false);
      forget();
      const { answerer, sender, from, to } = sides('near', family);
      const { port = 0 } = await answerer.ask({ op: 'stream-receive', addresses: to, nonce: 'bulk' });
      const startMs = performance.now();
      const sent = await sender.ask({ op: 'stream-send', from, to, port, nonce: 'bulk', durationMs: 300 });
      expect(sent.bytes).toBeLessThan(100_000);
      expect(sent.durationMs).toBeGreaterThan(300);
      expect(performance.now() - startMs).toBeLessThan(5000);
      await answerer.ask({ op: 'answers-close' });
    });

    it('carries no stream with another nonce, and no second one', async () => {
      path.setIcmp(true);
      const { answerer, sender, from, to } = sides('near', family);
      const { port = 0 } = await answerer.ask({ op: 'stream-receive', addresses: to, nonce: 'one' });
      const send = (nonce: string) => sender.ask({ op: 'stream-send', from, to, port, nonce, durationMs: 50 });
      expect((await send('other')).errorCode).toContain('channel-failed');
      expect((await send('one')).bytes).toBeGreaterThan(0);
      expect((await send('one')).errorCode).toContain('channel-failed');
      await answerer.ask({ op: 'answers-close' });
      expect((await send('one')).errorCode).toContain('channel-failed');
    });
  });

  it('cannot be measured on IPv4 by a host that sends without DF, and says so', async () => {
    const { answerer, sender, to } = sides('near', 'IPv4');
    await answerer.ask({ op: 'path-answer', addresses: to, nonce: 'path' });
    const probe = () =>
      sender.ask({ op: 'path-probe', from: transportAddresses('near', 'IPv4'), to, nonce: 'path', packetBytes: 1300, timeoutMs: 300 });
    sender.run('/usr/sbin/sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=1');
    expect((await probe()).errorCode).toContain('ip_no_pmtu_disc');
    sender.run('/usr/sbin/sysctl', '-qw', 'net.ipv4.ip_no_pmtu_disc=0');
    const lock = [`${to.underlay}/32`, 'via', pathAddress('one', 'IPv4'), 'mtu', 'lock', '1400'];
    sender.run('/usr/sbin/ip', 'route', 'add', ...lock);
    expect((await probe()).errorCode).toContain('locked');
    sender.run('/usr/sbin/ip', 'route', 'delete', ...lock);
    expect((await probe()).reached).toBe(true);
    await answerer.ask({ op: 'answers-close' });
  });
});
