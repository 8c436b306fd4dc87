/**
 * The last resort of a host whose VMs want more CPU than it has, when no host below its lines has room: one that is over its own line, or comes
 * over it, and still has what all of its VMs want. Judged above the capacity of both hosts, where VMs wait, and by the price of any move.
 */
import type { HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import { wouldLack } from './balance.ts';
import { type Candidate, fits, gainOf, scoreAfterMove, type Search } from './candidate.ts';
import type { ClusterHost, ClusterVm } from './cluster.ts';
import type { Toll } from './cost.ts';
import { fillLimit, type Limit } from './line.ts';
import { type Outlook, outlookOf, outlookWith, shortageCoreSeconds } from './shortage.ts';
import { Targets } from './targets.ts';

/** Of a large cluster, so many of the hosts with most CPU to spare are judged. */
const likelyTargets = 48;

/** Less is rounding. */
const leastCores = 1e-6;

/** Its VMs want more than it has. */
export function isShort({ capacityCores, wantedCores }: Outlook): boolean {
  return wantedCores > capacityCores + leastCores;
}

/** CPU up to the capacity, but for rounding; memory as anywhere else. */
export function overflowLimit(policy: Policy): Limit {
  return { cpuPercent: 100 - 1e-9, memoryPercent: fillLimit(policy).memoryPercent };
}

/** The hosts that may take what overflows, while one plan is made. */
export class Overflow {
  readonly #hosts: () => readonly ClusterHost[];
  #targets: Targets | null = null;

  /** `hosts`: those that may take VMs, over a line or not, sorted by id, as the plan has them by now; asked only where they are needed. */
  constructor(hosts: () => readonly ClusterHost[]) {
    this.#hosts = hosts;
  }

  /** After a move: each of its hosts, as it is now. */
  note(host: ClusterHost): void {
    this.#targets?.fill(host);
  }

  /** The best move of all; null where none is worth its price. `givers`: hosts that the plan relieves, which take nothing. */
  best(search: Search, givers: ReadonlySet<HostId>): Candidate | null {
    const { policy, source, placement, costs } = search;
    if (policy.strategy === 'threshold' || !isShort(outlookOf(source))) return null;
    this.#targets ??= new Targets(this.#hosts());
    const targets = this.#targets.emptiest(likelyTargets).filter(({ hostId }) => hostId !== source.hostId && !givers.has(hostId));
    const [limit, ordinary] = [overflowLimit(policy), fillLimit(policy)];
    let best: { readonly vm: ClusterVm; readonly target: ClusterHost; readonly saved: number; readonly toll: Toll } | null = null;
    for (const vm of search.vms) {
      for (const target of targets) {
        // What stays below its line has been judged by that.
        if (!fits(target, vm, limit) || fits(target, vm, ordinary) || wouldLack(outlookOf(target), vm)) continue;
        const toll = costs.between(vm, source.hostId, target.hostId);
        const saved = savedBy(policy, source, target, vm, toll);
        if (saved <= toll.priceCoreSeconds || (best !== null && worth(saved, toll) <= worth(best.saved, best.toll))) continue;
        if (placement.hostFault(target.hostId) === null && placement.fault(vm, target.hostId) === null) best = { vm, target, saved, toll };
      }
    }
    if (best === null) return null;
    const { vm, target, saved: savedCoreSeconds, toll } = best;
    const scoreAfter = scoreAfterMove(search, vm, target);
    return { vm, target, scoreAfter, gainPercent: gainOf(search, vm, target), saving: { savedCoreSeconds, toll } };
  }
}

function worth(saved: number, toll: Toll): number {
  return saved / Math.sqrt(toll.weight);
}

/** In core-seconds above the capacities. */
function savedBy(policy: Policy, source: ClusterHost, target: ClusterHost, vm: ClusterVm, { durationMs }: Toll): number {
  const lostMs = durationMs ?? 0;
  const shortageMs = Math.max(0, policy.balance.shortageMs - lostMs);
  const horizonMs = Math.max(0, policy.forecast.horizonMs - lostMs);
  const short = (outlook: Outlook) => shortageCoreSeconds(outlook, 100, { shortageMs }, horizonMs);
  const [here, there] = [outlookOf(source), outlookOf(target)];
  return short(here) - short(outlookWith(here, vm, -1)) + short(there) - short(outlookWith(there, vm, 1));
}
