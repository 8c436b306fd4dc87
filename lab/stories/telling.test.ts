import { expect, test } from 'vitest';
import { cpuPercentBetween } from './loads.ts';
import { StoryLog } from './story-log.ts';
import { markersRead, plainMigrationPackets, wireText } from './wire.ts';

test('an entry has its time and its word once, and goes on below its beginning', () => {
  const lines: string[] = [];
  const log = new StoryLog((text) => lines.push(text), 80);
  log.begin('A story');
  log.say('plan', `first\n${'word '.repeat(20).trimEnd()}`);
  const [title = '', entry = ''] = lines;
  expect(title).toBe('\n== A story\n');
  const [first = '', ...rest] = entry.trimEnd().split('\n');
  expect(first).toMatch(/^ {2}\d\.\d s {2}plan {6}first$/);
  expect(rest).toHaveLength(2);
  for (const line of rest) expect(line).toMatch(/^ {19}word/);
  for (const line of rest) expect(line.length).toBeLessThanOrEqual(80);
});

test('plain packets of a migration are those of libvirt and of QEMU, whatever else there is', () => {
  const kinds = { 'esp-in-udp': 9000, 'tcp/3260': 400, 'tcp/7443': 30, 'tcp/16514': 2, 'tcp/49152': 3, 'udp/49151': 4 };
  const scan = { packets: 9439, bytes: 1, kinds, markers: { secret: 1, other: 2 } };
  expect(plainMigrationPackets(scan)).toBe(5);
  expect(markersRead(scan)).toBe(3);
  expect(wireText(scan)).toContain('9000 ESP, 400 iSCSI, 30 TLS with the controller');
  expect(plainMigrationPackets({ ...scan, kinds: { 'esp-in-udp': 1, 'tcp/3260': 1 } })).toBe(0);
});

test("a host's CPU is in percent of its own cores", () => {
  expect(cpuPercentBetween({ atMs: 1000, usedMs: 500 }, { atMs: 5000, usedMs: 1700 }, 0.4)).toBeCloseTo(75);
});
