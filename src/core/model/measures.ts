import type { Method } from './method.ts';

/** CPU time used for one migration. Null where this host cannot tell. */
export interface HostCost {
  /** QEMU without its virtual CPUs, and its daemon. */
  readonly hypervisorCpuSeconds: number | null;
  /** IPsec in user space and the key daemon; what the kernel spends on ESP is not told apart from other work. */
  readonly ipsecCpuSeconds: number | null;
  readonly agentCpuSeconds: number | null;
}

/** What a machine outside saw of the VM, by asking it for an answer every few milliseconds. */
export interface OutsideView {
  readonly witnessHostId: string;
  readonly address: string;
  readonly intervalMs: number;
  readonly sent: number;
  readonly answered: number;
  /** Between two answers, around the switch-over: the downtime as a client sees it, to within one interval. */
  readonly downtimeMs: number;
  /** Sum of the further gaps of more than ten intervals during the copy: the VM was there, but slow. */
  readonly brownoutMs: number;
  /** Median and 99th percentile of the answers' delay during the copy. */
  readonly delayMsP50: number;
  readonly delayMsP99: number;
}

/** What one migration cost. Bytes and packets are of the source's end. */
export interface Measures {
  readonly method: Method;
  /** Transfers that were begun for it: more than one when the autopilot began again with other options. */
  readonly attempts: number;
  /** From the first byte to the VM running on its destination. */
  readonly totalMs: number;
  readonly hypervisorDowntimeMs: number | null;
  /** Null where nobody could reach the VM, or its address is not known. */
  readonly outside: OutsideView | null;
  readonly memorySentBytes: number;
  readonly rounds: number | null;
  readonly espBytes: number | null;
  readonly espPackets: number | null;
  readonly source: HostCost | null;
  readonly destination: HostCost | null;
  /** What was found of the VM on its destination afterwards. */
  readonly arrival: Arrival | null;
}

/** Each is null where it could not be looked at. */
export interface Arrival {
  /** Its definition is kept there and names the same devices. */
  readonly definitionRight: boolean | null;
  readonly sourceClean: boolean | null;
  /** Other hosts have learned its MAC address at its new place. */
  readonly announced: boolean | null;
  readonly answers: boolean | null;
  /** Its disks are locked by the destination alone. */
  readonly lockedOnce: boolean | null;
  /** Sentences about what is not as it should be. */
  readonly troubles: readonly string[];
}
