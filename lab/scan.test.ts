import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LabError } from './errors.ts';
import { packetKind, scanCapture } from './scan.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plimsoll-scan-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Ethernet II, IPv4 without options, then ports and payload. */
function packet(protocol: number, from: number, to: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(14 + 20);
  header.writeUInt16BE(0x0800, 12);
  header.writeUInt8(0x45, 14);
  header.writeUInt8(protocol, 14 + 9);
  const transport = Buffer.alloc(protocol === 6 ? 20 : 8);
  transport.writeUInt16BE(from, 0);
  transport.writeUInt16BE(to, 2);
  return Buffer.concat([header, transport, payload]);
}

function pcap(packets: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  const records = packets.map((p) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(p.length, 8);
    record.writeUInt32LE(p.length, 12);
    return Buffer.concat([record, p]);
  });
  return Buffer.concat([header, ...records]);
}

async function captureOf(content: Buffer): Promise<string> {
  const file = join(folder, `${Math.trunc(performance.now() * 1000)}.pcap`);
  await writeFile(file, content);
  return file;
}

const SPI = Buffer.from([0xc1, 2, 3, 4, 0, 0, 0, 1]);
const NON_ESP_MARKER = Buffer.alloc(32);

test.each([
  ['esp-in-udp', packet(17, 4500, 4500, SPI)],
  ['ike', packet(17, 4500, 4500, NON_ESP_MARKER)],
  ['ike', packet(17, 500, 500, NON_ESP_MARKER)],
  ['nat-keepalive', packet(17, 4500, 4500, Buffer.from([0xff]))],
  ['tcp/49152', packet(6, 36_000, 49_152, Buffer.alloc(0))],
  ['tcp/3260', packet(6, 3260, 36_001, Buffer.alloc(0))],
  ['esp', packet(50, 0, 0, SPI)],
  ['ah', packet(51, 0, 0, SPI)],
  ['other', Buffer.alloc(10)],
])('a packet of kind %s is told', (kind, bytes) => {
  expect(packetKind(bytes)).toBe(kind);
});

test('every readable marker is counted, encrypted packets by kind', async () => {
  const page = Buffer.concat([Buffer.from('..secret-a....secret-a..'), Buffer.alloc(5)]);
  const file = await captureOf(pcap([packet(6, 36_000, 49_152, page), packet(17, 4500, 4500, SPI), packet(17, 4500, 4500, SPI)]));
  expect(await scanCapture(file, ['secret-a', 'secret-b'])).toMatchObject({
    packets: 3,
    kinds: { 'esp-in-udp': 2, 'tcp/49152': 1 },
    markers: { 'secret-a': 2, 'secret-b': 0 },
  });
});

test('a capture larger than one read is counted in full', async () => {
  const big = packet(6, 36_000, 49_152, Buffer.from(`${'x'.repeat(1400)}secret-a`));
  const file = await captureOf(pcap(Array.from({ length: 3000 }, () => big)));
  expect(await scanCapture(file, ['secret-a'])).toMatchObject({ packets: 3000, markers: { 'secret-a': 3000 } });
});

test('a file that is no capture is refused', async () => {
  await expect(scanCapture(await captureOf(Buffer.alloc(64, 7)), [])).rejects.toThrow(LabError);
});

test('a damaged length is refused instead of read', async () => {
  const content = pcap([packet(6, 1, 2, Buffer.alloc(10))]);
  content.writeUInt32LE(0x7fffffff, 24 + 8);
  await expect(scanCapture(await captureOf(content), [])).rejects.toThrow(LabError);
});
