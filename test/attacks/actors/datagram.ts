import { createHash } from 'node:crypto';

const bodyBytes = 200;

/** A datagram whose content follows from its number: whoever receives it can tell whether it was changed. */
export function datagram(sequence: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(sequence);
  return Buffer.concat([head, contentOf(head)]);
}

/** What the sender had written when it wrote this number. */
export function original(received: Buffer): Buffer {
  const head = received.subarray(0, 4);
  return Buffer.concat([head, contentOf(head)]);
}

function contentOf(head: Buffer): Buffer {
  const block = createHash('sha256').update(head).digest();
  return Buffer.concat(Array.from({ length: bodyBytes / 8 }, () => block.subarray(0, 8)));
}
