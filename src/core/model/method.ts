/** How a VM's memory gets from host to host. */
export const methods = ['pre-copy', 'hybrid', 'post-copy', 'stop-and-copy', 'save-restore'] as const;

/**
 * - `pre-copy`: the VM runs on its source while its memory is sent in rounds, and stops for the last one.
 * - `hybrid`: begins as pre-copy, and goes on as post-copy when the autopilot says so.
 * - `post-copy`: runs on the destination as soon as the hypervisor lets it; what is missing there is fetched from the source.
 * - `stop-and-copy`: stopped while its memory is sent once.
 * - `save-restore`: stopped, saved to a file, sent through the channel, started from it.
 */
export type Method = (typeof methods)[number];

/** `xbzrle` sends differences of pages, `mt` compresses with zlib in threads; `zlib` and `zstd` belong to several streams. */
export const compressions = ['none', 'xbzrle', 'mt', 'zlib', 'zstd'] as const;
export type Compression = (typeof compressions)[number];

/** Slows the VM down while it writes faster than the channel carries; percent of its CPU time that is taken away. */
export interface AutoConverge {
  readonly initialPercent: number;
  readonly incrementPercent: number;
}

/** What the hypervisor is told of one transfer. */
export interface TransferOptions {
  readonly method: Method;
  /** Null: the VM is not slowed down. */
  readonly autoConverge: AutoConverge | null;
  /** TCP connections that share the memory (QEMU's multifd); 1: the one connection of old. */
  readonly streams: number;
  readonly compression: Compression;
  /** 0 = no cap. */
  readonly bandwidthBytesPerSecond: number;
  /** The hypervisor may stop the VM when it expects the rest to take no longer than this. */
  readonly downtimeMsMax: number;
}

/** One way to bring a pre-copy to an end that does not come to one by itself, tried in the order of the ladder. */
export type Rung =
  /** Begins again with more streams. */
  | { readonly kind: 'streams'; readonly streams: number }
  /** Begins again with compression. */
  | { readonly kind: 'compress'; readonly compression: Exclude<Compression, 'none'> }
  /** Begins again with the VM slowed down. */
  | ({ readonly kind: 'auto-converge' } & AutoConverge)
  /** Lets the VM stop for longer, up to the budget. */
  | { readonly kind: 'raise-downtime' }
  /** Starts the VM on its destination before its memory is there; only where post-copy is allowed. */
  | { readonly kind: 'post-copy' }
  /** Stops the VM so that nothing is written any more; only when the rest takes no longer than the policy's `stopMsMax`. */
  | { readonly kind: 'stop-and-copy' };

/** Named ladders. After the last rung the transfer is given up, and the VM stays on its source. */
export const presetNames = ['gentle', 'balanced', 'must-move'] as const;
export type PresetName = (typeof presetNames)[number];

/** What the autopilot may do to bring a transfer to an end. */
export interface PilotPolicy {
  readonly preset: PresetName;
  readonly ladder: readonly Rung[];
  /** The downtime that the policy accepts: `downtimeMsMax` of the options may be raised up to it. */
  readonly downtimeMsBudget: number;
  /** Post-copy loses the VM if either host dies in it, so it is off unless the operator accepts that. */
  readonly allowPostCopy: boolean;
  /** Longest stop of the VM that is accepted rather than giving up; 0: none. Also bounds the methods that stop it. */
  readonly stopMsMax: number;
  /** Without a better rest than before for this long, a pre-copy counts as stalled and the next rung is taken. */
  readonly patienceMs: number;
  /** A VM that is stopped for its last round and makes no progress for this long is brought back on its source. */
  readonly switchOverMsMax: number;
}

/** What somebody asks for beside VM and destination. What is left out is chosen from the prediction and the policy. */
export interface MethodWish {
  readonly method: Method | 'auto';
  readonly preset?: PresetName;
  readonly autoConverge?: boolean;
  readonly streams?: number;
  readonly compression?: Compression;
  readonly bandwidthBytesPerSecond?: number;
  readonly downtimeMsMax?: number;
}

/** What the autopilot, or the choice of the method, did and why. */
export interface Decision {
  /** `choice`: before the first byte. `autopilot`: during the transfer. `recovery`: by the controller, after the hosts had lost each other. */
  readonly by: 'choice' | 'autopilot' | 'recovery';
  readonly atMs: number;
  /** Since the transfer began; 0 for what was decided before. */
  readonly elapsedMs: number;
  /** Such as `start pre-copy`, `raise downtime to 400 ms`, `post-copy`. */
  readonly action: string;
  readonly reason: string;
}
