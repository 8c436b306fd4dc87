/**
 * What operators were told stands is kept: rules and cordons by every move, and what a drain says of its host. It knows of them by the
 * operators' own commands, judges where VMs are by the world, and uses nothing of how the product compiles or asks its rules.
 */
import type { Drain } from '#core/model/drain.ts';
import type { HostId } from '#core/model/host.ts';
import type { LedgerEntry, MoveCause } from '#core/model/ledger.ts';
import type { Migration, MigrationRequest } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { Policy } from '#core/model/policy.ts';
import type { Rule } from '#core/model/rule.ts';
import type { VmId } from '#core/model/vm.ts';
import { type Breach, breach } from './breach.ts';
import type { Guest } from './guest.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

export interface PlacementFacts {
  readonly world: World;
  readonly store: SimStore;
  readonly policy: Pick<Policy, 'returnMsMin'>;
  /** When a host last sent a sample, by the simulation's own time; null: never. */
  readonly sampledAtMs: (hostId: HostId) => number | null;
}

/** What stood when a migration was asked for. */
interface Standing {
  readonly rules: readonly Rule[];
  readonly cordons: ReadonlySet<HostId>;
  /** Where VMs were on their way to. */
  readonly flights: ReadonlyMap<VmId, HostId>;
}

interface Placed {
  readonly vmId: VmId;
  readonly toHostId: HostId;
  readonly cause: MoveCause;
  /** VMs that are moved together with it. */
  readonly mates: ReadonlySet<VmId>;
}

/** So long a VM has to have been where it is for the controller to have to know it. */
const settledMs = 60_000;
const sampleMsMax = 15_000;

export class PlacementWatch {
  readonly #facts: PlacementFacts;
  readonly #rules = new Map<string, Rule>();
  /** Also those that may be gone by now: for what only a rule excuses. */
  readonly #everRules: Rule[] = [];
  readonly #cordons = new Set<HostId>();
  readonly #asked = new Map<string, Standing>();
  readonly #judged = new Set<string>();
  /** In which VMs are moved together. */
  readonly #plans = new Map<string, Plan>();
  readonly #homes = new Map<VmId, { readonly hostId: HostId; readonly sinceMs: number }>();
  readonly #found: Breach[] = [];

  constructor(facts: PlacementFacts) {
    this.#facts = facts;
  }

  get found(): readonly Breach[] {
    return this.#found;
  }

  /** An operator was told so, or it was so from the beginning. */
  ruleStands(rule: Rule): void {
    this.#rules.set(rule.name, rule);
    this.#everRules.push(rule);
  }

  /** It may come to stand from now on. */
  ruleIsAsked(rule: Rule): void {
    this.#everRules.push(rule);
  }

  /** Somebody asks for its end, whether or not it comes. */
  ruleMayGo(name: string): void {
    this.#rules.delete(name);
  }

  cordonStands(hostId: HostId): void {
    this.#cordons.add(hostId);
  }

  cordonMayGo(hostId: HostId): void {
    this.#cordons.delete(hostId);
  }

  planned(plan: Plan): void {
    if (plan.moves.some(({ together }) => together !== undefined)) this.#plans.set(plan.planId, plan);
    const moved = new Map<VmId, HostId>();
    for (const move of plan.moves) {
      const { vmId, vmName, toHostId } = move;
      const rules = this.#rulesOf(vmId);
      for (const fault of stayingFaults(rules, plan.createdAtMs))
        this.#say('ignored-moved', `plan ${plan.planId} moves ${vmName} although ${fault}`);
      const mates = new Set(move.together?.vmIds);
      this.#judgePlace({ vmId, vmName, toHostId, cause: 'balance' }, this.#standing(moved), `plan ${plan.planId}`, mates);
      moved.set(vmId, toHostId);
      const left = this.#facts.store.allLedger().filter((entry) => isReturn(entry, vmId, toHostId));
      const ages = left.map(({ endedAtMs }) => plan.createdAtMs - endedAtMs);
      const early = ages.filter((ageMs) => ageMs < this.#facts.policy.returnMsMin);
      // Only to mend a rule may it go back.
      if (early.length > 0 && !this.#everRules.some((rule) => isPlacing(rule) && isMeant(rule, this.#facts.world.guestOf(vmId))))
        this.#say('returned-early', `plan ${plan.planId} sends ${vmName} back to ${toHostId}, which it left ${Math.min(...early)} ms ago`);
    }
  }

  /** Each time that it becomes durable. */
  saved({ request, phase }: Migration): void {
    const { migrationId, vmName, vmId, cause, toHostId, planId } = request;
    const known = this.#asked.get(migrationId);
    if (known === undefined) {
      this.#asked.set(migrationId, this.#standing());
      const ignoring = cause === 'balance' ? this.#rulesOf(vmId).filter(({ kind }) => kind === 'ignore') : [];
      for (const { name } of ignoring) this.#say('ignored-moved', `balancing moves ${vmName}, which rule ${name} keeps out of it`);
      return;
    }
    if (phase === 'asked' || phase === 'failed' || this.#judged.has(migrationId)) return;
    this.#judged.add(migrationId);
    const standing = {
      rules: known.rules.filter((rule) => this.#rules.get(rule.name) === rule),
      cordons: new Set([...known.cordons].filter((hostId) => this.#cordons.has(hostId))),
      flights: new Map([...known.flights].filter(([mate, hostId]) => this.#flights().get(mate) === hostId)),
    };
    this.#judgePlace({ vmId, vmName, toHostId, cause }, standing, `the migration of ${vmName}`, this.#matesOf(planId, vmId));
  }

  /** A drain that is over has left nothing on its host, and nothing is on its way there. */
  drainSaved({ hostId, phase }: Drain): void {
    // A host is opened for what is brought back, whoever has closed it meanwhile.
    if (phase === 'restoring') this.cordonMayGo(hostId);
    if (phase !== 'drained') return;
    const here = this.#facts.world.host(hostId).copies.filter(({ state }) => state === 'running');
    for (const { guest } of here) this.#say('drain-untrue', `${hostId} is said to be drained, and ${guest.name} runs there`);
    for (const [vmId, to] of this.#flights())
      if (to === hostId)
        this.#say(
          'drain-untrue',
          `${hostId} is said to be drained, and ${this.#facts.world.guestOf(vmId)?.name ?? vmId} is on its way there`,
        );
  }

  /** To be called whenever something may have changed with these. */
  look(guests: readonly Guest[]): void {
    const nowMs = this.#facts.world.time.elapsedMs;
    for (const { vmId } of guests) {
      const hostId = this.#onlyHome(vmId);
      if (hostId === null) this.#homes.delete(vmId);
      else if (this.#homes.get(vmId)?.hostId !== hostId) this.#homes.set(vmId, { hostId, sinceMs: nowMs });
    }
  }

  /** With which VMs its plan moves it: those come after it, or have gone before it. */
  #matesOf(planId: string | null, vmId: VmId): ReadonlySet<VmId> {
    const plan = planId === null ? undefined : this.#plans.get(planId);
    return new Set(plan?.moves.find((move) => move.vmId === vmId)?.together?.vmIds);
  }

  #judgePlace(
    move: Pick<MigrationRequest, 'vmId' | 'vmName' | 'toHostId' | 'cause'>,
    standing: Standing,
    what: string,
    mates: ReadonlySet<VmId>,
  ): void {
    const { vmId, vmName, toHostId } = move;
    const guest = this.#facts.world.guestOf(vmId);
    if (standing.cordons.has(toHostId)) this.#say('rule-broken', `${what}: ${vmName} goes to ${toHostId}, which is cordoned`);
    for (const rule of standing.rules.filter((one) => isMeant(one, guest)))
      if (this.#breaks(rule, { ...move, mates }, standing))
        this.#say('rule-broken', `${what}: on ${toHostId} ${vmName} breaks rule ${rule.name} (${rule.kind})`);
  }

  /** Breaks it more than before, whatever of it cannot be known. */
  #breaks(rule: Rule, { vmId, toHostId, cause, mates: together }: Placed, { flights }: Standing): boolean {
    if (rule.kind === 'pin') return !rule.hosts.includes(toHostId);
    if (rule.kind !== 'affinity' && rule.kind !== 'anti-affinity') return false;
    // Of a host that is emptied, those that belong together leave one after another.
    if (rule.kind === 'affinity' && (cause === 'drain' || cause === 'restore')) return false;
    const isJudged = (guest: Guest) => guest.vmId !== vmId && !(rule.kind === 'affinity' && together.has(guest.vmId));
    const mates = this.#facts.world.guests.filter((guest) => isJudged(guest) && isMeant(rule, guest)).map((mate) => mate.vmId);
    const fromHostId = this.#onlyHome(vmId);
    const place = (mate: VmId) => flights.get(mate) ?? this.#knownHome(mate);
    const certainly = (hostId: HostId) => mates.filter((mate) => place(mate) === hostId).length;
    const possibly = (hostId: HostId | null) =>
      mates.filter((mate) => place(mate) === null || place(mate) === hostId || this.#copiesOf(mate).includes(hostId ?? '')).length;
    return rule.kind === 'anti-affinity'
      ? certainly(toHostId) > possibly(fromHostId)
      : fromHostId !== null && certainly(fromHostId) > possibly(toHostId);
  }

  /** `moved`: by the moves of a plan that come before. */
  #standing(moved: ReadonlyMap<VmId, HostId> = new Map()): Standing {
    return { rules: [...this.#rules.values()], cordons: new Set(this.#cordons), flights: new Map([...this.#flights(), ...moved]) };
  }

  #rulesOf(vmId: VmId): readonly Rule[] {
    const guest = this.#facts.world.guestOf(vmId);
    return [...this.#rules.values()].filter((rule) => isMeant(rule, guest));
  }

  #flights(): ReadonlyMap<VmId, HostId> {
    const open = this.#facts.store.allMigrations().filter(({ endedAtMs }) => endedAtMs === null);
    return new Map(open.map(({ request }) => [request.vmId, request.toHostId]));
  }

  #copiesOf(vmId: VmId): readonly HostId[] {
    const copies = this.#facts.world.copiesOf(vmId);
    return copies.filter(({ copy }) => copy.state !== 'shut-off' && copy.state !== 'crashed').map(({ host }) => host.hostId);
  }

  #onlyHome(vmId: VmId): HostId | null {
    const [only, ...more] = this.#copiesOf(vmId);
    return only === undefined || more.length > 0 ? null : only;
  }

  /** Where it has been for so long, on a host that has told so, that whoever plans has to know it; null where that is not sure. */
  #knownHome(vmId: VmId): HostId | null {
    const nowMs = this.#facts.world.time.elapsedMs;
    const home = this.#homes.get(vmId);
    if (home === undefined || nowMs - home.sinceMs < settledMs || this.#flights().has(vmId)) return null;
    const sampledAtMs = this.#facts.sampledAtMs(home.hostId);
    return sampledAtMs !== null && nowMs - sampledAtMs <= sampleMsMax ? home.hostId : null;
  }

  #say(code: 'rule-broken' | 'ignored-moved' | 'returned-early' | 'drain-untrue', message: string): void {
    this.#found.push(breach(code, message));
  }
}

function isReturn(entry: LedgerEntry, vmId: VmId, toHostId: HostId): boolean {
  return entry.vmId === vmId && entry.fromHostId === toHostId && entry.outcome !== 'stayed';
}

function isPlacing({ kind }: Rule): boolean {
  return kind === 'pin' || kind === 'affinity' || kind === 'anti-affinity';
}

/** By its id, its name, or a text that a `*` is any part of. */
function isMeant({ vms }: Rule, guest: Pick<Guest, 'vmId' | 'name'> | undefined): boolean {
  if (guest === undefined) return false;
  return vms.some((wanted) => wanted === guest.vmId || wanted === guest.name || likeness(wanted).test(guest.name));
}

function likeness(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`);
}

/** Why the balancer leaves the VM alone at this time, by each of these rules. */
function stayingFaults(rules: readonly Rule[], atMs: number): readonly string[] {
  return rules.flatMap((rule) => {
    if (rule.kind === 'ignore') return [`rule ${rule.name} keeps it out of balancing`];
    if (rule.kind !== 'blackout' && rule.kind !== 'window') return [];
    const at = new Date(atMs + rule.when.utcOffsetMinutes * 60_000);
    const minute = at.getUTCHours() * 60 + at.getUTCMinutes();
    // The schedules of the soak have windows of every day that do not pass midnight.
    const { fromMinute, untilMinute } = rule.when;
    if (fromMinute >= untilMinute || rule.when.weekdays.length < 7) return [];
    const isInside = minute >= fromMinute && minute < untilMinute;
    return isInside === (rule.kind === 'blackout') ? [`rule ${rule.name} lets it be moved at another time only`] : [];
  });
}
