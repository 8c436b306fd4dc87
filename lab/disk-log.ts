import { readFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';

const RECORD_BYTES = 512;
const CRC_AT = RECORD_BYTES - 4;
const MAGIC = 'PLIMREC1';

export interface DiskLog {
  /** Records the guest wrote: the highest number on the disk plus one. */
  readonly records: number;
  /** Records on the disk now that are whole and in their place (at most the disk's size in sectors). */
  readonly intact: number;
  /** The lowest number that should be there and is not; undefined: the sequence is complete. */
  readonly firstBadRecord: number | undefined;
}

/** Number of the record in a slot, or undefined when it is not a whole record of this guest. */
function numberIn(disk: Buffer, slot: number, guest: string): number | undefined {
  const record = disk.subarray(slot * RECORD_BYTES, (slot + 1) * RECORD_BYTES);
  if (record.toString('latin1', 0, 8) !== MAGIC || crc32(record.subarray(0, CRC_AT)) !== record.readUInt32LE(CRC_AT)) return undefined;
  if (record.toString('latin1', 16, 48).replace(/\0+$/, '') !== guest) return undefined;
  return Number(record.readBigUInt64LE(8));
}

/** Verifies the disk as the guest left it: record n must lie at slot n modulo the number of slots (lab/guest/disk.c). */
export function verifyDisk(disk: Buffer, guest: string): DiskLog {
  const slots = Math.floor(disk.length / RECORD_BYTES);
  const numbers = Array.from({ length: slots }, (_, slot) => numberIn(disk, slot, guest));
  let highest = -1;
  for (const n of numbers) if (n !== undefined && n > highest) highest = n;
  let intact = 0;
  let firstBadRecord: number | undefined;
  for (let n = Math.max(0, highest + 1 - slots); n <= highest; n++) {
    if (numbers[n % slots] === n) intact++;
    else firstBadRecord ??= n;
  }
  return { records: highest + 1, intact, firstBadRecord };
}

/** Reads a guest's disk from outside, while the guest may go on writing. */
export async function readDiskLog(path: string, guest: string): Promise<DiskLog> {
  return verifyDisk(await readFile(path), guest);
}
