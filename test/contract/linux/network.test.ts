/** Routes, interfaces and the MSS clamp on real namespaces. Needs root; the captures need tcpdump. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PeerTuning } from '#core/model/channel.ts';
import { until } from '#test/support/until.ts';
import { type End, type Family, whyNoNamespaces } from './namespaces.ts';
import { narrowPath, type Path, pathAddress, transportAddresses } from './path.ts';

const ip = '/usr/sbin/ip';
const missing = whyNoNamespaces() ?? (existsSync('/usr/bin/tcpdump') ? null : 'not run, needs tcpdump');
const middleMtuBytes = 4000;
const families: readonly Family[] = ['IPv4', 'IPv6'];

describe.runIf(missing === null)(`the network of a host${missing === null ? '' : ` (${missing})`}`, () => {
  let path: Path;

  beforeAll(() => {
    path = narrowPath('n', { middleMtuBytes, endMtuBytes: 1500 });
    // More that must stay as it is: another table, routes of an MTU of their own, a metric, IPv6 with the interface's very MTU.
    path.near.run(ip, 'route', 'add', '10.90.0.0/16', 'via', pathAddress('one', 'IPv4'), 'metric', '50', 'initcwnd', '20');
    path.near.run(ip, 'route', 'add', '10.91.0.0/16', 'via', pathAddress('one', 'IPv4'), 'mtu', '1400');
    path.near.run(ip, 'route', 'add', '10.92.0.0/16', 'via', pathAddress('one', 'IPv4'), 'table', '220', 'proto', 'static');
    path.near.run(ip, '-6', 'route', 'add', '2001:db8:91::/48', 'via', pathAddress('one', 'IPv6'), 'mtu', '1500');
    path.near.run(ip, '-6', 'route', 'add', '2001:db8:92::/48', 'via', pathAddress('one', 'IPv6'), 'mtu', '1499');
    path.near.run(ip, 'link', 'add', 'other0', 'type', 'veth', 'peer', 'name', 'other1');
    path.near.run(ip, 'link', 'set', 'dev', 'other0', 'up');
  });
  afterAll(() => path.close());
  afterEach(async () => {
    await path.far.ask({ op: 'answers-close' });
    expect(await restore(null)).toEqual({});
    // What routers have told of their links is of this test only.
    for (const family of ['-4', '-6']) path.near.run(ip, family, 'route', 'flush', 'cache');
  });

  const tuning = (family: Family, settings: Partial<PeerTuning>): PeerTuning => ({
    peerHostId: 'far',
    peerUnderlay: pathAddress('far', family),
    peerChannelAddress: pathAddress('far', family),
    interface: 'eth0',
    mssBytes: null,
    routeMtuBytes: null,
    interfaceMtuBytes: null,
    ...settings,
  });
  const tune = (settings: PeerTuning) => path.near.ask({ op: 'tune', stateDir: path.stateDir, tuning: settings });
  const restore = (peerHostId: string | null) => path.near.ask({ op: 'restore', stateDir: path.stateDir, peerHostId });
  const tuned = async () => (await path.near.ask({ op: 'tuned', stateDir: path.stateDir })).tunings;
  const way = async (family: Family) =>
    (await path.near.ask({ op: 'way', stateDir: path.stateDir, peerUnderlay: pathAddress('far', family) })).way;

  /** Everything a tuning could have changed. */
  function allSettings(): string {
    const { near } = path;
    // Left out: how long a learned MTU is still believed, and counters.
    const routes = [4, 6].map((family) => near.run(ip, `-${family}`, 'route', 'show', 'table', 'all'));
    const links = near.run(ip, 'link', 'show');
    const ipv6 = near.run('/bin/sh', '-c', 'cat /proc/sys/net/ipv6/conf/*/mtu');
    return [...routes, links, ipv6, near.run('/usr/sbin/nft', 'list', 'ruleset')].join('\n');
  }

  /** The MTU that the kernel uses for packets to an address. */
  function mtuTo(address: string): number {
    const script = `import socket,sys
six=":" in sys.argv[1]
s=socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1],9))
s.send(b"x")
print(s.getsockopt(41 if six else 0, 24 if six else 14))`;
    return Number(path.near.run('/usr/bin/python3', '-c', script, address));
  }

  /** Addresses that are none of the tuned peer's business. */
  const others = [
    ...families.flatMap((family) => [pathAddress('one', family), pathAddress('two', family), pathAddress('middleTwo', family)]),
    '10.81.0.77',
    '10.90.1.1',
    '10.92.1.1',
    '2001:db8:91::1',
  ];

  describe.each(families)('on %s', (family) => {
    it('is told as it is: interface, its MTU and limit, no MTU of the route, no tunnel device', async () => {
      const plain = { interface: 'eth0', interfaceMtuBytes: 1500, interfaceMtuBytesMax: 65_535, routeMtuBytes: null, tunnelMtuBytes: null };
      expect(await way(family)).toEqual(plain);
      path.near.run(ip, 'tuntap', 'add', 'dev', 'ipsec0', 'mode', 'tun');
      path.near.run(ip, 'link', 'set', 'dev', 'ipsec0', 'mtu', '1400');
      expect(await way(family)).toEqual({ ...plain, tunnelMtuBytes: 1400 });
      path.near.run(ip, 'link', 'delete', 'ipsec0');
    });

    it('clamps the MSS of both SYNs, in both directions, to and from the peer only (control arm: not clamped before)', async () => {
      const mssBefore = 1500 - (family === 'IPv4' ? 40 : 60);
      expect(await handshakes(family, 'far')).toEqual({ out: mssBefore, outReply: mssBefore, in: mssBefore, inReply: mssBefore });
      const unclamped = await largestSegment(family);
      await tune(tuning(family, { mssBytes: 1111 }));
      // The peer's own words are clamped on their way in, after the capture: the size of what is sent shows it.
      expect(await handshakes(family, 'far')).toEqual({ out: 1111, outReply: mssBefore, in: mssBefore, inReply: 1111 });
      expect(await largestSegment(family)).toBeLessThanOrEqual(1111);
      expect(unclamped).toBeGreaterThan(1400);
      expect(await handshakes(family, 'two')).toMatchObject({ out: mssBefore, inReply: mssBefore });
    });

    it('gets a large stream through a path that swallows it otherwise, by the MTU of the route (control arm: swallowed)', async () => {
      path.setIcmp(false);
      path.one.run(ip, 'link', 'set', 'dev', 'mid', 'mtu', '1300');
      path.two.run(ip, 'link', 'set', 'dev', 'mid', 'mtu', '1300');
      try {
        expect(await streamedBytes(family)).toBeLessThan(100_000);
        const before = allSettings();
        expect(await tune(tuning(family, { routeMtuBytes: 1300 }))).toEqual({});
        expect((await way(family))?.routeMtuBytes).toBe(1300);
        expect(mtuTo(pathAddress('far', family))).toBe(1300);
        for (const other of others) expect(mtuTo(other), other).toBe(1500);
        expect(await streamedBytes(family)).toBeGreaterThan(1_000_000);
        await restore('far');
        expect(allSettings()).toBe(before);
      } finally {
        // The link first: a segment sent again meanwhile would teach the near end the small MTU for ten minutes.
        path.one.run(ip, 'link', 'set', 'dev', 'mid', 'mtu', String(middleMtuBytes));
        path.two.run(ip, 'link', 'set', 'dev', 'mid', 'mtu', String(middleMtuBytes));
        path.setIcmp(true);
      }
    });

    it('raises the interface for the peer, keeps all other traffic at its size, and puts everything back', async () => {
      path.far.run(ip, 'link', 'set', 'dev', 'eth0', 'mtu', '9000');
      await path.far.ask({ op: 'path-answer', addresses: transportAddresses('far', family), nonce: 'path' });
      const crosses = async (packetBytes: number) => {
        const ends = { from: transportAddresses('near', family), to: transportAddresses('far', family) };
        return (await path.near.ask({ op: 'path-probe', ...ends, nonce: 'path', packetBytes, timeoutMs: 600 })).reached;
      };
      const before = allSettings();
      expect(await crosses(middleMtuBytes)).toBe(false);
      expect(await tune(tuning(family, { interfaceMtuBytes: 5000 }))).toEqual({});
      expect(await crosses(middleMtuBytes)).toBe(true);
      expect(await crosses(middleMtuBytes + 1)).toBe(false);
      // A gateway that the kernel is not sure of: it then takes turns between default routes, unless they are kept apart.
      const gateway = path.near.run(ip, 'neighbour', 'show', pathAddress('one', 'IPv4')).trim().split(' ').slice(0, 5);
      path.near.run(ip, 'neighbour', 'replace', ...gateway, 'nud', 'stale');
      for (const other of [...others, ...others]) expect(mtuTo(other), other).toBe(1500);
      expect(mtuTo('10.91.1.1')).toBe(1400);
      expect(mtuTo('2001:db8:92::1')).toBe(1499);
      expect(await way(family)).toMatchObject({ interfaceMtuBytes: 5000 });
      expect(await tune(tuning(family, { interfaceMtuBytes: 5000, routeMtuBytes: middleMtuBytes }))).toEqual({});
      expect(mtuTo(pathAddress('far', family))).toBe(middleMtuBytes);
      await restore('far');
      expect(allSettings()).toBe(before);
      path.far.run(ip, 'link', 'set', 'dev', 'eth0', 'mtu', '1500');
    });

    it('raises the route of the protected address too, in the table that leads there', async () => {
      const inner = family === 'IPv4' ? '10.79.0.2' : 'fd00:79::2';
      const route = [inner, 'via', pathAddress('one', family), 'table', '220', 'proto', 'static'];
      const rule = [`-${family.slice(-1)}`, 'rule'];
      path.near.run(ip, `-${family.slice(-1)}`, 'route', 'add', ...route);
      path.near.run(ip, ...rule, 'add', 'pref', '220', 'lookup', '220');
      const before = allSettings();
      await tune(tuning(family, { peerChannelAddress: inner, interfaceMtuBytes: 4000, mssBytes: 3000 }));
      expect(mtuTo(inner)).toBe(4000);
      expect(mtuTo(pathAddress('far', family))).toBe(4000);
      expect(path.near.run('/usr/sbin/nft', 'list', 'table', 'inet', 'plimsoll_tune')).toContain(`daddr ${inner} tcp flags`);
      await restore('far');
      expect(allSettings()).toBe(before);
      path.near.run(ip, ...rule, 'delete', 'pref', '220', 'lookup', '220');
      path.near.run(ip, `-${family.slice(-1)}`, 'route', 'delete', ...route);
    });

    it('is put back by a later process when the one that changed it was killed', async () => {
      const before = allSettings();
      await tune(tuning(family, { interfaceMtuBytes: 4000, routeMtuBytes: 3900, mssBytes: 3000 }));
      const changed = allSettings();
      await path.near.crash();
      expect(allSettings()).toBe(changed);
      expect(await tuned()).toHaveLength(1);
      expect(await restore(null)).toEqual({});
      expect(allSettings()).toBe(before);
      expect(await tuned()).toEqual([]);
    });
  });

  it('is put back also when the process was killed in the middle of a change', async () => {
    const before = allSettings();
    const asked = tuning('IPv4', { interfaceMtuBytes: 4000, mssBytes: 3000 });
    await tune(asked);
    const journal = readFileSync(join(path.stateDir, 'tuning.json'), 'utf8');
    const states: string[] = [];
    // Each step undone by hand, as if it had not been made yet.
    const steps: readonly (() => void)[] = [
      () => path.near.run('/usr/sbin/nft', 'delete', 'table', 'inet', 'plimsoll_tune'),
      () => path.near.run(ip, 'route', 'flush', 'table', 'all', 'proto', '149'),
      () => path.near.run('/usr/sbin/sysctl', '-qw', 'net.ipv6.conf.eth0.mtu=4000'),
      () => path.near.run(ip, 'link', 'set', 'dev', 'eth0', 'mtu', '1500'),
      () => path.near.run(ip, 'route', 'flush', 'table', 'all', 'proto', '150'),
    ];
    for (let made = 0; made <= steps.length; made += 1) {
      for (const step of steps.slice(0, made)) step();
      states.push(allSettings());
      await restore(null);
      expect(allSettings(), `${made} steps undone`).toBe(before);
      if (made === steps.length) break;
      await tune(asked);
      expect(readFileSync(join(path.stateDir, 'tuning.json'), 'utf8')).toBe(journal);
    }
    expect(new Set(states).size).toBe(steps.length + 1);
  });

  it('is idempotent, and newer settings for a peer replace older ones', async () => {
    const before = allSettings();
    const first = tuning('IPv4', { interfaceMtuBytes: 5000, routeMtuBytes: 4000, mssBytes: 3000 });
    await tune(first);
    const once = allSettings();
    await tune(first);
    expect(allSettings()).toBe(once);
    const second = tuning('IPv4', { routeMtuBytes: 1400 });
    await tune(second);
    expect(await tuned()).toEqual([second]);
    expect(mtuTo(pathAddress('far', 'IPv4'))).toBe(1400);
    expect(await way('IPv4')).toMatchObject({ interfaceMtuBytes: 1500, routeMtuBytes: 1400 });
    await restore('far');
    expect(allSettings()).toBe(before);
  });

  it('serves several peers over one interface, and puts back for each alone', async () => {
    const before = allSettings();
    const two = { peerHostId: 'two', peerUnderlay: pathAddress('two', 'IPv6'), peerChannelAddress: pathAddress('two', 'IPv6') };
    await tune(tuning('IPv4', { interfaceMtuBytes: 4000, mssBytes: 3000 }));
    const oneOnly = allSettings();
    await tune(tuning('IPv6', { ...two, interfaceMtuBytes: 8000, mssBytes: 7000 }));
    expect([mtuTo(pathAddress('far', 'IPv4')), mtuTo(two.peerUnderlay), mtuTo(pathAddress('far', 'IPv6'))]).toEqual([4000, 8000, 1500]);
    await restore('two');
    expect(allSettings()).toBe(oneOnly);
    await tune(tuning('IPv6', { ...two, interfaceMtuBytes: 8000 }));
    await restore('far');
    expect([mtuTo(pathAddress('far', 'IPv4')), mtuTo(two.peerUnderlay)]).toEqual([1500, 8000]);
    await restore('two');
    expect(allSettings()).toBe(before);
  });

  it('leaves an interface alone that somebody else has set meanwhile', async () => {
    await tune(tuning('IPv4', { interfaceMtuBytes: 4000 }));
    path.near.run(ip, 'link', 'set', 'dev', 'eth0', 'mtu', '3000');
    await restore(null);
    const left = await way('IPv4');
    path.near.run(ip, 'link', 'set', 'dev', 'eth0', 'mtu', '1500');
    expect(left).toMatchObject({ interfaceMtuBytes: 3000, routeMtuBytes: null });
  });

  it('does not touch what already is large enough', async () => {
    const before = allSettings();
    expect(await tune(tuning('IPv4', { interfaceMtuBytes: 1400 }))).toEqual({});
    expect(allSettings()).toBe(before);
  });

  const impossible: readonly (readonly [string, Partial<PeerTuning>, string])[] = [
    ['an interface that is not there', { interface: 'eth9', interfaceMtuBytes: 4000 }, 'no interface'],
    ['an interface that does not lead there', { interface: 'other0', interfaceMtuBytes: 4000 }, 'leave by eth0'],
    ['a route MTU above the interface', { routeMtuBytes: 4000 }, 'raise the interface too'],
    ['a name that is none', { interface: 'eth0; rm', mssBytes: 1000 }, 'not the name'],
    ['an address that is none', { peerChannelAddress: '10.0.0.0/8', mssBytes: 1000 }, 'not an IPv4 or IPv6 address'],
    ['an MTU below what IP allows', { routeMtuBytes: 500 }, 'the route MTU is'],
  ];

  it.each(impossible)('refuses %s and leaves everything as it was', async (_, wrong, words) => {
    await tune(tuning('IPv6', { routeMtuBytes: 1400, mssBytes: 1300, peerHostId: 'another' }));
    const before = allSettings();
    const answer = await tune(tuning('IPv4', wrong));
    expect(answer.errorCode).toContain('channel-failed');
    expect(answer.errorCode).toContain(words);
    expect(allSettings()).toBe(before);
    expect(await tuned()).toHaveLength(1);
  });

  it('does not raise an interface that has a route over several next hops, nor a VLAN above what is below it', async () => {
    path.near.run(ip, 'route', 'add', '10.93.0.0/16', 'nexthop', 'via', '10.81.0.1', 'nexthop', 'via', '10.81.0.3');
    const before = allSettings();
    expect((await tune(tuning('IPv4', { interfaceMtuBytes: 4000 }))).errorCode).toContain('several next hops');
    expect(allSettings()).toBe(before);
    path.near.run(ip, 'route', 'delete', '10.93.0.0/16');
    // The kernel here may know no VLANs; a macvlan has the same limit.
    path.near.run(ip, 'link', 'add', 'link', 'eth0', 'name', 'upper0', 'type', 'macvlan');
    path.near.run(ip, 'link', 'set', 'dev', 'upper0', 'up');
    path.near.run(ip, 'route', 'add', '10.94.0.2/32', 'dev', 'upper0');
    const upper = { interface: 'upper0', peerUnderlay: '10.94.0.2', peerChannelAddress: '10.94.0.2', interfaceMtuBytes: 4000 };
    const { errorCode } = await tune(tuning('IPv4', upper));
    path.near.run(ip, 'link', 'delete', 'upper0');
    expect(errorCode).toContain('up to 1500 bytes');
  });

  it('says what to do when its journal is damaged, and changes nothing', async () => {
    const before = allSettings();
    const file = join(path.stateDir, 'tuning.json');
    const good = readFileSync(file, 'utf8');
    for (const damaged of ['', '{', '{"version":2}', good.replace('"tunings": []', '"tunings": [{}]')]) {
      writeFileSync(file, damaged);
      expect((await tune(tuning('IPv4', { routeMtuBytes: 1400 }))).errorCode).toContain('is damaged');
      expect((await restore(null)).errorCode).toContain('is damaged');
    }
    writeFileSync(file, good);
    expect(allSettings()).toBe(before);
  });

  it('forgets what an earlier boot had changed', async () => {
    await tune(tuning('IPv4', { mssBytes: 1300 }));
    const file = join(path.stateDir, 'tuning.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace(/"bootId": "[^"]*"/, '"bootId": "another"'));
    expect(await tuned()).toEqual([]);
  });

  async function streamedBytes(family: Family): Promise<number> {
    const ends = { from: transportAddresses('near', family), to: transportAddresses('far', family) };
    const { port = 0 } = await path.far.ask({ op: 'stream-receive', addresses: ends.to, nonce: 'bulk' });
    const sent = await path.near.ask({ op: 'stream-send', ...ends, port, nonce: 'bulk', durationMs: 300 });
    await path.far.ask({ op: 'answers-close' });
    return sent.bytes ?? Number.NaN;
  }

  /** MSS in the SYNs of one connection out and one in, as they are on the near end's link. */
  async function handshakes(family: Family, other: 'far' | 'two'): Promise<Record<'out' | 'outReply' | 'in' | 'inReply', number>> {
    const [here, there] = [pathAddress('near', family), pathAddress(other, family)];
    const bothHandshakes = async () => {
      await connection(path.near, here, path[other], there);
      await connection(path[other], there, path.near, here);
    };
    const lines = await captured(path.near, bothHandshakes, (text) => (text.match(/\bmss \d+/g) ?? []).length >= 4);
    const mssOf = (from: string, to: string, flags: string): number => {
      const line = lines.find((text) => text.includes(` ${from}.`) && text.includes(`> ${to}.`) && text.includes(`Flags [${flags}]`));
      return Number(/mss (\d+)/.exec(line ?? '')?.[1]);
    };
    return {
      out: mssOf(here, there, 'S'),
      outReply: mssOf(there, here, 'S.'),
      in: mssOf(there, here, 'S'),
      inReply: mssOf(here, there, 'S.'),
    };
  }

  let nextPort = 20_000;

  async function connection(from: End, fromAddress: string, to: End, toAddress: string): Promise<void> {
    const port = (nextPort += 1);
    await to.ask({ op: 'listen', protocol: 'tcp', at: { address: toAddress, port } });
    const ends = { from: { address: fromAddress, port: 0 }, to: { address: toAddress, port } };
    expect(await from.ask({ op: 'tcp-connect', ...ends, timeoutMs: 5000 })).toEqual({ reached: true });
  }

  /** Largest payload of a segment of a stream to the peer; offloading is off, or the capture would show what no link carries. */
  async function largestSegment(family: Family): Promise<number> {
    path.near.run(ip, 'link', 'set', 'dev', 'eth0', 'gso_max_segs', '1');
    const lines = await captured(
      path.near,
      () => streamedBytes(family),
      (text) => (text.match(/length [1-9]\d{2,}/g) ?? []).length >= 50,
    );
    path.near.run(ip, 'link', 'set', 'dev', 'eth0', 'gso_max_segs', '65535');
    const sent = lines.filter(
      (line) => line.includes(` ${pathAddress('near', family)}.`) && line.includes(`> ${pathAddress('far', family)}.`),
    );
    return Math.max(...sent.map((line) => Number(/length (\d+)/.exec(line)?.[1] ?? 0)));
  }
});

/** What tcpdump prints of the TCP packets on the end's link meanwhile, and until `isComplete`. */
async function captured(end: End, work: () => Promise<unknown>, isComplete: (text: string) => boolean): Promise<readonly string[]> {
  const [file, ...args] = end.within('/usr/bin/tcpdump', '-n', '-l', '--immediate-mode', '-c', '3000', '-i', 'eth0', 'tcp');
  const program = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [text, remarks] = ['', ''];
  program.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  program.stderr.on('data', (chunk: Buffer) => (remarks += chunk.toString()));
  const ended = new Promise((resolve) => program.once('close', resolve));
  await until('tcpdump listens', () => remarks.includes('listening on'));
  await work();
  await until('tcpdump prints the last packet', () => isComplete(text));
  program.kill('SIGINT');
  await ended;
  return text.split('\n');
}
