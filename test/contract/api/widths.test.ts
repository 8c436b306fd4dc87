import { printVmCheck } from '#cli/check-printer.ts';
import { fold } from '#cli/fold.ts';
import { printHistory } from '#cli/history-printer.ts';
import { printHosts } from '#cli/host-printer.ts';
import { printMigration, printMigrations } from '#cli/migration-printer.ts';
import { printVms } from '#cli/vm-printer.ts';
import { describe, expect, test } from 'vitest';
import { copying, done, failed, hostA, hostB, nowMs, vmDatabase, vmWeb } from './resources.ts';
import { measured, predictionErrors, vmCheck } from './transfer-resources.ts';

const migrations = [measured, copying, failed, done].map((migration) => ({
  ...migration,
  request: { ...migration.request, migrationId: '4256c4771255' },
}));

/** What each command shows in a terminal this wide. */
const shown: Readonly<Record<string, (columns: number) => string>> = {
  'host list': (columns) => printHosts([hostA, hostB], nowMs, columns),
  'vm list': (columns) => printVms([vmWeb, vmDatabase], nowMs, columns),
  'vm check': (columns) => printVmCheck(vmCheck, columns),
  'migration list': (columns) => printMigrations(migrations, nowMs, columns),
  'migration show': () => printMigration(measured, nowMs),
  history: (columns) => printHistory([measured, failed], predictionErrors, 100, columns),
};

describe.each([80, 120])('in a terminal of %i columns', (columns) => {
  test.each(Object.entries(shown))('%s has no line that is too long', (_name, print) => {
    const lines = fold(print(columns), columns).split('\n');
    expect(lines.filter((line) => line.length > columns)).toEqual([]);
  });

  test.each(['host list', 'vm list', 'migration list'])('%s has one line for each', (name) => {
    const text = shown[name]?.(columns) ?? '';
    expect(fold(text, columns)).toBe(text);
  });
});

test('a table leaves out what matters least, and only as much as it must', () => {
  const titles = (columns?: number) => printVms([vmWeb], nowMs, columns).split('\n')[0]?.split(/ {2,}/);
  expect(titles()).toEqual(['VM', 'HOST', 'STATE', 'VCPUS', 'CORES USED', 'MEMORY', 'MIGRATION', 'UUID']);
  expect(titles(80)).toEqual(['VM', 'HOST', 'STATE', 'VCPUS', 'CORES USED', 'MEMORY', 'MIGRATION']);
  expect(titles(10)).toEqual(['VM', 'HOST', 'STATE', 'CORES USED', 'MEMORY']);
});

test('the history keeps when, which, how it ended and what it cost', () => {
  const titles = printHistory([measured], predictionErrors, 100, 80).split('\n')[0]?.split(/ {2,}/);
  expect(titles).toEqual(expect.arrayContaining(['ASKED', 'MIGRATION', 'VM', 'FROM', 'TO', 'OUTCOME', 'TOTAL', 'DOWNTIME']));
});
