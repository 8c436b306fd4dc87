import { PlimsollError } from '#core/model/result.ts';
import { describe, expect, test } from 'vitest';
import { scenarioOf } from './scenario.ts';

const cluster = {
  seed: 1,
  runForSeconds: 10,
  mode: 'observe',
  hosts: { host1: { cpuCores: 4, memoryGiB: 8 } },
  vms: { web: { host: 'host1', vcpus: 2, memoryGiB: 1, demandCores: 0.5 } },
};

function fault(changed: object, events: unknown = []): string {
  try {
    scenarioOf({ ...cluster, ...changed }, events);
  } catch (error) {
    if (error instanceof PlimsollError && error.code === 'config-invalid') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('a scenario from files', () => {
  test('is accepted when both files are right', () => {
    expect(fault({}, [{ at: 1, do: 'demand', vm: 'web', cores: 1 }])).toBe('accepted');
  });

  test('is refused with the place and the fault of a wrong cluster', () => {
    expect(fault({ mode: 'automagic' })).toMatch(/^cluster.yaml is not valid: \/mode/);
    expect(fault({ migration: { preset: 'rude' } })).toMatch(/\/migration\/preset/);
    expect(fault({ hosts: { host1: { ...cluster.hosts.host1, cpu: 'odd' } } })).toMatch(/\/hosts\/host1\/cpu/);
    expect(fault({ policy: { coolDown: 3 } })).toMatch(/\/policy has unknown keys: coolDown/);
    expect(fault({ vms: { web: { ...cluster.vms.web, host: 'host9' } } })).toBe(
      'cluster.yaml: VM web is on host9, which is not among the hosts',
    );
  });

  test('may say what a host offers, and how a VM is to be moved', () => {
    const hosts = { host1: { ...cluster.hosts.host1, machines: ['pc-q35-6.2'], cpu: 'incompatible', networks: [] } };
    const wish = { method: 'hybrid', streams: 1 };
    expect(fault({ hosts, migration: { preset: 'must-move' } }, [{ at: 1, do: 'migrate', vm: 'web', wish }])).toBe('accepted');
    expect(fault({}, [{ at: { vm: 'web', reaches: 'post-copy' }, do: 'kill-source-qemu', vm: 'web' }])).toBe('accepted');
    expect(fault({}, [{ at: 1, do: 'migrate', vm: 'web', wish: { method: 'magic' } }])).toMatch(/event 1 \(migrate\) is not valid: .*wish/);
  });

  test('knows faults that last, each with its end', () => {
    const events = [
      { at: 1, do: 'pause', what: 'libvirtd', host: 'host1' },
      { at: 1, do: 'go-on', what: 'libvirtd', host: 'host1' },
      { at: 1, do: 'pause-controller' },
      { at: 1, do: 'go-on-controller' },
      { at: 1, do: 'pause-qemu', vm: 'web', which: 'source' },
      { at: 1, do: 'go-on-qemu', vm: 'web', which: 'source' },
      { at: 1, do: 'cut-one-way', from: 'host1', to: 'controller' },
      { at: 1, do: 'heal-one-way', from: 'host1', to: 'controller' },
      { at: 1, do: 'link', between: ['host1', 'controller'], lossPercent: 5 },
      { at: 1, do: 'disk', of: 'controller', becomes: 'full' },
      { at: 1, do: 'clock', of: 'controller', jumpMs: -3_600_000 },
      { at: 1, do: 'drift', of: 'host1', ppm: 200 },
      { at: 1, do: 'lie', host: 'host1', about: 'load', becomes: 'on' },
    ];
    expect(fault({}, events)).toBe('accepted');
    expect(fault({}, [{ ...events[6], from: 'host9' }])).toBe('events.yaml, event 1 (cut-one-way): there is no host host9');
    expect(fault({}, [{ ...events[9], of: 'host9' }])).toBe('events.yaml, event 1 (disk): there is no host host9');
    expect(fault({}, [{ ...events[8], lossPercent: 100 }])).toMatch(/event 1 \(link\) is not valid: .*lossPercent/);
    expect(fault({}, [{ ...events[12], host: 'controller' }])).toBe('events.yaml, event 1 (lie): there is no host controller');
  });

  test('may have a thousand hosts', () => {
    const hosts = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`host${index + 1}`, cluster.hosts.host1]));
    expect(fault({ hosts })).toBe('accepted');
  });

  test('is refused with the number of the wrong event', () => {
    expect(fault({}, [{ at: 1, do: 'explode' }])).toMatch(/^events.yaml, event 1: do is explode, it has to be one of demand, /);
    expect(
      fault({}, [
        { at: 1, do: 'mode', mode: 'observe' },
        { at: 2, do: 'demand', vm: 'web' },
      ]),
    ).toMatch(/event 2 \(demand\) is not valid: .*cores/);
    expect(fault({}, [{ at: 1, do: 'kill', what: 'agent', host: 'host9' }])).toBe('events.yaml, event 1 (kill): there is no host host9');
    expect(fault({}, [{ at: { vm: 'shop', reaches: 'copying' }, do: 'kill-controller' }])).toBe(
      'events.yaml, event 1 (kill-controller): there is no VM shop',
    );
    expect(fault({}, { at: 1 })).toBe('events.yaml has to be a list of events');
  });
});
