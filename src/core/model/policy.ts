import type { ChannelProfile } from './channel.ts';
import type { AutoConverge, Compression, PilotPolicy, PresetName, Rung } from './method.ts';

/** The planner's mode: `observe` plans and moves nothing, `approve` waits for a person, `automatic` moves. */
export type Mode = 'observe' | 'approve' | 'automatic';

export interface LinePair {
  /** A host above this is over the line. */
  readonly startPercent: number;
  /** Relief ends when the host is at or below this; a target is never filled above it. */
  readonly stopPercent: number;
}

/** How migrations are protected, and what may be changed on the network for them. */
export interface ChannelPolicy {
  readonly profile: ChannelProfile;
  readonly tuning: {
    /** `off`: nothing is measured. `clamp`: path MTU measured, MSS clamped. `raise`: also MTUs raised, up to `mtuBytesMax`. */
    readonly mode: 'off' | 'clamp' | 'raise';
    readonly mtuBytesMax: number;
  };
  readonly clockSkewMsMax: number;
}

/** How transfers are made when nobody asks for anything else. */
export interface MigrationPolicy {
  readonly pilot: PilotPolicy;
  readonly streams: number;
  readonly compression: Compression;
  /** Largest error in a prediction's favour that is still believed: below this share of the budget a pre-copy is started. */
  readonly predictionMarginPercent: number;
}

export interface ForecastPolicy {
  /** How far ahead the CPU of VMs is forecast. */
  readonly horizonMs: number;
}

export const strategies = ['lines', 'balance', 'threshold', 'pack'] as const;

/**
 * How moves are chosen. `lines`: the one that leaves the lowest score. `balance`: the one that saves most shortage of CPU for the bytes it
 * copies, by what the VMs want now and are expected to want; none that saves less than it costs. `threshold`: a host above its start line
 * gives its busiest VM to the least loaded host with room, at once and down to that line. `pack`: hosts are relieved as by `lines`, and
 * where none has to be, hosts are emptied that others have room for.
 */
export type Strategy = (typeof strategies)[number];

export const directions = ['push', 'pull', 'both'] as const;

/**
 * Who begins. `push`: a host over its line gives. `pull`: a host with little to do takes from one that has much more than the mean; nothing
 * else moves for load. `both`: first the one, then the other.
 */
export type Direction = (typeof directions)[number];

/** When a host takes from another one. By CPU, now and as it is expected. */
export interface PullPolicy {
  /** A host below this takes. */
  readonly belowPercent: number;
  /** A host gives to it that is at least so many points above the mean of the cluster. */
  readonly marginPercent: number;
}

export interface BalancePolicy {
  /** A shortage that is seen now is taken to last for so long. */
  readonly shortageMs: number;
  /** Core-seconds of shortage that a copied GiB must save: what encrypting and copying it costs both hosts, and the VM its brownout. */
  readonly coreSecondsPerGib: number;
  /**
   * After the horizon of the forecasts, VMs are taken to use for so long what they usually do: of two moves that end a shortage, the one that
   * keeps the hosts from the next one is worth more. Not there, or 0: it is not reckoned.
   */
  readonly usualMs?: number;
  /**
   * CPU that a copy takes on its source while it runs. Where that alone would make VMs wait, a move must be worth it by what is expected to be
   * wanted above the host's capacity, and by what it makes them wait for. Not there, or 0: it is not reckoned.
   */
  readonly copyCores?: number;
}

/** What the VMs of one class bear when the balancer wants to move them. A person, and a drain, may do more. */
export interface SlaClass {
  /** A move is not made that is predicted to stop the VM for longer, and its migration is held to it; 0: as any migration. */
  readonly downtimeMsMax: number;
  /** By the strategies that weigh a move, one must save so many times what its bytes cost. */
  readonly costFactor: number;
  /** `approve-only`: never in mode `automatic`, only when a person applies a plan. */
  readonly moves: 'automatic' | 'approve-only' | 'never';
}

/** The class of VMs that nobody has given one; it is always there. */
export const standardClass = 'standard';

/**
 * How much the balancer may move; 0 = no limit. Moves of any cause count, and hold up the balancer's own alone. A try that failed is no move,
 * but what it sent counts.
 */
export interface BudgetPolicy {
  readonly vmMovesPerDay: number;
  readonly tenantMovesPerHour: number;
  readonly clusterMovesPerHour: number;
  readonly gibPerHour: number;
}

/** What the cluster must be able to lose after each move. */
export interface HeadroomPolicy {
  /**
   * 1: after each move all running VMs of the host that carries most of them, by memory, find room on the others. Shown by placing them,
   * the largest first, on the first host with room: where that works they fit, where it fails another order might still do.
   */
  readonly hostFailures: 0 | 1;
}

/** The operator's wishes. Percentages are of the host's capacity. */
export interface Policy {
  readonly cpuLine: LinePair;
  readonly memoryLine: LinePair;
  /** A host must be over the line for this many planning rounds in a row. */
  readonly sustainedRounds: number;
  /** Half-life of the exponential smoothing of samples, in milliseconds. */
  readonly smoothingHalfLifeMs: number;
  /** A move must lower the cluster's score by at least this share of it. */
  readonly minimumGainPercent: number;
  /** First cool-down of a VM after a move; doubles with each further move up to the maximum. */
  readonly coolDownMs: number;
  readonly coolDownMsMax: number;
  /** Samples older than this freeze the host's part of the plan. */
  readonly sampleAgeMsMax: number;
  readonly planLifetimeMs: number;
  readonly movesPerPlanMax: number;
  readonly migrationsPerHostMax: number;
  readonly migrationsPerClusterMax: number;
  /** Bandwidth cap of one migration, 0 = none. */
  readonly migrationBandwidthBytesPerSecond: number;
  readonly downtimeMsMax: number;
  /** A migration without progress for this long is aborted. */
  readonly noProgressMsMax: number;
  readonly forecast: ForecastPolicy;
  readonly headroom: HeadroomPolicy;
  readonly strategy: Strategy;
  readonly direction: Direction;
  readonly pull: PullPolicy;
  readonly balance: BalancePolicy;
  /** By name; `standard` is one of them. */
  readonly classes: Readonly<Record<string, SlaClass>>;
  readonly budgets: BudgetPolicy;
  /** What channels are taken to carry before any was measured; 0: not known, and nothing is held up for it. */
  readonly assumedBandwidthBytesPerSecond: number;
  /** The balancer does not send a VM back to a host that it has left less than this ago. */
  readonly returnMsMin: number;
  /** A move that an operator has rejected is not proposed again for so long. */
  readonly rejectedMsMin: number;
  readonly migration: MigrationPolicy;
  readonly channel: ChannelPolicy;
}

const throttle: AutoConverge = { initialPercent: 20, incrementPercent: 10 };

/** What each preset tries, in this order. */
export const ladders: Readonly<Record<PresetName, readonly Rung[]>> = {
  gentle: [{ kind: 'raise-downtime' }],
  balanced: [{ kind: 'raise-downtime' }, { kind: 'compress', compression: 'xbzrle' }, { kind: 'auto-converge', ...throttle }],
  'must-move': [{ kind: 'raise-downtime' }, { kind: 'auto-converge', ...throttle }, { kind: 'post-copy' }, { kind: 'stop-and-copy' }],
};

/** A preset's settings before the operator's own. */
export function pilotPolicyOf(preset: PresetName): PilotPolicy {
  const mustMove = preset === 'must-move';
  return {
    preset,
    ladder: ladders[preset],
    downtimeMsBudget: preset === 'gentle' ? 500 : 1000,
    allowPostCopy: false,
    stopMsMax: mustMove ? 30_000 : 0,
    patienceMs: 15_000,
    switchOverMsMax: 10_000,
  };
}

/** AES-256-GCM with ECP-384 and, where both ends can, 64-bit sequence numbers; certificates; tunnel mode. */
export const defaultProfile: ChannelProfile = {
  name: 'esp-tunnel',
  ikeProposals: ['aes256gcm16-prfsha384-ecp384'],
  espProposals: ['aes256gcm16-ecp384-esn', 'aes256gcm16-ecp384'],
  ahProposals: ['sha384-ecp384-esn', 'sha384-ecp384'],
  udpEncapsulation: 'when-needed',
  authentication: 'certificate',
  postQuantumKey: false,
  rekeySeconds: 3600,
  rekeyBytes: 2 ** 36,
  replayWindowPackets: 1024,
};

/** Defaults to start from: quiet, reversible, and nothing moves without the operator's word (mode is `observe`). */
export const defaultPolicy: Policy = {
  cpuLine: { startPercent: 80, stopPercent: 60 },
  memoryLine: { startPercent: 90, stopPercent: 80 },
  sustainedRounds: 3,
  smoothingHalfLifeMs: 15_000,
  minimumGainPercent: 10,
  coolDownMs: 30 * 60_000,
  coolDownMsMax: 6 * 60 * 60_000,
  sampleAgeMsMax: 15_000,
  planLifetimeMs: 10 * 60_000,
  movesPerPlanMax: 4,
  migrationsPerHostMax: 1,
  migrationsPerClusterMax: 4,
  migrationBandwidthBytesPerSecond: 0,
  downtimeMsMax: 300,
  noProgressMsMax: 150_000,
  forecast: { horizonMs: 30 * 60_000 },
  headroom: { hostFailures: 0 },
  strategy: 'balance',
  direction: 'push',
  pull: { belowPercent: 30, marginPercent: 15 },
  balance: { shortageMs: 200_000, coreSecondsPerGib: 10 },
  classes: {
    critical: { downtimeMsMax: 250, costFactor: 4, moves: 'automatic' },
    [standardClass]: { downtimeMsMax: 0, costFactor: 1, moves: 'automatic' },
    batch: { downtimeMsMax: 0, costFactor: 0.5, moves: 'automatic' },
  },
  // More than cool-downs of an hour let through.
  budgets: { vmMovesPerDay: 24, tenantMovesPerHour: 0, clusterMovesPerHour: 0, gibPerHour: 0 },
  assumedBandwidthBytesPerSecond: 0,
  returnMsMin: 60 * 60_000,
  rejectedMsMin: 60 * 60_000,
  migration: { pilot: pilotPolicyOf('balanced'), streams: 1, compression: 'none', predictionMarginPercent: 10 },
  channel: {
    profile: defaultProfile,
    tuning: { mode: 'clamp', mtuBytesMax: 9000 },
    clockSkewMsMax: 2000,
  },
};
