import type { SaCounters } from '#core/model/channel.ts';
import { childKindOf } from './child-config.ts';
import { peerOfConnection } from './names.ts';
import type { ChildSa, IkeSa } from './sa.ts';
import { countersOf, isInstalled } from './sa-record.ts';

/** What one SA replaces is kept at most this far back. */
const replacedMax = 64;

/** An SA in these states was replaced; charon keeps it for 5 s more, for packets that are still under way. */
const replacedStates: ReadonlySet<string> = new Set(['REKEYED', 'DELETED']);

/**
 * What each SA replaced by rekeying, with the counters that the old SA was last seen with. Told by charon's events and by
 * listings, which also show an old SA while it lingers beside its successor; so a missed event loses nothing that a
 * listing within those seconds shows.
 *
 *   old -- child-rekey event, or seen replaced beside one new SA --> [...what old replaced, old] belongs to new
 *   any listing --> newer counters of the old; what belongs to an SA that two listings lack is forgotten
 */
export class SaLedger {
  /** By the SPIs of the SA that replaced. */
  readonly #replaced = new Map<string, readonly SaCounters[]>();
  /** Not in the newest listing, which may have begun before they were there. */
  readonly #missing = new Set<string>();

  rekeyed(old: ChildSa, successor: ChildSa): void {
    if (childKindOf(old.name) === 'outer' || old.spiIn === '' || successor.spiIn === '') return;
    const key = keyOf(successor);
    const before = this.#replaced.get(key) ?? this.#replaced.get(keyOf(old)) ?? [];
    this.#replaced.delete(keyOf(old));
    this.#replaced.set(key, withCounters(before, countersOf(old)));
  }

  /** `sas` are all SAs there are. */
  seen(sas: readonly IkeSa[]): void {
    const ours = sas.filter(({ name }) => peerOfConnection(name) !== null);
    const known = new Set(ours.flatMap(({ children }) => children.map(keyOf)));
    for (const name of new Set(ours.map((ike) => ike.name))) {
      this.#seenOf(ours.filter((ike) => ike.name === name).flatMap(({ children }) => children));
    }
    for (const key of this.#replaced.keys()) this.#forgetMissing(key, known);
  }

  replacedBy(child: ChildSa): readonly SaCounters[] {
    return this.#replaced.get(keyOf(child)) ?? [];
  }

  /** True while an SA that was replaced may still count packets. */
  static hasLingering(sas: readonly IkeSa[]): boolean {
    return sas.some((ike) => peerOfConnection(ike.name) !== null && ike.children.some((child) => replacedStates.has(child.state)));
  }

  #forgetMissing(key: string, known: ReadonlySet<string>): void {
    const again = this.#missing.delete(key);
    if (known.has(key)) return;
    if (again) this.#replaced.delete(key);
    else this.#missing.add(key);
  }

  #seenOf(children: readonly ChildSa[]): void {
    for (const old of children.filter((child) => replacedStates.has(child.state) && child.spiIn !== '')) {
      const successors = children.filter((child) => child.name === old.name && isInstalled(child));
      const successor = successors.find((child) => this.replacedBy(child).some((counters) => keyOf(counters) === keyOf(old)));
      if (successor !== undefined) this.rekeyed(old, successor);
      // Without the event only one candidate is certain.
      else if (successors.length === 1 && successors[0] !== undefined) this.rekeyed(old, successors[0]);
    }
  }
}

/** Brings the entry of the same SA up to date, or adds one. */
function withCounters(list: readonly SaCounters[], counters: SaCounters): readonly SaCounters[] {
  const at = list.findIndex((entry) => keyOf(entry) === keyOf(counters));
  const known = list[at];
  return (known === undefined ? [...list, counters] : list.with(at, larger(known, counters))).slice(-replacedMax);
}

/** Counters only grow; charon shows less of an SA that it has half removed. */
function larger(one: SaCounters, other: SaCounters): SaCounters {
  return {
    ...other,
    bytesIn: Math.max(one.bytesIn, other.bytesIn),
    bytesOut: Math.max(one.bytesOut, other.bytesOut),
    packetsIn: Math.max(one.packetsIn, other.packetsIn),
    packetsOut: Math.max(one.packetsOut, other.packetsOut),
  };
}

function keyOf({ spiIn, spiOut }: Pick<SaCounters, 'spiIn' | 'spiOut'>): string {
  return `${spiIn}/${spiOut}`;
}
