import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LabError, labUp, openLab, removeLab, waitFor } from '#lab/api.ts';
import type { Lab, LabHost, LabOptions } from '#lab/api.ts';
import { CHECKOUT, NODE } from '#lab/layout.ts';
import { run } from '#lab/process.ts';
import { footprintOf, namespacesOf, processesIn } from './lab-footprint.ts';

const BARE: Partial<LabOptions> = { hosts: 2, guests: 1, plimsoll: false };
const LAB_MAIN = join(CHECKOUT, 'lab', 'main.ts');
const cli = (args: readonly string[]): ReturnType<typeof run> => run([NODE, LAB_MAIN, ...args], { timeoutMs: 240_000 });

/** Every namespace of every host, to find processes that outlive the lab. */
async function namespacesOfHosts(lab: Lab): Promise<string[]> {
  const lists = await Promise.all(lab.hosts.map(async (h) => namespacesOf(await h.machine.pid1())));
  return lists.flat();
}

/** Starts `lab up` and returns when it printed a line that matches. */
async function upUntil(name: string, line: RegExp): Promise<ReturnType<typeof spawn>> {
  const child = spawn(NODE, [LAB_MAIN, 'up', '--name', name, '--no-plimsoll', '--hosts', '2', '--guests', '1'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const said: string[] = [];
  for await (const text of createInterface({ input: child.stderr })) {
    if (line.test(text)) return child;
    said.push(text);
  }
  throw new Error(`lab up ended without a line like ${line}: ${said.join('; ')}`);
}

/** A process that has a lab and is killed when that is up. */
async function killedAfterUp(options: Partial<LabOptions>, stays: boolean): Promise<void> {
  const script = `const { labUp } = await import(${JSON.stringify(join(CHECKOUT, 'lab', 'api.ts'))});
    await labUp(${JSON.stringify(options)}, { stays: ${stays} });
    process.kill(process.pid, 'SIGKILL');`;
  await run([NODE, '--input-type=module', '--eval', script], { timeoutMs: 120_000 });
}

const exitOf = async (child: ReturnType<typeof spawn>): Promise<number | null> =>
  (child.exitCode ?? child.signalCode === null) ? ((await once(child, 'exit')) as [number | null])[0] : child.exitCode;

describe('labs leave nothing behind', () => {
  const names = ['e2e-a', 'e2e-b', 'e2e-crash', 'e2e-stop'];
  afterAll(async () => {
    for (const name of names) await removeLab(name);
  });

  test('two labs stand side by side, and each one goes without a trace or harm to the other', async () => {
    const before = await footprintOf(names);
    const [a, b] = await Promise.all([labUp({ ...BARE, name: 'e2e-a' }), labUp({ ...BARE, name: 'e2e-b' })]);
    expect(a.hosts[0]?.underlay).not.toBe(b.hosts[0]?.underlay);
    const namespaces = { a: await namespacesOfHosts(a), b: await namespacesOfHosts(b) };
    expect((await processesIn(namespaces.a)).length).toBeGreaterThan(10);
    const standing = await footprintOf(names);
    expect(standing.networkNamespaces.length).toBe(12);
    expect(standing.cgroups.length).toBeGreaterThan(6);

    await a.down();
    expect(await processesIn(namespaces.a)).toEqual([]);
    const seen = (await b.guest('vm1').beats())?.received ?? 0;
    await waitFor(async () => ((await b.guest('vm1').beats())?.received ?? 0) > seen + 20, {
      what: "the other lab's beats",
      timeoutMs: 20_000,
    });

    await b.down();
    expect(await processesIn(namespaces.b)).toEqual([]);
    expect(await footprintOf(names)).toEqual(before);
  });

  test('a start that was killed leaves a name that the next start takes over', async () => {
    const before = await footprintOf(names);
    const child = await upUntil('e2e-crash', /libvirtd and charon answer/);
    child.kill('SIGKILL');
    await exitOf(child);
    expect((await footprintOf(names)).networkNamespaces).not.toEqual([]);
    const lab = await labUp({ name: 'e2e-crash', hosts: 1, guests: 0, plimsoll: false });
    expect(await lab.hosts[0]?.runningGuests()).toEqual([]);
    await lab.down();
    expect(await footprintOf(names)).toEqual(before);
  });

  test('so does a lab that was not to outlive its process; one that was stays', async () => {
    const before = await footprintOf(names);
    await killedAfterUp({ ...BARE, name: 'e2e-crash', guests: 0 }, false);
    expect((await cli(['status', '--name', 'e2e-crash'])).stdout).toContain('crashed');
    const lab = await labUp({ ...BARE, name: 'e2e-crash', guests: 0 });
    await lab.down();
    expect(await footprintOf(names)).toEqual(before);

    await killedAfterUp({ ...BARE, name: 'e2e-stop', guests: 0 }, true);
    await expect(labUp({ ...BARE, name: 'e2e-stop' })).rejects.toMatchObject({ code: 'lab-name-in-use' });
    await removeLab('e2e-stop');
  });

  test('Ctrl-C during the start takes everything away', async () => {
    const before = await footprintOf(names);
    const child = await upUntil('e2e-stop', /hosts stand/);
    child.kill('SIGINT');
    expect(await exitOf(child)).toBe(130);
    expect(await footprintOf(names)).toEqual(before);
  });
});

describe('a lab', () => {
  let lab: Lab;
  let first: LabHost;
  let second: LabHost;
  beforeAll(async () => {
    lab = await labUp({ ...BARE, name: 'e2e-lab', coresPerHost: 0.8 });
    [first, second] = [lab.host('host1'), lab.host('host2')];
  });
  afterAll(() => removeLab('e2e-lab'));

  test('a name that is up is refused and stays up', async () => {
    await expect(labUp({ ...BARE, name: 'e2e-lab' })).rejects.toMatchObject({ code: 'lab-name-in-use' });
    expect((await openLab('e2e-lab')).hosts.length).toBe(2);
  });

  test('unknown labs, hosts and guests are named with what is known', async () => {
    await expect(openLab('e2e-none')).rejects.toThrow('plimsoll lab up --name e2e-none');
    expect(() => lab.host('host9')).toThrow('host1, host2');
    expect(() => lab.guest('vm9')).toThrow(LabError);
    const shell = await cli(['shell', '--name', 'e2e-lab', 'host9']);
    expect(shell).toMatchObject({ code: 1, stderr: expect.stringContaining('lab-unknown-host') as string });
  });

  test('a command runs in its host, and its exit code comes back', async () => {
    const shell = await cli(['shell', '--name', 'e2e-lab', 'host1', '--', 'sh', '-c', 'hostname; exit 7']);
    expect(shell).toMatchObject({ code: 7, stdout: 'host1\n' });
  });

  test('status shows hosts, services and guests', async () => {
    const { stdout } = await cli(['status', '--name', 'e2e-lab', '-o', 'json']);
    expect(JSON.parse(stdout)).toMatchObject([
      {
        state: 'ready',
        hosts: [{ name: 'host1', up: true, services: { libvirtd: 'running', charon: 'running' } }, { name: 'host2' }],
        guests: [{ name: 'vm1', runsOn: ['host1'] }],
      },
    ]);
  });

  test('a host has no more CPU than its capacity, and its pressure tells of it', async () => {
    const throttledOf = async (): Promise<number> => {
      const group = first.machine.spec.cgroups.at(-1) ?? '';
      return Number(/nr_throttled (\d+)/.exec(await readFile(join(group, 'cpu.stat'), 'utf8'))?.[1]);
    };
    const pressureUs = async (host: LabHost): Promise<number> =>
      Number(/some .* total=(\d+)/.exec(await readFile(join(host.cgroup, 'cpu.pressure'), 'utf8'))?.[1]);
    const before = { throttled: await throttledOf(), pressureUs: await pressureUs(first) };
    const busy = ['timeout', '2', 'sh', '-c', 'while :; do :; done'];
    await Promise.all([first.exec(busy), first.exec(busy)]);
    expect(await throttledOf()).toBeGreaterThan(before.throttled + 5);
    expect((await pressureUs(first)) - before.pressureUs).toBeGreaterThan(500_000);
  });

  test.each(['libvirtd', 'charon'])('%s that is killed is started again', async (service) => {
    const old = await second.killService(service);
    const again = await waitFor(async () => second.servicePid(service).then((pid) => pid !== old && pid), {
      what: service,
      timeoutMs: 20_000,
    });
    expect(again).toBeGreaterThan(0);
  });

  test('a steered guest migrates in plain text with memory, disk and beats intact, and its secret is readable on the wire', async () => {
    const guest = lab.guest('vm1');
    const load = { cpuPercent: 10, dirtyMbPerSecond: 5, diskWritesPerSecond: 5 };
    expect(await guest.steer(load)).toEqual(load);
    await waitFor(async () => (await guest.diskLog()).records > 5, { what: 'disk records', timeoutMs: 60_000 });
    await waitFor(
      async () =>
        second.virsh(['uri']).then(
          () => true,
          () => false,
        ),
      { what: 'libvirtd on host2', timeoutMs: 20_000 },
    );
    const capture = await lab.startCapture('plain');
    await guest.startProbe();
    const uri = `qemu+tls://${second.underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`;
    const moved = await first.exec(['virsh', 'migrate', '--live', '--p2p', '--persistent', '--undefinesource', 'vm1', uri], {
      timeoutMs: 120_000,
    });
    expect(moved).toMatchObject({ code: 0, stderr: '' });
    expect((await lab.placement())['vm1']).toEqual(['host2']);

    const records = (await guest.diskLog()).records;
    await waitFor(async () => (await guest.diskLog()).records > records + 5, { what: 'disk records after the move', timeoutMs: 60_000 });
    const probe = await guest.stopProbe();
    expect(probe.received).toBeGreaterThan(50);
    expect(probe.largestGapMs).toBeLessThan(10_000);
    const scan = await lab.scan(await capture.stop());
    expect(scan.markers[guest.marker]).toBeGreaterThan(1000);
    expect(scan.kinds['esp-in-udp']).toBeUndefined();
    // One whole round over the working set: a page that the migration lost would be counted.
    const dirtied = (await guest.beats())?.pagesDirtied ?? 0;
    await waitFor(async () => ((await guest.beats())?.pagesDirtied ?? 0) > dirtied + 24 * 256, {
      what: 'a round over the memory',
      timeoutMs: 120_000,
    });
    expect(await guest.beats()).toMatchObject({ boots: 1, duplicates: 0, memoryErrors: 0, diskErrors: 0, kernelTroubles: 0 });
    expect((await guest.diskLog()).firstBadRecord).toBeUndefined();
  });

  test('a host whose plug is pulled is down with all it ran; the other goes on', async () => {
    const pid = await second.guestPid('vm1');
    expect(pid).toBeGreaterThan(0);
    const namespaces = await namespacesOf(await second.machine.pid1());
    await second.kill();
    await waitFor(async () => (await processesIn(namespaces)).length === 0, { what: 'host2 to be gone', timeoutMs: 10_000 });
    await expect(second.exec(['true'])).rejects.toMatchObject({ code: 'lab-unknown-host' });
    expect((await first.exec(['hostname'])).stdout).toBe('host1\n');
  });
});
