import { describe, expect, test } from 'vitest';
import { Bench, outcomeOf } from './bench.ts';

const heavy = { dirtyMiBPerSecond: 60, workingSetMiB: 400 };
const isOutcome = expect.objectContaining({ memorySentBytes: expect.any(Number), downtimeMs: null, iterations: null });

const startPostCopy = (bench: Bench) => bench.hypervisors[0].changeJob(bench.guest.vmId, { kind: 'post-copy' }, bench.signal);

async function inPostCopy(abort = new AbortController()): Promise<{ bench: Bench; outcome: Promise<unknown> }> {
  const bench = new Bench(heavy);
  const outcome = bench.migrate({ method: 'post-copy' }, abort.signal);
  await bench.run(2);
  await bench.settled(startPostCopy(bench));
  await bench.run(2);
  expect(await bench.places()).toEqual(['paused active', 'running active']);
  expect(bench.progress.at(-1)?.stage).toBe('post-copy');
  return { bench, outcome };
}

async function brokenApart(): Promise<Bench> {
  const { bench, outcome } = await inPostCopy();
  bench.world.network.cut('host1', 'host2');
  await bench.run(20);
  expect(await bench.places()).toEqual(['paused active', 'running active']);
  await bench.run(10);
  expect(await bench.places()).toEqual(['paused failed', 'paused failed']);
  expect(await outcome).toBe('post-copy-broken');
  return bench;
}

const recover = (bench: Bench) =>
  outcomeOf(bench.hypervisors[0].recoverPostCopy(bench.request({ method: 'post-copy' }), () => undefined, bench.signal));

describe('post-copy', () => {
  test('is refused right at the start, then lets the VM run on the destination while its memory is fetched', async () => {
    const bench = new Bench(heavy);
    const outcome = bench.migrate({ method: 'hybrid' });
    await bench.run(0.3);
    expect(await bench.settled(outcomeOf(startPostCopy(bench)))).toBe('vm-busy');
    await bench.run(2);
    expect(await bench.settled(outcomeOf(startPostCopy(bench)))).toBeUndefined();
    await bench.run(1);
    expect(bench.world.copiesOf(bench.guest.vmId).map(({ copy }) => copy.jobActive)).toEqual([true, true]);
    await bench.run(40);
    expect(await outcome).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
    expect(bench.stages).toEqual(['transfer', 'switch-over', 'post-copy', 'confirm', 'moved']);
  });

  test('has to be armed from the start', async () => {
    const bench = new Bench(heavy);
    void bench.migrate({ method: 'pre-copy' });
    await bench.run(2);
    expect(await bench.settled(outcomeOf(startPostCopy(bench)))).toBe('method-unsupported');
  });

  test('is refused when the VM stands still for its last round', async () => {
    const bench = new Bench({ dirtyMiBPerSecond: 0, workingSetMiB: 0 });
    let refused: unknown;
    bench.world.onStage((_job, stage) => {
      if (stage === 'switch-over') void outcomeOf(startPostCopy(bench)).then((code) => (refused = code));
    });
    void bench.migrate({ method: 'hybrid' });
    await bench.run(40);
    expect(refused).toBe('vm-busy');
  });

  test('cannot be aborted', async () => {
    const abort = new AbortController();
    const { bench, outcome } = await inPostCopy(abort);
    abort.abort();
    expect(await bench.settled(outcomeOf(bench.hypervisors[0].abortJob(bench.guest.vmId, bench.signal)))).toBe('vm-busy');
    await bench.run(40);
    expect(await outcome).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('outlasts a cut that is shorter than the keep-alive', async () => {
    const { bench, outcome } = await inPostCopy();
    bench.world.network.cut('host1', 'host2');
    await bench.run(20);
    bench.world.network.heal('host1', 'host2');
    await bench.run(40);
    expect(await outcome).toEqual(isOutcome);
  });

  test('goes on without either libvirtd, only nobody hears of its end', async () => {
    for (const end of ['host1', 'host2'] as const) {
      const { bench, outcome } = await inPostCopy();
      bench.world.host(end).libvirtd.kill();
      await bench.run(3);
      expect(await outcome).toMatch(/^hypervisor-/);
      bench.world.host(end).libvirtd.start();
      await bench.run(40);
      expect({ end, places: await bench.places() }).toEqual({ end, places: [null, 'running'] });
    }
  });

  test('that ends while the source cannot hear of it leaves a half there that cannot run', async () => {
    const { bench, outcome } = await inPostCopy();
    bench.world.onStage((_job, stage) => {
      if (stage === 'confirm') bench.world.network.cut('host1', 'host2');
    });
    await bench.run(80);
    expect(await outcome).toBe('hypervisor-failed');
    expect(await bench.places()).toEqual(['paused failed', 'running']);
    expect(await bench.settled(outcomeOf(bench.hypervisors[0].resume(bench.guest.vmId, bench.signal)))).toBe('vm-busy');
    await bench.settled(bench.hypervisors[0].destroy(bench.guest.vmId, bench.signal));
    expect(await bench.places()).toEqual(['shut-off', 'running']);
  });
});

describe('a post-copy whose hosts have lost each other', () => {
  test('stays halted when the link is back, and goes on when it is recovered', async () => {
    const bench = await brokenApart();
    expect(await bench.settled(recover(bench))).toBe('hypervisor-failed');
    bench.world.network.heal('host1', 'host2');
    await bench.run(60);
    expect(await bench.places()).toEqual(['paused failed', 'paused failed']);
    const recovered = recover(bench);
    await bench.run(1);
    expect(await bench.places()).toEqual(['paused active', 'running active']);
    expect(await bench.settled(recover(bench))).toBe('vm-busy');
    await bench.run(40);
    expect(await recovered).toEqual(isOutcome);
    expect(await bench.places()).toEqual([null, 'running']);
  });

  test('can break again, and be recovered again', async () => {
    const bench = await brokenApart();
    bench.world.network.heal('host1', 'host2');
    const first = recover(bench);
    await bench.run(2);
    bench.world.network.cut('host1', 'host2');
    await bench.run(40);
    expect(await first).toBe('post-copy-broken');
    bench.world.network.heal('host1', 'host2');
    const second = recover(bench);
    await bench.run(40);
    expect(await second).toEqual(isOutcome);
  });

  test('can neither be resumed nor aborted on either host', async () => {
    const bench = await brokenApart();
    for (const hypervisor of bench.hypervisors) {
      expect(await bench.settled(outcomeOf(hypervisor.resume(bench.guest.vmId, bench.signal)))).toBe('vm-busy');
      expect(await bench.settled(outcomeOf(hypervisor.abortJob(bench.guest.vmId, bench.signal)))).toBe('vm-busy');
    }
    expect(await bench.places()).toEqual(['paused failed', 'paused failed']);
  });

  test('is lost when one of them throws its half away', async () => {
    const bench = await brokenApart();
    bench.world.network.heal('host1', 'host2');
    await bench.settled(bench.hypervisors[1].destroy(bench.guest.vmId, bench.signal));
    expect(await bench.settled(recover(bench))).toBe('hypervisor-failed');
    expect(await bench.places()).toEqual(['paused failed', 'shut-off']);
  });
});

describe('the death of a QEMU in post-copy', () => {
  test('of the destination leaves a half on the source that nothing brings back', async () => {
    const { bench, outcome } = await inPostCopy();
    expect(bench.world.jobOf(bench.guest.vmId)?.killDestination()).toBe('fatal');
    await bench.run(2);
    expect(await outcome).toBe('post-copy-broken');
    expect(await bench.places()).toEqual(['paused failed', null]);
    expect(await bench.settled(recover(bench))).toBe('hypervisor-failed');
  });

  test('of the source halts the destination', async () => {
    const { bench, outcome } = await inPostCopy();
    expect(bench.world.jobOf(bench.guest.vmId)?.killSource()).toBe('fatal');
    await bench.run(2);
    expect(await outcome).toBe('post-copy-broken');
    expect(await bench.places()).toEqual(['shut-off', 'paused failed']);
  });

  test('of either after the hosts had lost each other makes a recovery impossible', async () => {
    for (const end of ['killSource', 'killDestination'] as const) {
      const bench = await brokenApart();
      bench.world.network.heal('host1', 'host2');
      expect(bench.world.brokenJobOf(bench.guest.vmId)?.[end]()).toBe('fatal');
      expect(await bench.settled(recover(bench))).toBe('hypervisor-failed');
    }
  });
});
