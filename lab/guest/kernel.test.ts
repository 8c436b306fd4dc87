import { expect, test } from 'vitest';
import { cpioArchive, PROGRAM_MODE } from './cpio.ts';
import { extractKernel } from './kernel.ts';

/** A bzImage of one setup sector whose payload begins right after it. */
function bzImage(payload: Buffer): Buffer {
  const setup = Buffer.alloc(1024);
  setup.writeUInt8(1, 0x1f1);
  setup.writeUInt32LE(0, 0x248);
  setup.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([setup, payload]);
}

const uint32 = (n: number): Buffer => {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(n);
  return out;
};

/** Legacy LZ4 of: "abc", then 20 bytes from 3 back (overlapping), then "end". */
const block = Buffer.from([0x3f, ...Buffer.from('abc'), 3, 0, 20 - 4 - 15, 0x30, ...Buffer.from('end')]);
const unpacked = `${'abc'.repeat(8).slice(0, 23)}end`;
const payload = Buffer.concat([uint32(0x184c2102), uint32(block.length), block, uint32(unpacked.length)]);

test('the kernel comes out of a bzImage packed with LZ4', () => {
  expect(extractKernel(bzImage(payload))?.toString()).toBe(unpacked);
});

test('another packing is left as it is', () => {
  expect(extractKernel(bzImage(Buffer.alloc(64, 0x28)))).toBeUndefined();
});

test('a kernel that unpacks to another size is refused', () => {
  const damaged = Buffer.from(payload);
  damaged.writeUInt32LE(unpacked.length + 1, damaged.length - 4);
  expect(() => extractKernel(bzImage(damaged))).toThrow('download it again');
});

test('an archive is what the kernel expects: headers, names and data on 4-byte bounds, a trailer', () => {
  const archive = cpioArchive([{ path: 'init', mode: PROGRAM_MODE, data: Buffer.from('12345') }]);
  expect(archive.length % 4).toBe(0);
  expect(archive.toString('latin1', 0, 6)).toBe('070701');
  expect(archive.toString('latin1', 110, 114)).toBe('init');
  expect(archive.toString('latin1', 116, 121)).toBe('12345');
  expect(archive.toString('latin1')).toContain('TRAILER!!!');
});
