/**
 * The witness in private network namespaces, with real packets. Needs root.
 *
 *     host --- switch (bridge) --- vm          `host` looks, `vm` answers
 *                    |
 *                    +------------ router      the way to other networks
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Echo, EchoReport } from '#core/ports.ts';
import { fpingCommand, startEcho } from '#drivers/linux/echo.ts';
import { LinuxWitness } from '#drivers/linux/witness.ts';
import { until } from '#test/support/until.ts';
import { End, run, whyNoNamespaces } from './namespaces.ts';

const ip = '/usr/sbin/ip';
const nft = '/usr/sbin/nft';
const missing = whyNoNamespaces() ?? (existsSync('/usr/bin/fping') ? null : 'not run, needs fping');
const signal = new AbortController().signal;
const intervalMs = 5;
const addresses = { IPv4: '10.90.0.2', IPv6: 'fd00:90::2' } as const;
const hostAddresses = { IPv4: '10.90.0.1', IPv6: 'fd00:90::1' } as const;
const beyondRouter = { IPv4: '10.91.0.2', IPv6: 'fd00:91::2' } as const;
const unreachable = { IPv4: '192.0.2.7', IPv6: '2001:db8:dead::7' } as const;
const vmMac = '52:54:00:90:00:02';

const end = (name: string): End => new End(`plt-wt-${process.pid}-${name}`, { underlay: '', protected: '', interface: 'eth0' });
const [host, vm, hub] = [end('host'), end('vm'), end('hub')];

function build(): void {
  for (const { namespace } of [host, vm, hub]) {
    run(ip, 'netns', 'add', namespace);
    run(ip, '-n', namespace, 'link', 'set', 'lo', 'up');
  }
  hub.run(ip, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
  hub.run(ip, 'link', 'set', 'br0', 'up');
  for (const [name, member] of [
    ['host', host],
    ['vm', vm],
  ] as const) {
    run(ip, 'link', 'add', 'eth0', 'netns', member.namespace, 'type', 'veth', 'peer', 'name', `u-${name}`, 'netns', hub.namespace);
    hub.run(ip, 'link', 'set', `u-${name}`, 'master', 'br0', 'up');
  }
  vm.run(ip, 'link', 'set', 'eth0', 'address', vmMac);
  for (const [member, own] of [
    [host, hostAddresses],
    [vm, addresses],
  ] as const) {
    member.run(ip, 'address', 'add', `${own.IPv4}/24`, 'dev', 'eth0');
    member.run(ip, 'address', 'add', `${own.IPv6}/64`, 'dev', 'eth0', 'nodad');
    member.run(ip, 'link', 'set', 'eth0', 'up');
  }
  host.run(ip, 'route', 'add', '10.91.0.0/24', 'via', '10.90.0.254');
  host.run(ip, 'route', 'add', 'fd00:91::/64', 'via', 'fd00:90::fe');
  // The kernel itself ends an absence: its length is exact to a tick, however busy this machine is. Neighbour discovery goes on: when the
  // VM does not answer that either, the kernel may ask again only a second later, and so the gap may be longer than the absence, for all clients.
  const drop = ['icmp', 'icmpv6'].map((protocol) => `iifname @ports ${protocol} type echo-request drop;`).join(' ');
  const rules = `set ports { type ifname; flags timeout; }; chain input { type filter hook input priority 0; ${drop} }`;
  vm.run(nft, `table inet away { ${rules}; }`);
}

/** The VM gets nothing for so long from about now on. */
function away(durationMs: number): { readonly fromMs: number; readonly toldMs: number } {
  const fromMs = Date.now();
  vm.run(nft, `add element inet away ports { "eth0" timeout ${durationMs}ms }`);
  return { fromMs, toldMs: Date.now() };
}

/** Resolves when answers have stopped for `silenceMs`. */
const silence = (echo: Echo, silenceMs: number): Promise<void> => {
  let [newest, sinceMs] = [echo.report().answered, performance.now()];
  return until('answers have stopped', () => {
    const { answered } = echo.report();
    if (answered > newest) [newest, sinceMs] = [answered, performance.now()];
    return performance.now() - sinceMs >= silenceMs;
  });
};

const witness = new LinuxWitness({
  ip: host.within(ip),
  bridge: host.within('/usr/sbin/bridge'),
  fping: host.within(...fpingCommand),
});

const running: Echo[] = [];

async function watch(address: string, ownSignal = signal): Promise<Echo> {
  const echo = await witness.watch(address, intervalMs, ownSignal);
  if (echo === null) throw new Error(`${address} is not on the link`);
  running.push(echo);
  await answersAfter(echo, 1);
  return echo;
}

const answersAfter = (echo: Echo, count: number): Promise<void> => {
  const before = echo.report().answered;
  return until(`${count} more answers`, () => echo.report().answered >= before + count);
};

/** How late a busy machine may be with one packet. */
const busyMs = 150;

/** How far a gap is from an absence of that length. */
const errorMs = (gap: EchoReport['gaps'][number] | undefined, lengthMs: number): number =>
  Math.abs((gap?.untilMs ?? Infinity) - (gap?.fromMs ?? 0) - lengthMs);

/** What a busy machine does to packets is shorter. */
const longGaps = ({ gaps }: EchoReport) => gaps.filter(({ fromMs, untilMs }) => (untilMs ?? Infinity) - fromMs > 100);

/** The processes with this name that a process has started and that have not ended. */
function childrenOf(pid: number, name: string): readonly number[] {
  const pids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((word) => word.trim() !== '');
  return pids.map(Number).filter((child) => stateOf(child)?.name === name);
}

/** Null when it is gone, or dead and not yet buried. */
function stateOf(pid: number): { readonly name: string; readonly cpuTicks: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [, name, state, ...fields] = /^\d+ \((.*)\) (\S) (.*)$/s.exec(text) ?? [];
    const words = (fields[0] ?? '').split(' ');
    return name === undefined || state === 'Z' ? null : { name, cpuTicks: Number(words[10]) + Number(words[11]) };
  } catch {
    return null;
  }
}

describe.runIf(missing === null)(`the witness${missing === null ? '' : ` (${missing})`}`, () => {
  beforeAll(build);
  afterEach(async () => {
    for (const echo of running.splice(0)) await echo.stop();
  });
  afterAll(() => {
    for (const { namespace } of [host, vm, hub]) run(ip, 'netns', 'delete', namespace);
  });

  describe.each(['IPv4', 'IPv6'] as const)('on %s', (family) => {
    const address = addresses[family];

    it('sees each of three absences of 300 ms, right to two intervals, and nothing else', async () => {
      const echo = await watch(address);
      await answersAfter(echo, 50);
      const absences = [];
      for (let count = 0; count < 3; count += 1) {
        absences.push(away(300));
        await silence(echo, 100);
        await answersAfter(echo, 50);
      }
      const report = await echo.stop();
      const gaps = longGaps(report);
      expect(gaps).toHaveLength(3);
      for (const [index, { fromMs, toldMs }] of absences.entries()) {
        expect(gaps[index]?.fromMs).toBeGreaterThanOrEqual(fromMs - 2 * intervalMs - busyMs);
        expect(gaps[index]?.fromMs).toBeLessThanOrEqual(toldMs + 2 * intervalMs + busyMs);
      }
      const errorsMs = gaps.map((gap) => errorMs(gap, 300)).toSorted((one, other) => one - other);
      expect(errorsMs[1]).toBeLessThanOrEqual(2 * intervalMs);
      expect(errorsMs[2]).toBeLessThanOrEqual(2 * intervalMs + busyMs);
      expect(report.sent - report.answered).toBeGreaterThanOrEqual(3 * 50);
      expect(report.delayMsP50).toBeLessThan(5);
    });

    it('sees no absence where there is none (control arm)', async () => {
      const echo = await watch(address);
      await answersAfter(echo, 400);
      const report = await echo.stop();
      expect(longGaps(report)).toEqual([]);
      expect(report.sent - report.answered).toBeLessThanOrEqual(2);
    });

    it('watches nobody behind a router, nobody without a way, and not this host itself', async () => {
      for (const other of [beyondRouter, unreachable, hostAddresses])
        expect(await witness.watch(other[family], intervalMs, signal)).toBeNull();
    });

    it('knows the address by the MAC address', async () => {
      const echo = await watch(address);
      await answersAfter(echo, 1);
      await echo.stop();
      expect(await witness.addressesOf(vmMac.toUpperCase(), signal)).toContain(address);
      expect(await witness.addressesOf('52:54:00:90:00:99', signal)).toEqual([]);
    });
  });

  it('outlasts an absence of seconds, and says while it lasts that it has not ended', async () => {
    const echo = await watch(addresses.IPv4);
    await answersAfter(echo, 50);
    away(3500);
    await until('the gap is seen', () => echo.report().gaps.some(({ untilMs }) => untilMs === null));
    await answersAfter(echo, 50);
    const [gap, ...others] = longGaps(await echo.stop());
    expect(errorMs(gap, 3500)).toBeLessThanOrEqual(2 * intervalMs + busyMs);
    expect(others).toEqual([]);
  });

  it('has a gap that has not ended when it is stopped while the VM is away', async () => {
    const echo = await watch(addresses.IPv4);
    await answersAfter(echo, 50);
    away(1500);
    await silence(echo, 200);
    expect((await echo.stop()).gaps.at(-1)).toMatchObject({ untilMs: null });
    // The next test finds it back.
    await watch(addresses.IPv4);
  });

  it('goes on over the end of one fping and the start of the next', async () => {
    const command = host.within(...fpingCommand);
    const echo = await startEcho({ address: addresses.IPv4, intervalMs, command, requestsMax: 100 }, signal);
    running.push(echo);
    await until('the third one answers', () => echo.report().answered > 220);
    away(300);
    await silence(echo, 100);
    await until('it is back', () => echo.report().gaps.some(({ fromMs, untilMs }) => (untilMs ?? 0) - fromMs > 100));
    const report = await echo.stop();
    expect(longGaps(report)).toHaveLength(1);
    expect(report.sent - report.answered).toBeLessThan(100);
  });

  it('blames nobody for the time in which it was stopped itself', async () => {
    const echo = await watch(addresses.IPv4);
    await answersAfter(echo, 50);
    const [pid = 0] = childrenOf(process.pid, 'fping');
    process.kill(pid, 'SIGSTOP');
    const stoppedAtMs = Date.now();
    await until('it has slept', () => Date.now() - stoppedAtMs >= 400);
    process.kill(pid, 'SIGCONT');
    await answersAfter(echo, 50);
    const report = await echo.stop();
    expect(longGaps(report)).toEqual([]);
    expect(report.lastAnswerAtMs).toBeGreaterThan(stoppedAtMs + 400);
  });

  it('uses little of a CPU, and is gone when it is stopped or aborted', async () => {
    const abort = new AbortController();
    const [stopped] = [await watch(addresses.IPv4), await watch(addresses.IPv6, abort.signal)];
    const pids = childrenOf(process.pid, 'fping');
    expect(pids).toHaveLength(2);
    await answersAfter(stopped, 400);
    // Two seconds; 100 ticks are one.
    for (const pid of pids) expect(stateOf(pid)?.cpuTicks).toBeLessThan(40);
    await stopped.stop();
    expect(await stopped.stop()).toEqual(stopped.report());
    abort.abort(new Error('enough'));
    await until('both are gone', () => pids.every((pid) => stateOf(pid) === null));
    await expect(witness.watch(addresses.IPv4, intervalMs, abort.signal)).rejects.toThrow('enough');
  });

  it('says what to do when fping is not there or cannot be used', async () => {
    const refused = { code: 'config-invalid', message: expect.stringContaining('package fping') as string };
    const absent = new LinuxWitness({ ip: host.within(ip), fping: ['/usr/bin/fping-that-is-not-there'] });
    await expect(absent.watch(addresses.IPv4, intervalMs, signal)).rejects.toMatchObject(refused);
    const powerless = new LinuxWitness({
      ip: host.within(ip),
      fping: ['/usr/bin/setpriv', '--bounding-set=-all', '--reuid=65534', '--clear-groups', '/usr/bin/fping'],
    });
    await expect(powerless.watch(addresses.IPv4, intervalMs, signal)).rejects.toMatchObject(refused);
    await expect(witness.watch('vm.example', intervalMs, signal)).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(witness.watch('-h', intervalMs, signal)).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(witness.watch(addresses.IPv4, 0, signal)).rejects.toMatchObject({ code: 'input-invalid' });
    await expect(witness.addressesOf('52:54', signal)).rejects.toMatchObject({ code: 'input-invalid' });
  });

  describe('when its process is killed while fping is silent', () => {
    /** A process that watches, and the pid of its fping, which can send nothing: then it prints nothing either. */
    async function watching(command: readonly string[]): Promise<{ readonly owner: ChildProcess; readonly fpingPid: number }> {
      const commands = { ip: host.within(ip), fping: host.within(...command) };
      const program = `import { LinuxWitness } from '#drivers/linux/witness.ts';
        await new LinuxWitness(${JSON.stringify(commands)}).watch('${addresses.IPv4}', 5, new AbortController().signal);`;
      const owner = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'inherit', 'inherit'] });
      await until('it watches', () => childrenOf(owner.pid ?? 0, 'fping').length === 1);
      const [fpingPid = 0] = childrenOf(owner.pid ?? 0, 'fping');
      host.run(ip, 'link', 'set', 'eth0', 'down');
      return { owner, fpingPid };
    }
    async function kill(owner: ChildProcess): Promise<void> {
      const exit = once(owner, 'exit');
      owner.kill('SIGKILL');
      await exit;
    }
    const linkUp = (): void => {
      host.run(ip, 'link', 'set', 'eth0', 'up');
      // It lost its IPv6 address with the link.
      host.run(ip, 'address', 'replace', `${hostAddresses.IPv6}/64`, 'dev', 'eth0', 'nodad');
    };

    it('fping dies with it', async () => {
      const { owner, fpingPid } = await watching(fpingCommand);
      await kill(owner);
      await until('fping is gone', () => stateOf(fpingPid) === null);
      linkUp();
    });

    it('fping would go on without the order to the kernel, until it has something to print (control arm)', async () => {
      const { owner, fpingPid } = await watching(['/usr/bin/fping']);
      await kill(owner);
      const diedAtMs = Date.now();
      await until('time has passed', () => Date.now() - diedAtMs > 3000);
      expect(stateOf(fpingPid)?.name).toBe('fping');
      linkUp();
      await until('fping is gone', () => stateOf(fpingPid) === null);
    });
  });

  describe('at the bridges of a host', () => {
    const mac = '52:54:00:90:01:0a';
    const tap = 'vnet90';
    /** Holds the TAP device as QEMU does, and sends the frames it is given (hexadecimal). */
    const holder = `open(my $tun, '+<', '/dev/net/tun') or die $!;
      my $request = pack('a16 S x22', '${tap}', 0x1002); ioctl($tun, 0x400454ca, $request) or die $!;
      $| = 1; print "ready\\n"; while (<STDIN>) { chomp; syswrite($tun, pack('H*', $_)) or die $!; print "sent\\n"; }`;
    const own = new LinuxWitness({ ip: hub.within(ip), bridge: hub.within('/usr/sbin/bridge') });
    let qemu: ChildProcess;

    /** A broadcast from the VM, as it sends it at its arrival: to all, of type RARP. */
    const frame = `ffffffffffff${mac.replaceAll(':', '')}8035${'00'.repeat(46)}`;
    const answer = (): Promise<void> =>
      new Promise((resolve, reject) => {
        qemu.stdout?.once('data', () => resolve());
        qemu.once('exit', () => reject(new Error('the holder of the TAP device has ended')));
      });
    const speakHere = async (): Promise<void> => {
      qemu.stdin?.write(`${frame}\n`);
      await answer();
    };
    /** The same frame from the other side of the uplink. */
    const speakElsewhere = (): void => {
      const send = `socket(my $s, 17, 3, 0) or die $!; send($s, pack('H*', '${frame}'), 0, pack('S n i S C C a8', 17, 0x0300, ${deviceIndex()}, 1, 0, 6, "\\xff" x 6)) or die $!;`;
      vm.run('/usr/bin/perl', '-e', send);
    };
    const deviceIndex = (): string => vm.run('/bin/cat', '/proc/net/igmp').match(/^(\d+)\s+eth0/m)?.[1] ?? '0';

    beforeAll(async () => {
      const [file, ...args] = hub.within('/usr/bin/perl', '-e', holder);
      qemu = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      await answer();
      hub.run(ip, 'link', 'set', tap, 'address', `fe${mac.slice(2)}`, 'master', 'br0', 'up');
    });
    afterAll(async () => {
      qemu.stdin?.end();
      await until('it has ended', () => qemu.exitCode !== null);
    });

    it('follows a MAC address from a VM of this host to another host and back', async () => {
      expect(await own.seenAt(mac, signal)).toBeNull();
      await speakHere();
      expect(await own.seenAt(mac.toUpperCase(), signal)).toBe('local');
      speakElsewhere();
      expect(await own.seenAt(mac, signal)).toBe('elsewhere');
      await speakHere();
      expect(await own.seenAt(mac, signal)).toBe('local');
    });

    it("takes no VM for its own that speaks through another VM's device", async () => {
      await speakHere();
      hub.run(ip, 'link', 'set', tap, 'address', 'fe:54:00:90:01:0b');
      expect(await own.seenAt(mac, signal)).toBe('elsewhere');
      hub.run(ip, 'link', 'set', tap, 'address', `fe${mac.slice(2)}`);
    });

    it('knows nothing without bridges', async () => {
      expect(await witness.seenAt(mac, signal)).toBeNull();
      await expect(witness.seenAt('vnet90', signal)).rejects.toMatchObject({ code: 'input-invalid' });
    });
  });
});
