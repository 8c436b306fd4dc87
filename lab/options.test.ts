import { expect, test } from 'vitest';
import { LabError } from './errors.ts';
import { LAB_DEFAULTS, checkOptions, coresOf, parsePlacement } from './options.ts';
import type { LabOptions } from './options.ts';
import { newRecord } from './record.ts';

test('without options the defaults hold', () => {
  expect(checkOptions({})).toEqual(LAB_DEFAULTS);
});

const refused: readonly (readonly [Partial<LabOptions>, string])[] = [
  [{ name: 'Has Space' }, 'lab name'],
  [{ name: 'a'.repeat(17) }, 'lab name'],
  [{ name: '../etc' }, 'lab name'],
  [{ hosts: 0 }, '--hosts'],
  [{ hosts: 2.5 }, '--hosts'],
  [{ guests: -1 }, '--guests'],
  [{ guestMemoryMib: 32 }, '--guest-memory'],
  [{ mtuBytes: 100 }, '--mtu'],
  [{ rate: 'fast' }, '--rate'],
  [{ coresPerHost: 0 }, '--cores-per-host'],
  [{ coresByHost: { host9: 1 } }, 'host9'],
  [{ coresByHost: { host2: 0 } }, '0 cores for host2'],
  [{ workingSetMib: 90 }, 'working set'],
  [{ mode: 'reckless' as 'observe' }, '--mode'],
  [{ placement: { vm9: 'host1' } }, 'vm9'],
  [{ placement: { vm1: 'host9' } }, 'host9'],
];

test.each(refused)('%o is refused and the sentence names %s', (options, word) => {
  expect(() => checkOptions(options)).toThrow(LabError);
  expect(() => checkOptions(options)).toThrow(word);
});

test('a host has its own cores, or as many as the others', () => {
  const options = checkOptions({ coresPerHost: 0.5, coresByHost: { host2: 0.8 } });
  expect(['host1', 'host2'].map((host) => coresOf(options, host))).toEqual([0.5, 0.8]);
});

test('a placement is read from pairs', () => {
  expect(parsePlacement('vm1=host1,vm2=host3')).toEqual({ vm1: 'host1', vm2: 'host3' });
  expect(() => parsePlacement('vm1')).toThrow('vm1=host1');
});

const holder = { owner: { pid: 1, startTicks: '1' }, stays: true };

test('guests go round robin unless they are placed', () => {
  const options = checkOptions({ hosts: 2, guests: 3, placement: { vm1: 'host2' } });
  const record = newRecord(options, 0, holder);
  expect(record.guests.map((g) => g.firstHost)).toEqual(['host2', 'host2', 'host1']);
});

test('ids follow from names, addresses from the index, markers from nothing', () => {
  const [a, b] = [newRecord(LAB_DEFAULTS, 0, holder), newRecord(LAB_DEFAULTS, 1, holder)];
  expect(a.guests.map((g) => g.uuid)).toEqual(b.guests.map((g) => g.uuid));
  expect(a.hosts[0]).toMatchObject({ underlay: '10.64.0.1', protected: '10.192.0.1' });
  expect(b.hosts[0]).toMatchObject({ underlay: '10.65.0.1', protected: '10.193.0.1' });
  expect(new Set([...a.guests, ...b.guests].map((g) => g.marker)).size).toBe(12);
});
