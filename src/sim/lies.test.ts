import { acceptSample } from '#core/load/accept-sample.ts';
import { exampleSample, exampleVmSample } from '#core/load/examples.ts';
import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { Lies } from './lies.ts';
import { VirtualTime } from './virtual-time.ts';

function said(lies: Lies) {
  const sample = exampleSample({}, {});
  return { ...sample, host: lies.ofHost(sample.host), vms: [lies.ofVm(exampleVmSample('vm', 1))] };
}

describe('a host that lies about its load', () => {
  test('says more than can be, which no one takes for a load; the truth is taken', () => {
    const lies = new Lies(new VirtualTime());
    const judged = () => acceptSample(null, said(lies), 1_000_000);
    expect(judged()).toMatchObject({ ok: true });
    lies.aboutLoad = true;
    expect(judged()).toMatchObject({ ok: false, reason: 'implausible' });
    expect(said(lies).host.memoryUsedBytes).toBeGreaterThan(said(lies).host.capacity.memoryBytes);
    lies.aboutLoad = false;
    expect(judged()).toMatchObject({ ok: true });
  });

  test('to be given VMs says that it is empty, which its own VMs contradict', () => {
    const lies = new Lies(new VirtualTime());
    lies.aboutRoom = true;
    expect(acceptSample(null, said(lies), 1_000_000)).toMatchObject({ ok: false, reason: 'cpu-contradicts' });
    lies.aboutRoom = false;
    expect(acceptSample(null, said(lies), 1_000_000)).toMatchObject({ ok: true });
  });

  test('says nothing at all after a while, and then too much again', async () => {
    const time = new VirtualTime();
    const lies = new Lies(time);
    lies.aboutLoad = true;
    await time.runUntil(31_000, surroundings.drain);
    expect(said(lies)).toMatchObject({ host: { cpuUsedCores: 0, memoryUsedBytes: 0 }, vms: [{ cpuUsedCores: 0 }] });
    await time.runUntil(61_000, surroundings.drain);
    expect(said(lies).host.cpuUsedCores).toBeGreaterThan(said(lies).host.capacity.cpuCores);
  });
});
