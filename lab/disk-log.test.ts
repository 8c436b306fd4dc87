import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { verifyDisk } from './disk-log.ts';

function record(number: number, guest = 'vm1'): Buffer {
  const out = Buffer.alloc(512);
  out.write('PLIMREC1');
  out.writeBigUInt64LE(BigInt(number), 8);
  out.write(guest, 16);
  out.fill(number & 0xff, 48, 500);
  out.writeUInt32LE(crc32(out.subarray(0, 508)), 508);
  return out;
}

const EMPTY = Buffer.alloc(512);

test('a new disk holds no record and nothing bad', () => {
  expect(verifyDisk(Buffer.concat([EMPTY, EMPTY]), 'vm1')).toEqual({ records: 0, intact: 0, firstBadRecord: undefined });
});

test('records in their places are intact', () => {
  expect(verifyDisk(Buffer.concat([record(0), record(1), record(2), EMPTY]), 'vm1')).toEqual({
    records: 3,
    intact: 3,
    firstBadRecord: undefined,
  });
});

test('a disk that is full begins again at its start', () => {
  expect(verifyDisk(Buffer.concat([record(3), record(4), record(2)]), 'vm1')).toEqual({ records: 5, intact: 3, firstBadRecord: undefined });
});

test('a lost write is the first bad record', () => {
  expect(verifyDisk(Buffer.concat([record(0), EMPTY, record(2), EMPTY]), 'vm1')).toEqual({ records: 3, intact: 2, firstBadRecord: 1 });
});

test('one changed bit is found', () => {
  const broken = record(1);
  broken.writeUInt8(broken.readUInt8(100) ^ 1, 100);
  expect(verifyDisk(Buffer.concat([record(0), broken, record(2)]), 'vm1').firstBadRecord).toBe(1);
});

test("another guest's record is not this guest's", () => {
  expect(verifyDisk(Buffer.concat([record(0), record(1, 'vm2'), record(2)]), 'vm1').firstBadRecord).toBe(1);
});
