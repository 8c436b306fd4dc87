/** What a migration costs in the model: one figure each, the same for every balancer. */

export const gibibyte = 2 ** 30;

export interface Physics {
  /** Of one encrypted stream. Every migration has it, however many there are: networks are not what is compared. */
  readonly bandwidthBytesPerSecond: number;
  /** Bytes sent for each byte of memory: pages that are written meanwhile are sent again. */
  readonly copyFactor: number;
  /** Reading, encrypting and sending. */
  readonly sourceCores: number;
  /** Receiving, decrypting and writing. */
  readonly destinationCores: number;
}

/** 4 Gbit/s through ESP takes about one core at the sender and somewhat less at the receiver. */
export const defaultPhysics: Physics = {
  bandwidthBytesPerSecond: 500_000_000,
  copyFactor: 1.25,
  sourceCores: 1,
  destinationCores: 0.75,
};

export function migrationBytes(memoryBytes: number, { copyFactor }: Physics): number {
  return memoryBytes * copyFactor;
}

export function migrationSeconds(memoryBytes: number, physics: Physics): number {
  return migrationBytes(memoryBytes, physics) / physics.bandwidthBytesPerSecond;
}
