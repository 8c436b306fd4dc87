/** What operators want for single VMs: read once, and durable before it counts. */
import { labelFault, labelLimits } from '#core/model/label.ts';
import { type Policy, standardClass } from '#core/model/policy.ts';
import type { VmFacts } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { PlimsollError } from '#core/model/result.ts';
import { classOf } from '#core/planner/sla.ts';
import type { Clock, Log } from '#core/ports.ts';
import type { Store, VmSettings as Kept } from '#core/store.ts';
import { ClassNameSchema, TenantSchema } from '#wire/bounds-schemas.ts';
import { violations } from '#wire/validate.ts';
import { Type } from 'typebox';

const IpAddress = Type.Union([Type.String({ format: 'ipv4' }), Type.String({ format: 'ipv6' })]);

/** What is left out stays as it is. */
export interface VmChange {
  /** Where its clients reach it; null: not known, the hosts' neighbour tables are asked. */
  readonly address?: string | null;
  readonly restartable?: boolean;
  /** A name of `policy.classes`; null takes it back. */
  readonly slaClass?: string | null;
  readonly tenant?: string | null;
  /** By key; null takes one back, and those that are left out stay. */
  readonly labels?: Readonly<Record<string, string | null>>;
}

export interface ShownVmSettings extends Kept {
  /** The class that holds: `standard` where none was given, or where the policy does not have it any more. */
  readonly effectiveClass: string;
}

/** What operators say of a VM that matters to the planner. */
export type SaidOfVm = Pick<VmFacts, 'vmId' | 'slaClass' | 'tenant' | 'labels'>;

type Classes = Pick<Policy, 'classes'>;

export class VmSettings {
  readonly #store: Pick<Store, 'saveVmSettings'>;
  readonly #clock: Clock;
  readonly #policy: Classes;
  readonly #kept = new Map<VmId, Kept>();
  /** One change at a time: each begins with what the one before it has left. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(store: Pick<Store, 'saveVmSettings'>, clock: Clock, policy: Classes) {
    this.#store = store;
    this.#clock = clock;
    this.#policy = policy;
  }

  static async load(store: Pick<Store, 'saveVmSettings' | 'vmSettings'>, clock: Clock, policy: Classes): Promise<VmSettings> {
    const settings = new VmSettings(store, clock, policy);
    for (const one of await store.vmSettings()) settings.#kept.set(one.vmId, one);
    return settings;
  }

  /** Those of a VM that never had any are the defaults. */
  of(vmId: VmId): Kept {
    return (
      this.#kept.get(vmId) ?? {
        vmId,
        restartable: false,
        address: null,
        definitionText: null,
        slaClass: null,
        tenant: null,
        labels: {},
        updatedAtMs: 0,
      }
    );
  }

  shown(vmId: VmId): ShownVmSettings {
    const kept = this.of(vmId);
    return { ...kept, effectiveClass: kept.slaClass !== null && this.#isClass(kept.slaClass) ? kept.slaClass : standardClass };
  }

  /** Classes that VMs have been given and the policy does not have, with how many VMs each. */
  lostClasses(): ReadonlyMap<string, number> {
    const lost = new Map<string, number>();
    for (const { slaClass } of this.#kept.values())
      if (slaClass !== null && !this.#isClass(slaClass)) lost.set(slaClass, (lost.get(slaClass) ?? 0) + 1);
    return lost;
  }

  /** Says in the log which classes are gone: their VMs count as `standard`. */
  warnOfLostClasses(log: Log): void {
    for (const [slaClass, vms] of this.lostClasses())
      log.warn('a class of VMs is not in policy.classes, they count as standard', { slaClass, vms });
  }

  /** What the planner has to know, of VMs for which anything of it was said. */
  facts(): readonly SaidOfVm[] {
    return [...this.#kept.values()]
      .filter(({ slaClass, tenant, labels }) => slaClass !== null || tenant !== null || Object.keys(labels).length > 0)
      .map(({ vmId, slaClass, tenant, labels }) => ({ vmId, slaClass, tenant, ...(Object.keys(labels).length > 0 ? { labels } : {}) }));
  }

  /** Of every VM that ever had some, by its id. */
  list(): readonly Kept[] {
    return [...this.#kept.values()].toSorted((one, other) => (one.vmId < other.vmId ? -1 : 1));
  }

  isKept(vmId: VmId): boolean {
    return this.#kept.has(vmId);
  }

  /** Resolves with what holds from now on. Throws `input-invalid` for an address that is none, or a class that the policy does not have. */
  async set(vmId: VmId, change: VmChange): Promise<ShownVmSettings> {
    const { address } = change;
    if (typeof address === 'string' && violations(IpAddress, address).length > 0)
      throw new PlimsollError(
        'input-invalid',
        `${address.slice(0, 64)} is no IP address: give one such as 192.0.2.7, without a prefix length`,
      );
    this.#mustBeKnown(change);
    const changed = this.#tail.then(() => this.#set(vmId, change));
    this.#tail = changed.catch(() => null);
    await changed;
    return this.shown(vmId);
  }

  /** The VM's definition as it runs now. */
  keepDefinition(vmId: VmId, definitionText: string): Promise<void> {
    const kept = this.#tail.then(() => this.#keepDefinition(vmId, definitionText));
    this.#tail = kept.catch(() => null);
    return kept;
  }

  async #keepDefinition(vmId: VmId, definitionText: string): Promise<void> {
    const before = this.of(vmId);
    if (before.definitionText !== definitionText) await this.#save({ ...before, definitionText });
  }

  async #save(settings: Kept): Promise<void> {
    await this.#store.saveVmSettings(settings);
    this.#kept.set(settings.vmId, settings);
  }

  #isClass(name: string): boolean {
    return classOf(this.#policy, name) !== null;
  }

  #mustBeKnown({ slaClass, tenant, labels }: VmChange): void {
    for (const [key, value] of Object.entries(labels ?? {})) {
      const fault = labelFault(key, value);
      if (fault !== null)
        throw new PlimsollError('input-invalid', `${key.slice(0, 64)}=${(value ?? '').slice(0, 64)} is no label: ${fault}`);
    }
    if (typeof slaClass === 'string' && (violations(ClassNameSchema, slaClass).length > 0 || !this.#isClass(slaClass))) {
      const known = Object.keys(this.#policy.classes).toSorted().join(', ');
      throw new PlimsollError(
        'input-invalid',
        `there is no class ${slaClass.slice(0, 64)}: policy.classes in controller.yaml has ${known}; add it there, or give one of these`,
      );
    }
    if (typeof tenant === 'string' && violations(TenantSchema, tenant).length > 0)
      throw new PlimsollError(
        'input-invalid',
        `${tenant.slice(0, 64)} cannot be a tenant: give up to 64 small letters, digits, dots, dashes and underscores, such as acme`,
      );
  }

  async #set(vmId: VmId, { address, restartable, slaClass, tenant, labels }: VmChange): Promise<Kept> {
    const before = this.of(vmId);
    const labelled = Object.entries({ ...before.labels, ...labels }).flatMap(([key, value]) =>
      value === null ? [] : [[key, value] as const],
    );
    if (labelled.length > labelLimits.perVmMax)
      throw new PlimsollError(
        'input-invalid',
        `it would have ${labelled.length} labels, ${labelLimits.perVmMax} are the most: take others back first, with --label key-`,
      );
    const settings: Kept = {
      ...before,
      address: address === undefined ? before.address : address,
      restartable: restartable ?? before.restartable,
      slaClass: slaClass === undefined ? before.slaClass : slaClass,
      tenant: tenant === undefined ? before.tenant : tenant,
      labels: Object.fromEntries(labelled.toSorted(([one], [other]) => (one < other ? -1 : 1))),
      updatedAtMs: this.#clock.nowMs(),
    };
    await this.#save(settings);
    return settings;
  }
}
