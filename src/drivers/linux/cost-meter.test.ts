import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { VmId } from '#core/model/vm.ts';
import { LinuxCostMeter } from './cost-meter.ts';
import { parseProcessStat } from './cost-meter-processes.ts';

const signal = new AbortController().signal;
const vmId: VmId = '9ad1b3a0-0000-4000-8000-000000000001';

function statText(pid: number, name: string, userTicks: number, systemTicks: number, startTicks = 5000): string {
  const middle = '1 2 2 0 -1 4194560 100 200 0 0';
  return `${pid} (${name}) S ${middle} ${userTicks} ${systemTicks} 7 8 20 0 12 0 ${startTicks} 1000 2000 18446744073709551615 0\n`;
}

describe('the time in /proc/PID/stat', () => {
  it('is that of user and system together, whatever the name is', () => {
    expect(parseProcessStat(statText(7, 'libvirtd', 150, 50), 7)).toEqual({ pid: 7, name: 'libvirtd', startTicks: 5000, cpuSeconds: 2 });
    expect(parseProcessStat(statText(7, 'a) R 9 (b c', 150, 50), 7)).toMatchObject({ name: 'a) R 9 (b c', cpuSeconds: 2 });
  });

  it.each(['', '7', '7 (libvirtd) S 1 2', '7 (libvirtd) S 1 2 2 0 -1 4194560 100 200 0 0 x 1 7 8 20 0 12 0 1 1'])(
    'is refused in another form: %s',
    (text) => {
      expect(() => parseProcessStat(text, 7)).toThrow(expect.objectContaining({ code: 'internal' }));
    },
  );
});

describe('LinuxCostMeter', () => {
  let proc: string;
  let overhead: number | null;
  const put = async (
    pid: number | 'self',
    name: string,
    ticks: number,
    { startTicks = 5000, namespace = 'pid:[1]' } = {},
  ): Promise<void> => {
    const folder = join(proc, String(pid));
    await rm(folder, { recursive: true, force: true });
    await mkdir(join(folder, 'ns'), { recursive: true });
    await symlink(namespace, join(folder, 'ns', 'pid'));
    await writeFile(join(folder, 'comm'), `${name}\n`);
    await writeFile(join(folder, 'stat'), statText(Number(pid), name, ticks, 0, startTicks));
  };
  const meter = (): LinuxCostMeter =>
    new LinuxCostMeter({ overheadCpuSeconds: () => Promise.resolve(overhead), procDirectory: proc, ownPid: 50 });
  const hypervisorOf = async (which: LinuxCostMeter): Promise<number | null> => (await which.read(vmId, signal)).hypervisorCpuSeconds;

  beforeEach(async () => {
    proc = await mkdtemp(join(tmpdir(), 'plimsoll-cost-'));
    overhead = 2;
    await put('self', 'node', 0);
    await put(50, 'node', 300);
    await put(60, 'libvirtd', 1000);
    await put(70, 'charon', 500);
    await writeFile(join(proc, 'stat'), 'cpu 1 2 3\n');
  });
  afterEach(() => rm(proc, { recursive: true }));

  it("adds QEMU's overhead and its daemon, and reads charon and this agent", async () => {
    expect(await meter().read(vmId, signal)).toEqual({ hypervisorCpuSeconds: 12, ipsecCpuSeconds: 5, agentCpuSeconds: 3 });
  });

  it('takes whole names only, of its own PID namespace only, and the oldest process of them', async () => {
    await put(10, 'libvirtd-helper', 9000, { startTicks: 1 });
    await put(11, 'libvirtd', 9000, { startTicks: 1, namespace: 'pid:[2]' });
    await put(61, 'libvirtd', 9000, { startTicks: 6000 });
    await put(62, 'charon-nm', 9000, { startTicks: 1 });
    expect(await meter().read(vmId, signal)).toMatchObject({ hypervisorCpuSeconds: 12, ipsecCpuSeconds: 5 });
    await rm(join(proc, '60'), { recursive: true });
    await rm(join(proc, '61'), { recursive: true });
    await put(63, 'virtqemud', 400);
    expect(await hypervisorOf(meter())).toBe(6);
  });

  it('says null for what cannot be read, and only for that', async () => {
    await rm(join(proc, '70'), { recursive: true });
    await writeFile(join(proc, '60', 'stat'), 'what is this\n');
    expect(await meter().read(vmId, signal)).toEqual({ hypervisorCpuSeconds: null, ipsecCpuSeconds: null, agentCpuSeconds: 3 });
    const away = new LinuxCostMeter({ overheadCpuSeconds: () => Promise.reject(new Error('away')), procDirectory: proc, ownPid: 51 });
    await put(60, 'libvirtd', 1000);
    await put(70, 'charon', 500);
    expect(await away.read(vmId, signal)).toEqual({ hypervisorCpuSeconds: null, ipsecCpuSeconds: 5, agentCpuSeconds: null });
  });

  it('goes on growing when a daemon is replaced, and when its number is used again', async () => {
    const kept = meter();
    expect(await hypervisorOf(kept)).toBe(12);
    await rm(join(proc, '60'), { recursive: true });
    expect(await hypervisorOf(kept)).toBeNull();
    await put(64, 'libvirtd', 100, { startTicks: 7000 });
    expect(await hypervisorOf(kept)).toBe(13);
    await put(64, 'libvirtd', 200, { startTicks: 8000 });
    expect(await hypervisorOf(kept)).toBe(15);
  });

  it('counts the daemon alone before a VM arrives, and keeps what a VM has used when it is gone', async () => {
    const kept = meter();
    overhead = null;
    expect(await hypervisorOf(kept)).toBe(10);
    overhead = 3;
    expect(await hypervisorOf(kept)).toBe(13);
    overhead = null;
    expect(await hypervisorOf(kept)).toBe(13);
    overhead = 0.5;
    expect(await hypervisorOf(kept)).toBe(13.5);
  });

  it('stops when it is aborted, with the reason', async () => {
    const reason = new Error('stop');
    await expect(meter().read(vmId, AbortSignal.abort(reason))).rejects.toBe(reason);
    const abort = new AbortController();
    const slow = new LinuxCostMeter({
      procDirectory: proc,
      overheadCpuSeconds: (_, given) =>
        new Promise((_resolve, reject) => given.addEventListener('abort', () => reject(new Error('other')))),
    });
    const reading = slow.read(vmId, abort.signal);
    abort.abort(reason);
    await expect(reading).rejects.toBe(reason);
  });
});
