import type { HostAddresses, HostId } from '#core/model/host.ts';
import type {
  AgentMemory,
  Clock,
  CostMeter,
  Dialer,
  Guard,
  HostMeter,
  Hypervisor,
  IdentityKeeper,
  Ipsec,
  LeaseBook,
  Log,
  Network,
  Prober,
  Random,
  Verifier,
  Witness,
} from '#core/ports.ts';
import type { Transports } from '#core/transports.ts';
import type { WatchLimits } from './channel-watch.ts';

/** Everything an agent needs from the world; the simulator hands it the same in virtual time. */
export interface AgentParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly hypervisor: Hypervisor;
  readonly ipsec: Ipsec;
  readonly guard: Guard;
  readonly prober: Prober;
  readonly network: Network;
  readonly transports: Transports;
  readonly hostMeter: HostMeter;
  readonly costMeter: CostMeter;
  readonly witness: Witness;
  readonly dialer: Dialer;
  readonly memory: AgentMemory;
  readonly leaseBook: LeaseBook;
  readonly identity: IdentityKeeper;
  /** SHA-256 of the data, lower-case hex. */
  readonly sha256: (data: Uint8Array) => string;
  /** Of the key that the controller signs tickets with. */
  readonly ticketVerifier: Verifier;
}

export interface AgentSettings {
  readonly hostId: HostId;
  readonly addresses: HostAddresses;
  readonly sampleIntervalMs: number;
  /** Memory that this host offers to VMs when that is less than the machine has; null for all of it. */
  readonly memoryCapacityBytes: number | null;
  readonly version: string;
  /** Other limits than the defaults, for a slow host. */
  readonly channelWatch?: WatchLimits;
}
