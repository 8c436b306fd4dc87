import { randomBytes } from 'node:crypto';
import type { Random } from '#core/ports.ts';

/** Randomness of the kernel. */
export class SystemRandom implements Random {
  /** 128 bits in hex. */
  id(): string {
    return randomBytes(16).toString('hex');
  }

  fraction(): number {
    return randomBytes(6).readUIntBE(0, 6) / 2 ** 48;
  }
}
