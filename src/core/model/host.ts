import type { Bytes, Cores } from './units.ts';

/** The operator's name of a host; also the common name of its certificate. */
export type HostId = string;

export interface HostCapacity {
  readonly cpuCores: Cores;
  readonly memoryBytes: Bytes;
}

/** Where a host is reached. `underlay` carries IKE and ESP; `protected` exists only inside the channel. */
export interface HostAddresses {
  readonly underlay: string;
  readonly protected: string;
  /** Interface that holds the underlay address. */
  readonly interface: string;
}

/** `up`: samples arrive. `silent`: its line is down or late. `joined`: has a certificate, never dialled in. */
export type HostStatus = 'up' | 'silent' | 'joined';
