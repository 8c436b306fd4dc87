/** The guard against the real kernel: private network namespaces, real packets. Needs root and nft. */
import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { guardRuleset } from '#core/channel/guard-rules.ts';
import type { GuardSpec } from '#core/ports.ts';
import { NftGuard } from '#drivers/linux/guard.ts';
import { type Family, routeThrough, twoEnds, type TwoEnds, whyNoNamespaces } from './namespaces.ts';

const nft = '/usr/sbin/nft';
const signal = new AbortController().signal;
const otherTable =
  'table inet bystander {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n\t\ttcp dport 22 accept\n\t}\n}\n';

const missing = whyNoNamespaces();

describe.runIf(missing === null).each<Family>(['IPv4', 'IPv6'])(`the guard on %s${missing === null ? '' : ` (${missing})`}`, (family) => {
  let ends: TwoEnds;
  let guard: NftGuard;
  let spec: GuardSpec;
  const rules = (): string => ends.near.run(nft, '-a', 'list', 'table', 'inet', 'plimsoll');
  const change = (...words: readonly string[]): string => ends.near.run(nft, ...words);
  const handleOf = (text: string): string => new RegExp(`^.*${text}.*# handle (\\d+)$`, 'm').exec(rules())?.[1] ?? 'none';

  beforeAll(async () => {
    ends = twoEnds(family, `g${family.slice(2)}`);
    guard = new NftGuard({ command: ends.near.within(nft) });
    spec = { addresses: ends.near.addresses, backend: 'libipsec' };
    for (const end of [ends.near, ends.far]) {
      const any = family === 'IPv4' ? '0.0.0.0' : '::';
      for (const port of [8080, 16_509, 16_514, 49_152, 49_215])
        await end.ask({ op: 'listen', protocol: 'tcp', at: { address: any, port } });
      for (const port of [500, 4500, 7000, 40_000, 49_151, 49_160]) {
        await end.ask({ op: 'listen', protocol: 'udp', at: { address: any, port } });
      }
    }
  });
  afterAll(() => ends.close());
  beforeEach(async () => {
    await guard.remove(signal);
    routeThrough(ends.far, ends.near, 'ipsec0');
    routeThrough(ends.near, ends.far, 'ipsec0');
  });

  /** Whether a TCP connection from one end reaches a port of the other; patient, for one that should. */
  async function connects(
    direction: 'in' | 'out',
    path: 'underlay' | 'protected',
    port: number,
    fromPort = 0,
    timeoutMs = 5000,
  ): Promise<boolean> {
    const [from, to] = direction === 'in' ? [ends.far, ends.near] : [ends.near, ends.far];
    const answer = await from.ask({
      op: 'tcp-connect',
      from: { address: from.addresses[path], port: fromPort },
      to: { address: to.addresses[path], port },
      timeoutMs,
    });
    return answer.reached === true;
  }

  /** Whether it does not reach it for so long that its first packet must have been dropped. */
  async function isKeptOut(direction: 'in' | 'out', path: 'underlay' | 'protected', port: number): Promise<boolean> {
    return !(await connects(direction, path, port, 0, 300));
  }

  /** Sends a datagram, then one that nothing may stop on the same path's link, and tells whether the first came in. */
  async function arrives(direction: 'in' | 'out', path: 'underlay' | 'protected', port: number, fromPort = 0): Promise<boolean> {
    const [from, to] = direction === 'in' ? [ends.far, ends.near] : [ends.near, ends.far];
    const before = (await to.ask({ op: 'received', protocol: 'udp', port })).count ?? 0;
    await from.ask({ op: 'udp-send', from: { address: from.addresses[path], port: fromPort }, to: { address: to.addresses[path], port } });
    const markerBefore = (await to.ask({ op: 'received', protocol: 'udp', port: 7000 })).count ?? 0;
    await from.ask({
      op: 'udp-send',
      from: { address: from.addresses.underlay, port: 0 },
      to: { address: to.addresses.underlay, port: 7000 },
    });
    await expect.poll(async () => (await to.ask({ op: 'received', protocol: 'udp', port: 7000 })).count).toBeGreaterThan(markerBefore);
    return ((await to.ask({ op: 'received', protocol: 'udp', port })).count ?? 0) > before;
  }

  it('keeps plain migration connections out, which arrive without it (control arm)', async () => {
    for (const port of [16_509, 16_514, 49_152, 49_215])
      expect(await connects('in', 'underlay', port), `port ${port}, no guard`).toBe(true);
    await guard.install(spec, signal);
    for (const port of [16_509, 16_514, 49_152, 49_215]) expect(await isKeptOut('in', 'underlay', port), `port ${port}, guard`).toBe(true);
    const state = await guard.inspect(signal);
    expect(state).toMatchObject({ installed: true, droppedOutPackets: 0, droppedProbePackets: 0 });
    expect(state.droppedInPackets).toBeGreaterThanOrEqual(4);
  });

  it('keeps plain datagrams for the data ports out, which arrive without it (control arm)', async () => {
    expect(await arrives('in', 'underlay', 49_160)).toBe(true);
    await guard.install(spec, signal);
    expect(await arrives('in', 'underlay', 49_160)).toBe(false);
  });

  it('rejects plain migration connections on their way out with an error, which pass without it (control arm)', async () => {
    expect(await connects('out', 'underlay', 49_152)).toBe(true);
    await guard.install(spec, signal);
    const answer = await ends.near.ask({
      op: 'tcp-connect',
      from: { address: ends.near.addresses.underlay, port: 0 },
      to: { address: ends.far.addresses.underlay, port: 49_152 },
      timeoutMs: 5000,
    });
    expect(answer.reached).toBe(false);
    expect(answer.errorCode).not.toBe('deadline');
    expect(await isKeptOut('out', 'underlay', 16_514)).toBe(true);
    expect((await guard.inspect(signal)).droppedOutPackets).toBeGreaterThanOrEqual(2);
  });

  it('keeps the protected address off every link but the tunnel, in both directions (control arm: both pass)', async () => {
    routeThrough(ends.far, ends.near, 'eth0');
    routeThrough(ends.near, ends.far, 'eth0');
    expect(await arrives('in', 'protected', 40_000)).toBe(true);
    expect(await arrives('out', 'protected', 40_000)).toBe(true);
    await guard.install(spec, signal);
    expect(await arrives('in', 'protected', 40_000)).toBe(false);
    expect(await arrives('out', 'protected', 40_000)).toBe(false);
    expect(await guard.inspect(signal)).toMatchObject({ droppedInPackets: 1, droppedOutPackets: 1, droppedProbePackets: 0 });
  });

  it('lets the plain probe out, and drops and counts it on its way in, where it arrives without it (control arm)', async () => {
    expect(await arrives('in', 'underlay', 49_151)).toBe(true);
    await guard.install(spec, signal);
    expect(await arrives('in', 'underlay', 49_151)).toBe(false);
    expect(await arrives('out', 'underlay', 49_151)).toBe(true);
    expect(await guard.inspect(signal)).toMatchObject({ droppedInPackets: 1, droppedOutPackets: 0, droppedProbePackets: 1 });
  });

  it('passes everything that comes through the tunnel', async () => {
    await guard.install(spec, signal);
    for (const port of [16_514, 49_152]) {
      expect(await connects('in', 'protected', port)).toBe(true);
      expect(await connects('out', 'protected', port)).toBe(true);
    }
    expect(await guard.inspect(signal)).toMatchObject({ droppedInPackets: 0, droppedOutPackets: 0 });
  });

  it('leaves other traffic alone: IKE, services, and clients whose own port is one of the data ports', async () => {
    await guard.install(spec, signal);
    for (const port of [500, 4500, 40_000]) {
      expect(await arrives('in', 'underlay', port)).toBe(true);
      expect(await arrives('out', 'underlay', port)).toBe(true);
    }
    expect(await connects('in', 'underlay', 8080)).toBe(true);
    expect(await connects('in', 'underlay', 8080, 49_170)).toBe(true);
    expect(await connects('out', 'underlay', 8080, 49_171)).toBe(true);
    expect(await guard.inspect(signal)).toMatchObject({ droppedInPackets: 0, droppedOutPackets: 0 });
  });

  it('is idempotent: a second install by another process keeps the rules and their counters', async () => {
    await guard.install(spec, signal);
    await arrives('in', 'underlay', 49_151);
    const before = rules();
    await new NftGuard({ command: ends.near.within(nft) }).install(spec, signal);
    expect(rules()).toBe(before);
    expect((await guard.inspect(signal)).droppedProbePackets).toBe(1);
  });

  it('replaces the rules when the spec is another one', async () => {
    await guard.install(spec, signal);
    await guard.install({ ...spec, backend: 'kernel' }, signal);
    expect(rules()).toContain('meta ipsec exists accept');
    expect(rules()).not.toContain('ipsec0');
    expect((await guard.inspect(signal)).installed).toBe(true);
  });

  const tamperings: readonly (readonly [string, () => void])[] = [
    ['a rule is deleted', () => change('delete', 'rule', 'inet', 'plimsoll', 'input', 'handle', handleOf('dropped_in_probe. drop'))],
    ['a rule is added', () => change('insert', 'rule', 'inet', 'plimsoll', 'input', 'accept')],
    [
      'a rule is replaced',
      () => change('replace', 'rule', 'inet', 'plimsoll', 'input', 'handle', handleOf('dropped_in_probe. drop'), 'udp dport 9 drop'),
    ],
    ['a chain is emptied', () => change('flush', 'chain', 'inet', 'plimsoll', 'output')],
    ['the table is put to sleep', () => change('add table inet plimsoll { flags dormant; }')],
    ['the seal is deleted', () => change('delete', 'set', 'inet', 'plimsoll', 'seal')],
    ['the table is deleted', () => change('delete', 'table', 'inet', 'plimsoll')],
    ['the whole ruleset is flushed', () => change('flush', 'ruleset')],
  ];

  it.each(tamperings)('sees that %s, and repairs it', async (_, tamper) => {
    await guard.install(spec, signal);
    expect((await guard.inspect(signal)).installed).toBe(true);
    tamper();
    expect((await guard.inspect(signal)).installed).toBe(false);
    await guard.install(spec, signal);
    expect((await guard.inspect(signal)).installed).toBe(true);
    expect(await arrives('in', 'underlay', 49_151)).toBe(false);
    expect(await isKeptOut('in', 'underlay', 49_152)).toBe(true);
  });

  it('lets an exempt peer through in both directions until the kernel ends it (control arm: kept out before and after)', async () => {
    const peer = ends.far.addresses.underlay;
    await guard.install(spec, signal);
    const keptOut = async (): Promise<void> => {
      expect(await isKeptOut('in', 'underlay', 49_152)).toBe(true);
      expect(await isKeptOut('out', 'underlay', 16_514)).toBe(true);
      expect(await arrives('in', 'underlay', 49_160)).toBe(false);
    };
    await keptOut();
    await guard.exempt(peer, 6000, signal);
    expect(await guard.inspect(signal)).toMatchObject({ installed: true, exemptPeers: [peer] });
    const droppedBefore = await guard.inspect(signal);
    expect(await connects('in', 'underlay', 49_152)).toBe(true);
    expect(await connects('out', 'underlay', 16_514)).toBe(true);
    expect(await arrives('in', 'underlay', 49_160)).toBe(true);
    expect(await guard.inspect(signal)).toEqual(droppedBefore);
    await expect.poll(async () => (await guard.inspect(signal)).exemptPeers, { timeout: 30_000 }).toEqual([]);
    await keptOut();
    expect((await guard.inspect(signal)).installed).toBe(true);
  });

  it('takes the newest time of an exemption, and 0 ends it at once', async () => {
    const peer = ends.far.addresses.underlay;
    await guard.install(spec, signal);
    await guard.exempt(peer, 600, signal);
    await guard.exempt(peer, 60_000, signal);
    await guard.install(spec, signal);
    expect(change('list', 'table', 'inet', 'plimsoll')).toMatch(/timeout 1m expires \d+s/);
    await guard.exempt(peer, 0, signal);
    await guard.exempt(peer, 0, signal);
    expect((await guard.inspect(signal)).exemptPeers).toEqual([]);
    expect(await isKeptOut('in', 'underlay', 49_152)).toBe(true);
  });

  it('exempts nobody but that peer', async () => {
    await guard.install(spec, signal);
    await guard.exempt(family === 'IPv4' ? '10.77.0.9' : '2001:db8:77::9', 60_000, signal);
    expect(await isKeptOut('in', 'underlay', 49_152)).toBe(true);
    expect(await isKeptOut('out', 'underlay', 49_152)).toBe(true);
  });

  it('ends exemptions with a repair, and counts one that never ends as a change of the rules', async () => {
    const peer = ends.far.addresses.underlay;
    await guard.install(spec, signal);
    await guard.exempt(peer, 60_000, signal);
    change('flush', 'chain', 'inet', 'plimsoll', 'output');
    await guard.install(spec, signal);
    expect(await guard.inspect(signal)).toMatchObject({ installed: true, exemptPeers: [] });
    const set = family === 'IPv4' ? 'exempt4' : 'exempt6';
    change('add', 'element', 'inet', 'plimsoll', set, '{', peer, '}');
    expect(await guard.inspect(signal)).toMatchObject({ installed: false, exemptPeers: [peer] });
    await guard.install(spec, signal);
    expect(await guard.inspect(signal)).toMatchObject({ installed: true, exemptPeers: [] });
    expect(await isKeptOut('in', 'underlay', 49_152)).toBe(true);
  });

  it('refuses to exempt where the rules are missing or changed, and what is no address or no time', async () => {
    const peer = ends.far.addresses.underlay;
    await expect(guard.exempt(peer, 1000, signal)).rejects.toMatchObject({ code: 'guard-missing' });
    await guard.install(spec, signal);
    change('insert', 'rule', 'inet', 'plimsoll', 'input', 'accept');
    await expect(guard.exempt(peer, 1000, signal)).rejects.toMatchObject({ code: 'guard-missing' });
    await guard.install(spec, signal);
    await expect(guard.exempt('0.0.0.0/0', 1000, signal)).rejects.toMatchObject({ code: 'config-invalid' });
    await expect(guard.exempt(peer, -1, signal)).rejects.toMatchObject({ code: 'config-invalid' });
    await expect(guard.exempt(peer, 8 * 24 * 3600 * 1000, signal)).rejects.toMatchObject({ code: 'config-invalid' });
    expect((await guard.inspect(signal)).exemptPeers).toEqual([]);
  });

  it('remembers through a repair which connections opened inside IPsec', async () => {
    const kernel: GuardSpec = { ...spec, backend: 'kernel' };
    await guard.install(kernel, signal);
    const set = family === 'IPv4' ? 'flows4' : 'flows6';
    const flow = `${ends.near.addresses.underlay} . 49152 . ${ends.far.addresses.underlay} . 1234`;
    change('add', 'element', 'inet', 'plimsoll', set, '{', flow, '}');
    expect((await guard.inspect(signal)).installed).toBe(true);
    change('flush', 'chain', 'inet', 'plimsoll', 'input');
    await guard.install(kernel, signal);
    expect((await guard.inspect(signal)).installed).toBe(true);
    expect(change('list', 'set', 'inet', 'plimsoll', set)).toContain(flow);
  });

  it('removes its own table and nothing else, and once more without an error', async () => {
    ends.near.run('/bin/sh', '-c', `printf '%s' '${otherTable}' | ${nft} -f -`);
    await guard.install(spec, signal);
    await guard.install({ ...spec, backend: 'kernel' }, signal);
    await guard.remove(signal);
    await guard.remove(signal);
    expect(change('list', 'ruleset')).toBe(otherTable);
    expect(await guard.inspect(signal)).toEqual({
      installed: false,
      droppedInPackets: 0,
      droppedOutPackets: 0,
      droppedProbePackets: 0,
      exemptPeers: [],
    });
  });

  it('keeps plain traffic out in the variant for the kernel backend too', async () => {
    execFileSync(nft, ['-c', '-f', '-'], { input: guardRuleset({ ...spec, backend: 'kernel' }) });
    await guard.install({ ...spec, backend: 'kernel' }, signal);
    // No kernel SA here, so even the tunnel device is plain.
    expect(await isKeptOut('in', 'protected', 49_152)).toBe(true);
    expect(await isKeptOut('in', 'underlay', 49_152)).toBe(true);
    expect(await connects('in', 'underlay', 8080)).toBe(true);
  });
});

describe('the guard driver', () => {
  it('says what is missing when nft cannot be started', async () => {
    const guard = new NftGuard({ command: ['/nonexistent/nft'] });
    await expect(guard.inspect(signal)).rejects.toMatchObject({
      code: 'guard-missing',
      message: expect.stringContaining('needs nft') as string,
    });
  });

  it('gives up on an nft that hangs, and obeys an abort', async () => {
    const slow: readonly [string, ...string[]] = ['/bin/sleep', '60'];
    const options = { command: ['/bin/sh', '-c', slow.join(' ')] as const, timeoutMs: 100 };
    await expect(new NftGuard(options).inspect(signal)).rejects.toMatchObject({ code: 'guard-missing' });
    const reason = new Error('stop');
    await expect(new NftGuard({ ...options, timeoutMs: 60_000 }).inspect(AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('takes a listing in a form it does not know for no guard', async () => {
    const guard = new NftGuard({ command: ['/bin/sh', '-c', 'echo "table inet plimsoll { }"', 'nft'] });
    expect(await guard.inspect(signal)).toMatchObject({ installed: false });
  });

  it('tells an nft that fails from a table that is not there', async () => {
    const failing = (tables: string) =>
      new NftGuard({ command: ['/bin/sh', '-c', `case "$*" in *tables*) ${tables};; *) exit 1;; esac`, 'nft'] });
    expect(await failing('echo table inet bystander').inspect(signal)).toMatchObject({ installed: false });
    await expect(failing('echo table inet plimsoll').inspect(signal)).rejects.toMatchObject({ code: 'guard-missing' });
    await expect(failing('exit 1').inspect(signal)).rejects.toMatchObject({ code: 'guard-missing' });
  });
});
