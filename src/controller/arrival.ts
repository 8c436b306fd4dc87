/** Whether a VM arrived as it left. Null is said of what could not be looked at. */
import type { VmDefinition } from '#core/model/definition.ts';
import type { Arrival } from '#core/model/measures.ts';
import type { VmView } from '#core/model/vm.ts';
import type { CommandReply } from '#wire/agent-protocol.ts';

export interface ArrivalFacts {
  readonly before: VmDefinition | null;
  readonly after: VmDefinition | null;
  readonly source: CommandReply<'vm.find'> | null;
  readonly destination: VmView | null;
  /** Behind which port the source's bridges have seen the VM's MAC address last. */
  readonly placeAtSource: 'local' | 'elsewhere' | null;
  /** Whether it has answered from its new place; null where nobody looks, or where it has never answered. */
  readonly answers: boolean | null;
  /** Which of its leases each host's lock manager holds, in the same order; null where the host did not say. A VM without a lease has none. */
  readonly heldBySource: LeasesHeld | null;
  readonly heldByDestination: LeasesHeld | null;
}

/** Null of a lease for which the host cannot tell. */
export type LeasesHeld = readonly (boolean | null)[];

export function judgeArrival(facts: ArrivalFacts): Arrival {
  const { before, after, source, answers, placeAtSource } = facts;
  const differences = before === null || after === null ? null : differencesOf(before, after, facts.destination);
  const sourceClean = source && (source.vm === null || source.vm.state === 'shut-off') && source.image === null;
  const announced = placeAtSource && placeAtSource === 'elsewhere';
  const lockedOnce = isLockedOnce(facts);
  const troubles = [
    ...(differences ?? []),
    ...(sourceClean === false ? ['the source still has something of the VM'] : []),
    ...(announced === false ? ["the source's network still looks for the VM on the source"] : []),
    ...(answers === false ? ['the VM does not answer on its network'] : []),
    ...lockTroubles(facts),
  ];
  const definitionRight = differences && differences.length === 0;
  return { definitionRight, sourceClean, announced, answers, lockedOnce, troubles };
}

/** A lock that the destination lacks, or the source has kept, lets the VM be started a second time. */
function lockTroubles({ heldBySource, heldByDestination }: ArrivalFacts): readonly string[] {
  return [
    ...(heldByDestination?.includes(false) === true
      ? ["the destination does not hold the VM's storage lock: suspend and resume the VM there"]
      : []),
    ...(heldBySource?.includes(true) === true ? ["the source still holds the VM's storage lock: look what has its disk open there"] : []),
  ];
}

/** The source is asked too: where the lock files are not shared, both hosts can hold what each takes for the one lock. */
function isLockedOnce(facts: ArrivalFacts): boolean | null {
  const { heldBySource, heldByDestination } = facts;
  if (lockTroubles(facts).length > 0) return false;
  if (heldBySource === null || heldByDestination === null || heldByDestination.length === 0) return null;
  return [...heldBySource, ...heldByDestination].includes(null) ? null : true;
}

function differencesOf(before: VmDefinition, after: VmDefinition, view: VmView | null): readonly string[] {
  const parts: readonly (readonly [string, unknown, unknown])[] = [
    ['the machine type', before.machine, after.machine],
    ['the number of virtual CPUs', before.vcpus, after.vcpus],
    ['the memory', before.memoryBytes, after.memoryBytes],
    ['the network interfaces', before.interfaces, after.interfaces],
    ['the disks', before.disks, after.disks],
    ['the leases', before.leases, after.leases],
  ];
  const differing = parts
    .filter(([, one, other]) => JSON.stringify(one) !== JSON.stringify(other))
    .map(([name]) => `the destination's definition differs in ${name}`);
  const isLost = before.persistent && view !== null && !view.persistent;
  return isLost ? [...differing, 'the definition is not kept on the destination'] : differing;
}
