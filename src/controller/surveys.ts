/** The cluster as the planner sees it: one place where a snapshot is put together, whoever needs one. */
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Refusal } from '#core/model/result.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import { dayMs } from '#core/planner/budget.ts';
import { ruleBookOf } from '#core/planner/rules.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Executor } from './executor.ts';
import type { PairRefusals } from './pair-refusals.ts';
import type { ControllerParts } from './parts.ts';
import type { PlanCourses } from './plan-courses.ts';
import type { Rulings } from './rulings.ts';
import type { TransferKnowledge } from './transfer-knowledge.ts';
import type { VmSettings } from './vm-settings.ts';

/** Why the rules forbid a VM to come to a host. */
export type RulesAgainst = (wish: Pick<MigrationRequest, 'vmId' | 'vmName' | 'toHostId' | 'cause' | 'planId'>) => readonly Refusal[];

/** Cool-downs look back this many maximum lengths: enough for the doubling to be counted. */
const ledgerLookBack = 4;

type Cluster = Pick<Snapshot, 'hosts' | 'vms'>;

export interface SurveyRooms {
  readonly parts: ControllerParts;
  readonly policy: Policy;
  readonly view: ClusterView;
  readonly executor: Pick<Executor, 'inFlight'>;
  readonly rulings: Rulings;
  readonly refusals: PairRefusals;
  readonly knowledge: TransferKnowledge;
  readonly vmSettings: Pick<VmSettings, 'facts'>;
  /** What people do not want the balancer to do. */
  readonly courses: Pick<PlanCourses, 'refusals'>;
}

export class Surveys {
  readonly #rooms: SurveyRooms;

  constructor(rooms: SurveyRooms) {
    this.#rooms = rooms;
  }

  /** With the past that cool-downs and budgets are counted from. `sinceMs`: or as much more of it as is asked for. */
  async snapshot(cluster: Cluster = this.#seen(), sinceMs = Number.POSITIVE_INFINITY): Promise<Snapshot> {
    const { parts, policy } = this.#rooms;
    const nowMs = parts.clock.nowMs();
    const pastMs = Math.max(policy.coolDownMsMax * ledgerLookBack, policy.returnMsMin, dayMs);
    const fromMs = Math.max(0, Math.min(sinceMs, nowMs - pastMs));
    return this.#with(cluster, await parts.store.ledgerSince(fromMs));
  }

  /** Without the past: for what a person asks for, whom no cool-down holds up. */
  present(): Snapshot {
    return this.#with(this.#seen(), []);
  }

  isAnyHostShort(): boolean {
    return this.#rooms.view.isAnyShort(this.#rooms.parts.clock.nowMs());
  }

  /** As the balancer sees it: what people have rejected is closed to it, and only to it. */
  async forPlan(cluster?: Cluster): Promise<Snapshot> {
    const snapshot = await this.snapshot(cluster);
    return { ...snapshot, refusals: [...this.#rooms.courses.refusals(snapshot.takenAtMs), ...snapshot.refusals] };
  }

  /** The next planning round. */
  nextRound(): Promise<Snapshot> {
    return this.forPlan(this.#rooms.view.nextRound(this.#rooms.parts.clock.nowMs()));
  }

  /** Each rule that the migration would break, and a cordon of its destination. */
  rulesAgainst({ vmId, vmName, toHostId, cause, planId }: Parameters<RulesAgainst>[0]): readonly Refusal[] {
    const cordon = this.#rooms.rulings.cordonOf(toHostId);
    const closed = cordon === null ? [] : [cordoned(toHostId, cordon.reason)];
    if (this.#rooms.rulings.rules.length === 0) return closed;
    const snapshot = this.present();
    // Judged from where it is now, not as if it had arrived.
    const book = ruleBookOf({ ...snapshot, inFlight: snapshot.inFlight.filter((flight) => flight.vmId !== vmId) });
    // Those that belong together leave one after another: of a host that is emptied, and by a plan, whose move was judged with its group.
    const inTurn = cause === 'drain' || cause === 'restore' || planId !== null;
    const faults = book
      .ruleFaults({ vmId, name: vmName }, toHostId, book.where)
      .filter(({ code }) => !(inTurn && code === 'rule-affinity'));
    return [...faults.map(({ reason }): Refusal => ({ code: 'rule-forbids', message: `${reason}: see 'plimsoll rule list'` })), ...closed];
  }

  #seen(): Cluster {
    return this.#rooms.view.snapshot(this.#rooms.parts.clock.nowMs());
  }

  #with(cluster: Cluster, ledger: readonly LedgerEntry[]): Snapshot {
    const { parts, policy, executor, rulings, refusals, knowledge, vmSettings } = this.#rooms;
    const takenAtMs = parts.clock.nowMs();
    const present = { rules: rulings.rules, refusals: refusals.current(takenAtMs) };
    const known = { vmFacts: knowledge.vmFacts(vmSettings.facts(), takenAtMs), bandwidths: knowledge.bandwidths() };
    return { takenAtMs, policy, ...cluster, inFlight: executor.inFlight(), ledger, ...present, ...known, automatic: false };
  }
}

function cordoned(hostId: string, reason: string): Refusal {
  const why = reason === '' ? '' : ` (${reason})`;
  return { code: 'rule-forbids', message: `${hostId} is cordoned${why}, it takes no new VMs: 'plimsoll host uncordon ${hostId}'` };
}
