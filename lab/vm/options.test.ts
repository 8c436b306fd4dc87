import { expect, test } from 'vitest';
import { VM_LAB_DEFAULTS, checkVmOptions } from './options.ts';

test('the defaults are valid', () => {
  expect(checkVmOptions({})).toMatchObject(VM_LAB_DEFAULTS);
});

test.each([
  [{ hosts: 9 }, 'at most 8'],
  [{ memoryPerHostMib: 600, guestMemoryMib: 96 }, 'use at least 608 MiB'],
  [{ mtuBytes: 1000 }, '--mtu 1000'],
])('%j is refused with what to do', (given, sentence) => {
  expect(() => checkVmOptions(given)).toThrow(sentence);
});
