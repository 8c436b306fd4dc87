/** The operators' rules and cordons: read once, and durable before they count. */
import { conflictsOf } from '#core/checks/rule-conflicts.ts';
import type { HostId } from '#core/model/host.ts';
import { type Labels, selectorFault } from '#core/model/label.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Cordon, Rule } from '#core/model/rule.ts';
import { ruleLimits } from '#core/model/rule.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Clock } from '#core/ports.ts';
import type { Store, StoredRule } from '#core/store.ts';
import type { Audit } from './audit.ts';
import type { ClusterView } from './cluster-view.ts';

type RulingStore = Pick<Store, 'rules' | 'cordons' | 'saveRule' | 'removeRule' | 'saveCordon' | 'removeCordon'>;

export interface RulingRooms {
  readonly store: RulingStore;
  readonly clock: Clock;
  readonly view: ClusterView;
  readonly audit: Audit;
  readonly labelsOf: (vmId: VmId) => Labels | undefined;
}

export class Rulings {
  readonly #rooms: RulingRooms;
  readonly #rules = new Map<string, StoredRule>();
  readonly #cordons = new Map<HostId, Cordon>();

  private constructor(rooms: RulingRooms) {
    this.#rooms = rooms;
  }

  static async load(rooms: RulingRooms): Promise<Rulings> {
    const rulings = new Rulings(rooms);
    for (const stored of await rooms.store.rules()) rulings.#rules.set(stored.rule.name, stored);
    for (const cordon of await rooms.store.cordons()) rulings.#cordons.set(cordon.hostId, cordon);
    return rulings;
  }

  /** By name. */
  get stored(): readonly StoredRule[] {
    return [...this.#rules.values()].toSorted((a, b) => (a.rule.name < b.rule.name ? -1 : 1));
  }

  get rules(): readonly Rule[] {
    return this.stored.map(({ rule }) => rule);
  }

  cordonOf(hostId: HostId): Cordon | null {
    return this.#cordons.get(hostId) ?? null;
  }

  /** What cannot be kept of this rule beside the others now. */
  conflicts(rule: Rule): readonly string[] {
    const { view, labelsOf } = this.#rooms;
    return conflictsOf(rule, this.rules, { vms: view.vms(), hostIds: view.hosts().map(({ hostId }) => hostId), labelsOf });
  }

  /** Throws `rule-exists`, `host-unknown`, `input-invalid`. */
  async add(rule: Rule, by: string): Promise<StoredRule> {
    const { store, clock, view, audit } = this.#rooms;
    if (this.#rules.has(rule.name))
      throw new PlimsollError(
        'rule-exists',
        `there is a rule ${rule.name} already: 'plimsoll rule remove ${rule.name}' first, or take another name`,
      );
    if (this.#rules.size >= ruleLimits.rulesMax)
      throw new PlimsollError('input-invalid', `there are ${this.#rules.size} rules, the most there can be: remove one first`);
    for (const selector of rule.vms) {
      const fault = selectorFault(selector);
      if (fault !== null) throw new PlimsollError('input-invalid', fault);
    }
    const unknown = rule.kind === 'pin' ? rule.hosts.filter((hostId) => view.host(hostId) === undefined) : [];
    if (unknown.length > 0) throw new PlimsollError('host-unknown', `there is no host ${unknown.join(', ')}: see 'plimsoll host list'`);
    const stored = { rule, by, atMs: clock.nowMs() };
    await audit.write(by, 'rule.add', rule.name, JSON.stringify(rule));
    await store.saveRule(stored);
    this.#rules.set(rule.name, stored);
    return stored;
  }

  /** Throws `rule-unknown`. */
  async remove(name: string, by: string): Promise<StoredRule> {
    const stored = this.#rules.get(name);
    if (!stored) throw new PlimsollError('rule-unknown', `there is no rule ${name}: see 'plimsoll rule list'`);
    await this.#rooms.audit.write(by, 'rule.remove', name);
    await this.#rooms.store.removeRule(name);
    this.#rules.delete(name);
    return stored;
  }

  /** A host that is cordoned already keeps its first reason, unless a new one is given. */
  async cordon(hostId: HostId, reason: string, by: string): Promise<Cordon> {
    const { store, clock, audit } = this.#rooms;
    const known = this.#cordons.get(hostId);
    if (known && (reason === '' || reason === known.reason)) return known;
    const cordon = { hostId, reason, by, atMs: clock.nowMs() };
    await audit.write(by, 'host.cordon', hostId, reason);
    await store.saveCordon(cordon);
    this.#cordons.set(hostId, cordon);
    return cordon;
  }

  async uncordon(hostId: HostId, by: string): Promise<void> {
    if (!this.#cordons.has(hostId)) return;
    await this.#rooms.audit.write(by, 'host.uncordon', hostId);
    await this.#rooms.store.removeCordon(hostId);
    this.#cordons.delete(hostId);
  }
}
