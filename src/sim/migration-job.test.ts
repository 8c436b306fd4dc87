/** Each method of a transfer as two hypervisors carry it out, and what is left when something fails in it. */
import { describe, expect, test } from 'vitest';
import { Bench, outcomeOf } from './bench.ts';

const idle = { dirtyMiBPerSecond: 0, workingSetMiB: 0 };
/** 50 MiB/s of link: of 60 MiB/s written in 400 MiB more is left after each round than fits any common limit. */
const heavy = { dirtyMiBPerSecond: 60, workingSetMiB: 400 };

const isOutcome = expect.objectContaining({ memorySentBytes: expect.any(Number) });
const iterations = (bench: Bench) => bench.progress.at(-1)?.iteration;
const stagesSeen = (bench: Bench) => [...new Set(bench.progress.map(({ stage }) => stage))];
const change = (bench: Bench, ...[what]: [Parameters<Bench['hypervisors'][0]['changeJob']>[1]]) =>
  bench.settled(outcomeOf(bench.hypervisors[0].changeJob(bench.guest.vmId, what, bench.signal)));

async function heavyInRounds(options: Parameters<Bench['migrate']>[0] = {}): Promise<{ bench: Bench; outcome: Promise<unknown> }> {
  const bench = new Bench(heavy);
  const outcome = bench.migrate(options);
  await bench.run(60);
  return { bench, outcome };
}

describe('pre-copy', () => {
  test('of an idle VM is one round and a short stop', async () => {
    const bench = new Bench(idle);
    const outcome = bench.migrate();
    await bench.run(30);
    expect(await outcome).toMatchObject({ iterations: 1, downtimeMs: expect.any(Number), memorySentBytes: 2 ** 30 });
    expect(await bench.places()).toEqual([null, 'running']);
    expect(bench.stages).toEqual(['transfer', 'switch-over', 'confirm', 'moved']);
  });

  test('leaves after a round what was written in it: W (1 - exp(-d t / W))', async () => {
    const bench = new Bench({ dirtyMiBPerSecond: 10, workingSetMiB: 200 });
    const outcome = bench.migrate({ downtimeMsMax: 1 });
    await bench.run(30);
    const first = bench.progress.find(({ iteration }) => iteration === 2);
    const rest = 200 * (1 - Math.exp((-10 * (1024 / 50)) / 200));
    expect((first?.memoryRemainingBytes ?? 0) / 2 ** 20).toBeLessThanOrEqual(rest);
    expect((first?.memoryRemainingBytes ?? 0) / 2 ** 20).toBeGreaterThan(rest - 50 * 0.26);
    expect(first?.expectedDowntimeMs).toBeCloseTo((rest / 50) * 1000, -2);
    await bench.run(60);
    expect(await outcome).toEqual(isOutcome);
  });

  test('of a VM that writes faster than the link carries has no end by itself', async () => {
    const { bench } = await heavyInRounds();
    expect(iterations(bench)).toBeGreaterThan(5);
    expect(await bench.places()).toEqual(['running', 'incoming']);
  });

  test('ends when it may stop the VM for longer', async () => {
    const { bench, outcome } = await heavyInRounds();
    const needed = bench.progress.at(-1)?.expectedDowntimeMs ?? 0;
    expect(await change(bench, { kind: 'downtime', downtimeMsMax: needed * 0.9 })).toBeUndefined();
    await bench.run(20);
    expect(await bench.places()).toEqual(['running', 'incoming']);
    expect(await change(bench, { kind: 'downtime', downtimeMsMax: needed * 1.1 })).toBeUndefined();
    await bench.run(20);
    expect(await outcome).toMatchObject({ downtimeMs: expect.any(Number) });
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('ends when the VM is slowed down, which the end takes back', async () => {
    const bench = new Bench(heavy);
    const outcome = bench.migrate({ autoConverge: { initialPercent: 20, incrementPercent: 10 } });
    await bench.run(45);
    const slowed = bench.progress.at(-1)?.throttlePercent ?? 0;
    expect(slowed).toBeGreaterThan(0);
    expect(bench.world.host('host1').cpuUsedCores).toBeCloseTo(0.05 + (1 - slowed / 100));
    await bench.run(120);
    expect(await outcome).toEqual(isOutcome);
    const seen = [...new Set(bench.progress.map(({ throttlePercent }) => throttlePercent))];
    expect(seen.slice(0, 3)).toEqual([0, 20, 30]);
    expect(bench.world.host('host2').cpuUsedCores).toBeCloseTo(1.05);
  });

  test('is done when the VM is halted on request, and the VM then runs', async () => {
    const { bench, outcome } = await heavyInRounds();
    expect(await change(bench, { kind: 'stop' })).toBeUndefined();
    await bench.run(0.5);
    expect(stagesSeen(bench)).toEqual(['copying', 'stopped']);
    expect(await bench.places()).toEqual(['paused', 'incoming']);
    await bench.run(30);
    expect(await outcome).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('obeys a new cap at once', async () => {
    const bench = new Bench(idle);
    const outcome = bench.migrate();
    await bench.run(4);
    expect(await change(bench, { kind: 'bandwidth', bandwidthBytesPerSecond: 2 ** 20 })).toBeUndefined();
    await bench.run(60);
    expect(bench.progress.at(-1)?.bandwidthBytesPerSecond).toBe(2 ** 20);
    expect(await change(bench, { kind: 'bandwidth', bandwidthBytesPerSecond: 0 })).toBeUndefined();
    await bench.run(30);
    expect(await outcome).toEqual(isOutcome);
  });

  test('sends fewer bytes with compression, and is faster by several streams where the kernel has the SA', async () => {
    const sent: Record<string, { totalMs: number; memorySentBytes: number }> = {};
    for (const [name, options, ipsec] of [
      ['plain', {}, 'kernel'],
      ['mt', { compression: 'mt' }, 'kernel'],
      ['streams', { streams: 4 }, 'kernel'],
      ['userspace', { streams: 4 }, 'libipsec'],
    ] as const) {
      const bench = new Bench(idle, { ipsec });
      const outcome = bench.migrate(options);
      await bench.run(200);
      const ended = await outcome;
      if (typeof ended !== 'string') sent[name] = ended;
    }
    expect(sent['mt']?.memorySentBytes).toBeLessThan(2 ** 30);
    expect(sent['streams']?.totalMs).toBeLessThan(sent['plain']?.totalMs ?? 0);
    expect(sent['userspace']?.totalMs).toBeGreaterThan(sent['plain']?.totalMs ?? 0);
  });

  test('can begin again as soon as an abort was answered', async () => {
    const bench = new Bench(heavy);
    const abort = new AbortController();
    const first = bench.migrate({}, abort.signal);
    const second = first.then(() => bench.migrate({ method: 'stop-and-copy' }));
    await bench.run(5);
    abort.abort();
    await bench.run(60);
    expect([await first, await second]).toEqual(['aborted', isOutcome]);
    expect(await bench.places()).toEqual([null, 'running']);
  });
});

describe('a switch-over over a black hole', () => {
  async function stalled(): Promise<{ bench: Bench; outcome: Promise<unknown>; abort: AbortController }> {
    const bench = new Bench(idle);
    const abort = new AbortController();
    bench.world.onStage((_job, stage) => {
      if (stage === 'switch-over') bench.world.network.cut('host1', 'host2');
    });
    const outcome = bench.migrate({}, abort.signal);
    await bench.run(120);
    expect(bench.progress.at(-1)?.stage).toBe('stopped');
    expect(await bench.places()).toEqual(['paused', 'incoming']);
    return { bench, outcome, abort };
  }

  test('sits stopped until it is aborted; then the VM runs where it was', async () => {
    const { bench, outcome, abort } = await stalled();
    abort.abort();
    await bench.run(1);
    expect(await outcome).toBe('aborted');
    expect((await bench.places())[0]).toBe('running');
  });

  test('goes on when the link is back', async () => {
    const { bench, outcome } = await stalled();
    bench.world.network.heal('host1', 'host2');
    await bench.run(1);
    expect(await outcome).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
  });
});

describe('stop-and-copy', () => {
  test('stops the VM at once, and it runs on the destination', async () => {
    const bench = new Bench(heavy);
    const outcome = bench.migrate({ method: 'stop-and-copy' });
    await bench.run(2);
    expect(stagesSeen(bench)).toEqual(['stopped']);
    expect(await bench.places()).toEqual(['paused', 'incoming']);
    await bench.run(30);
    expect(await outcome).toMatchObject({ iterations: 1, memorySentBytes: 2 ** 30 });
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('that fails lets it go on where it was', async () => {
    const bench = new Bench(heavy);
    const outcome = bench.migrate({ method: 'stop-and-copy' });
    await bench.run(2);
    bench.world.jobOf(bench.guest.vmId)?.killDestination();
    await bench.run(3);
    expect(await outcome).toBe('hypervisor-failed');
    expect(await bench.places()).toEqual(['running', null]);
  });
});

describe('the QEMU of the source', () => {
  test.each(['transfer', 'switch-over'])('takes the VM with it when it dies in %s', async (stage) => {
    const bench = new Bench(idle);
    const job = () => bench.world.jobOf(bench.guest.vmId);
    let death: string | undefined;
    bench.world.onStage((_job, now) => {
      if (now === stage) bench.time.after(10, () => (death = job()?.killSource()));
    });
    const outcome = bench.migrate();
    await bench.run(40);
    expect({ death, outcome: await outcome }).toEqual({ death: 'fatal', outcome: 'hypervisor-failed' });
    expect(await bench.places()).toEqual(['shut-off', null]);
  });

  test('is not missed once the destination runs', async () => {
    const bench = new Bench(idle);
    let death: string | undefined;
    bench.world.onStage((job, now) => {
      if (now === 'confirm') bench.time.after(10, () => (death = job.killSource()));
    });
    const outcome = bench.migrate();
    await bench.run(40);
    expect({ death, outcome: await outcome }).toEqual({ death: 'harmless', outcome: 'hypervisor-failed' });
    expect(await bench.places()).toEqual(['shut-off', 'running']);
  });
});
