/** CPU time of real processes. Those in another PID namespace need root. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { LinuxCostMeter } from '#drivers/linux/cost-meter.ts';

const signal = new AbortController().signal;
const vmId = '9ad1b3a0-0000-4000-8000-000000000001';
const folder = mkdtempSync(join(tmpdir(), 'plimsoll-cost-'));

/** Uses as many seconds of CPU as it is told to, by its own count. */
const program = `$| = 1; print "ready\\n"; while (my $line = <STDIN>) { my $end = (times)[0] + (times)[1] + $line; 1 while (times)[0] + (times)[1] < $end; print "done\\n"; }`;

class Burner {
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  /** The kernel takes the name of the file that is started, here of a link. */
  constructor(name: string, before: readonly string[] = []) {
    const path = join(folder, name);
    symlinkSync('/usr/bin/perl', path);
    const [file, ...args] = [...before, path, '-e', program];
    this.#process = spawn(file, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#process.stdout ?? process.stdin });
  }

  async ready(): Promise<this> {
    await once(this.#lines, 'line');
    return this;
  }

  async burn(seconds: number): Promise<void> {
    this.#process.stdin?.write(`${seconds}\n`);
    await once(this.#lines, 'line');
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exit;
  }
}

describe('the cost meter with real processes', () => {
  const started: Burner[] = [];
  const burner = (name: string, before?: readonly string[]): Promise<Burner> => {
    const made = new Burner(name, before);
    started.push(made);
    return made.ready();
  };
  const daemon = `plt-d-${process.pid}`;
  const charon = `plt-c-${process.pid}`;
  const meter = () => new LinuxCostMeter({ overheadCpuSeconds: () => Promise.resolve(0), hypervisorNames: [daemon], ipsecNames: [charon] });

  afterEach(async () => {
    await Promise.all(started.splice(0).map((one) => one.stop()));
    for (const name of [daemon, charon, `${daemon}x`]) rmSync(join(folder, name), { force: true });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('sees what each of them used, to two hundredths of a second', async () => {
    const [hypervisor, ipsec, other] = [await burner(daemon), await burner(charon), await burner(`${daemon}x`)];
    const one = meter();
    const before = await one.read(vmId, signal);
    await hypervisor.burn(0.2);
    await ipsec.burn(0.1);
    await other.burn(0.1);
    const ownBefore = process.cpuUsage();
    const after = await one.read(vmId, signal);
    const used = (part: keyof typeof before): number => (after[part] ?? NaN) - (before[part] ?? NaN);
    expect(Math.abs(used('hypervisorCpuSeconds') - 0.2)).toBeLessThanOrEqual(0.02);
    expect(Math.abs(used('ipsecCpuSeconds') - 0.1)).toBeLessThanOrEqual(0.02);
    expect(Math.abs((after.agentCpuSeconds ?? NaN) - (ownBefore.user + ownBefore.system) / 1e6)).toBeLessThan(0.1);
  });

  it('goes on growing over the restart of a daemon', async () => {
    const one = meter();
    const first = await burner(daemon);
    await first.burn(0.2);
    const before = (await one.read(vmId, signal)).hypervisorCpuSeconds ?? NaN;
    await first.stop();
    expect((await one.read(vmId, signal)).hypervisorCpuSeconds).toBeNull();
    rmSync(join(folder, daemon));
    await (await burner(daemon)).burn(0.1);
    const after = (await one.read(vmId, signal)).hypervisorCpuSeconds ?? NaN;
    expect(after - before).toBeGreaterThanOrEqual(0.09);
    expect(after - before).toBeLessThanOrEqual(0.15);
  });

  it.runIf(process.getuid?.() === 0)(
    "leaves out a container's daemon, though it is in /proc here and older (control arm: its own is counted)",
    async () => {
      const contained = await burner(daemon, ['/usr/bin/unshare', '--pid', '--fork', '--kill-child']);
      await contained.burn(0.2);
      expect((await meter().read(vmId, signal)).hypervisorCpuSeconds).toBeNull();
      rmSync(join(folder, daemon));
      await (await burner(daemon)).burn(0.05);
      const own = (await meter().read(vmId, signal)).hypervisorCpuSeconds;
      expect(own).toBeGreaterThanOrEqual(0.04);
      expect(own).toBeLessThan(0.15);
    },
  );
});
