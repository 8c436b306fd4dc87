import type { LabOptions } from '#lab/api.ts';
import type { Stage } from './stage.ts';

/** What a story claims, and what was seen of it. */
export interface Check {
  readonly what: string;
  readonly holds: boolean;
  readonly seen: string;
}

export interface Told {
  readonly checks: readonly Check[];
  /** One sentence: what was shown, if all checks hold. */
  readonly shown: string;
}

export interface Story {
  /** As it is named on the command line. */
  readonly name: string;
  readonly title: string;
  readonly lab: Partial<LabOptions>;
  readonly tell: (stage: Stage) => Promise<Told>;
}

export function check(what: string, holds: boolean, seen: string): Check {
  return { what, holds, seen };
}

/**
 * What the labs of all stories have in common. Each host is confined to cores of its own by the quota of its control group (`coresByHost`),
 * which its VMs, its agent, libvirtd and charon share: what is used of it is what the kernel counts, and who wants more has to wait.
 */
export const commonLab = {
  /** Often enough that a load is seen to change within seconds. */
  agentConfig: { sampleIntervalMs: 1500 },
} as const satisfies Partial<LabOptions>;

/** As docs/balancing.md gives it; rounds come faster than an operator's, for a story is short. */
export const balancePolicy = {
  planIntervalMs: 3000,
  policy: {
    strategy: 'balance',
    cpuLine: { startPercent: 85, stopPercent: 80 },
    smoothingHalfLifeMs: 5000,
    coolDownMs: 3_600_000,
    coolDownMsMax: 3_600_000,
  },
} as const;

export const startLinePercent = balancePolicy.policy.cpuLine.startPercent;

/** A guest that burns nothing still beats, writes memory and writes to its disk. */
export const background = { dirtyMbPerSecond: 1, diskWritesPerSecond: 2 } as const;
