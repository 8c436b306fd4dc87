import { LabError } from '#lab/errors.ts';

/**
 * Takes the ELF kernel out of a bzImage, so that the guests boot it directly (PVH): without it each guest unpacks itself on
 * an emulated CPU, which is 0.7 s of its 4.5 s.
 *
 * bzImage: Documentation/arch/x86/boot.rst (setup_sects, payload_offset, payload_length).
 * LZ4's legacy frame: blocks of [compressed size, data]; the kernel's build appends the unpacked size.
 */

const SETUP_SECTORS_AT = 0x1f1;
const PAYLOAD_OFFSET_AT = 0x248;
const PAYLOAD_LENGTH_AT = 0x24c;
const LZ4_LEGACY_MAGIC = 0x184c2102;
const KERNEL_BYTES_MAX = 256 << 20;

/** @returns undefined when the kernel is packed in another way than Debian's cloud kernel. */
export function extractKernel(bzImage: Buffer): Buffer | undefined {
  const start = (bzImage.readUInt8(SETUP_SECTORS_AT) + 1) * 512 + bzImage.readUInt32LE(PAYLOAD_OFFSET_AT);
  const payload = bzImage.subarray(start, start + bzImage.readUInt32LE(PAYLOAD_LENGTH_AT));
  if (payload.length < 16 || payload.readUInt32LE(0) !== LZ4_LEGACY_MAGIC) return undefined;
  const size = payload.readUInt32LE(payload.length - 4);
  if (size > KERNEL_BYTES_MAX) return undefined;
  const out = Buffer.alloc(size);
  let written = 0;
  for (let at = 4; at < payload.length - 4;) {
    const length = payload.readUInt32LE(at);
    written = unpackBlock(payload.subarray(at + 4, at + 4 + length), out, written);
    at += 4 + length;
  }
  if (written !== size)
    throw new LabError('lab-image-failed', `the kernel unpacks to ${written} bytes instead of ${size}: download it again`);
  return out;
}

/** One LZ4 block: sequences of literals and a match in what was written before. Returns the new end of `out`. */
function unpackBlock(block: Buffer, out: Buffer, start: number): number {
  let at = 0;
  let end = start;
  const longLength = (nibble: number): number => {
    if (nibble < 15) return nibble;
    let length = nibble;
    for (let byte = 255; byte === 255; length += byte) byte = block.readUInt8(at++);
    return length;
  };
  while (at < block.length) {
    const token = block.readUInt8(at++);
    const literals = longLength(token >> 4);
    block.copy(out, end, at, at + literals);
    at += literals;
    end += literals;
    if (at >= block.length) break; // the last sequence has no match
    const distance = block.readUInt16LE(at);
    at += 2;
    const matchLength = longLength(token & 15) + 4;
    if (distance === 0 || distance > end - start) throw new LabError('lab-image-failed', 'the kernel is damaged: download it again');
    copyMatch(out, end, distance, matchLength);
    end += matchLength;
  }
  return end;
}

/** A match may overlap its own output: then it repeats the last `distance` bytes. */
function copyMatch(out: Buffer, end: number, distance: number, length: number): void {
  if (distance >= length) out.copyWithin(end, end - distance, end - distance + length);
  else for (let i = 0; i < length; i++) out[end + i] = out[end + i - distance] ?? 0;
}
