declare const unit: unique symbol;

/**
 * Branded units: a bare number cannot stand where one of these is asked for, so CPU and memory
 * cannot be swapped and KB cannot be read as MB. Arithmetic gives a bare number, which has to be
 * named again by `cores()` or `bytes()`.
 */
export type Cores = number & { readonly [unit]: 'cores' };
export type Bytes = number & { readonly [unit]: 'bytes' };

/** A CPU amount in cores (1 = one core fully busy). Throws RangeError unless finite and >= 0. */
export function cores(value: number): Cores {
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`not an amount of CPU cores: ${value}`);
  return value as Cores;
}

/** A memory amount in bytes. Throws RangeError unless finite and >= 0. */
export function bytes(value: number): Bytes {
  if (!Number.isFinite(value) || value < 0) throw new RangeError(`not an amount of bytes: ${value}`);
  return value as Bytes;
}

/** `used` as a percentage of `capacity` (both in the same unit); a capacity of 0 counts as full. */
export function percentOf<Unit extends Cores | Bytes>(used: Unit, capacity: Unit): number {
  return capacity > 0 ? (used / capacity) * 100 : 100;
}
