/** Why a sample is not taken, whoever finds it out. Stable: operators and alerts match on it. */
export const sampleRejectionCodes = [
  'wrong-host',
  'sequence-back',
  'older-than-previous',
  'too-old',
  'in-future',
  'implausible',
  'cpu-contradicts',
  'memory-contradicts',
  'capacity-changed',
  'vm-on-two-hosts',
] as const;

export type SampleRejectionCode = (typeof sampleRejectionCodes)[number];

export interface SampleRejection {
  readonly reason: SampleRejectionCode;
  readonly message: string;
}

/** How often each reason was found; one that is not listed never was. */
export type RejectionCounts = Readonly<Partial<Record<SampleRejectionCode, number>>>;

/** A sample that comes late or out of order says nothing about the honesty of its host; all else does. */
const ofTheWay: ReadonlySet<SampleRejectionCode> = new Set(['wrong-host', 'sequence-back', 'older-than-previous', 'too-old', 'in-future']);

/** Whether the figures themselves cannot be believed. */
export function isDoubt({ reason }: SampleRejection): boolean {
  return !ofTheWay.has(reason);
}
