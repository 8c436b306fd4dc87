/** Which fault strikes in which phase, how often, and in which order. Pure. */

export const phases = ['checking', 'securing', 'prepare', 'perform early', 'perform late', 'switching', 'verifying'] as const;
export type FaultPhase = (typeof phases)[number];

const processes = [
  'source qemu',
  'destination qemu',
  'source libvirtd',
  'destination libvirtd',
  'source agent',
  'destination agent',
  'controller',
] as const;
export type Victim = (typeof processes)[number];

export const faults = [
  ...processes.map((victim) => `kill ${victim}` as const),
  ...processes.map((victim) => `stop ${victim}` as const),
  'link reset',
  'link dead 5 s',
  'link dead 60 s',
  'port refused',
  'memory full',
  'disk full',
  'abort',
] as const;
export type FaultName = (typeof faults)[number];

export interface FaultCase {
  readonly fault: FaultName;
  readonly phase: FaultPhase;
  /** From 1: the same fault in the same phase again. */
  readonly time: number;
}

const noDestinationQemu = 'the destination has no QEMU of the VM yet';
const noSourceQemu = 'the source has no QEMU of the VM any more';
const nothingToReset = 'no connection of the transfer exists yet';
const nothingToRefuse = 'the data connection stands already, and no other is made';
const memoryIsThere = 'all of the memory has arrived; what is killed then is the VM itself: see kill destination qemu';

/** Where a fault makes no sense, and why. All others are played. */
const senseless: Partial<Record<FaultName, Partial<Record<FaultPhase, string>>>> = {
  'kill source qemu': { verifying: noSourceQemu },
  'stop source qemu': { verifying: noSourceQemu },
  'kill destination qemu': { checking: noDestinationQemu, securing: noDestinationQemu },
  'stop destination qemu': { checking: noDestinationQemu, securing: noDestinationQemu },
  'link reset': { checking: nothingToReset, securing: nothingToReset },
  'port refused': {
    'perform early': nothingToRefuse,
    'perform late': nothingToRefuse,
    switching: nothingToRefuse,
    verifying: nothingToRefuse,
  },
  'memory full': { verifying: memoryIsThere },
  abort: {},
};

/** Why this fault is not played in this phase; undefined: it is. */
export function reasonAgainst(fault: FaultName, phase: FaultPhase): string | undefined {
  return senseless[fault]?.[phase];
}

/** Every fault in every phase in which it makes sense, in the order of the table. */
export function combinations(): readonly Omit<FaultCase, 'time'>[] {
  return faults.flatMap((fault) => phases.filter((phase) => reasonAgainst(fault, phase) === undefined).map((phase) => ({ fault, phase })));
}

/** Mulberry32: small, and the same on every machine. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const keyed = items.map((item) => ({ item, key: random() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ item }) => item);
}

/** What `--only` asks for: "kill controller", ",switching", "link reset,prepare". Null for a word that is no fault or no phase. */
export interface Only {
  readonly fault: FaultName | undefined;
  readonly phase: FaultPhase | undefined;
}

export function parseOnly(text: string): Only | null {
  const [faultWord = '', phaseWord = ''] = text.split(',').map((word) => word.trim());
  const fault = faults.find((one) => one === faultWord);
  const phase = phases.find((one) => one === phaseWord);
  const isWrong = (faultWord !== '' && fault === undefined) || (phaseWord !== '' && phase === undefined);
  return isWrong ? null : { fault, phase };
}

/** So many runs: every combination once in an order that the seed shuffles, then every one a second time, and so on. */
export function planRuns(count: number, seed: number, only: Only): readonly FaultCase[] {
  const wanted = combinations().filter(
    ({ fault, phase }) => (only.fault === undefined || only.fault === fault) && (only.phase === undefined || only.phase === phase),
  );
  if (wanted.length === 0) return [];
  const random = randomOf(seed);
  const plan: FaultCase[] = [];
  for (let time = 1; plan.length < count; time += 1) plan.push(...shuffled(wanted, random).map((one) => ({ ...one, time })));
  return plan.slice(0, count);
}

export const keyOf = ({ fault, phase, time }: FaultCase): string => `${fault} | ${phase} | ${time}`;

/** What is left of a plan after what was played. */
export function leftOf(plan: readonly FaultCase[], played: readonly FaultCase[]): readonly FaultCase[] {
  const done = new Set(played.map(keyOf));
  return plan.filter((one) => !done.has(keyOf(one)));
}
