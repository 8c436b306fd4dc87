/** What operators want for single VMs: read once, and durable before it counts. */
import type { VmId } from '#core/model/vm.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Clock } from '#core/ports.ts';
import type { Store, VmSettings as Kept } from '#core/store.ts';
import { violations } from '#wire/validate.ts';
import { Type } from 'typebox';

const IpAddress = Type.Union([Type.String({ format: 'ipv4' }), Type.String({ format: 'ipv6' })]);

/** What is left out stays as it is. */
export interface VmChange {
  /** Where its clients reach it; null: not known, the hosts' neighbour tables are asked. */
  readonly address?: string | null;
  readonly restartable?: boolean;
}

export class VmSettings {
  readonly #store: Pick<Store, 'saveVmSettings'>;
  readonly #clock: Clock;
  readonly #kept = new Map<VmId, Kept>();
  /** One change at a time: each begins with what the one before it has left. */
  #tail: Promise<unknown> = Promise.resolve();

  private constructor(store: Pick<Store, 'saveVmSettings'>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  static async load(store: Pick<Store, 'saveVmSettings' | 'vmSettings'>, clock: Clock): Promise<VmSettings> {
    const settings = new VmSettings(store, clock);
    for (const one of await store.vmSettings()) settings.#kept.set(one.vmId, one);
    return settings;
  }

  /** Those of a VM that never had any are the defaults. */
  of(vmId: VmId): Kept {
    return this.#kept.get(vmId) ?? { vmId, restartable: false, address: null, definitionText: null, updatedAtMs: 0 };
  }

  /** Of every VM that ever had some, by its id. */
  list(): readonly Kept[] {
    return [...this.#kept.values()].toSorted((one, other) => (one.vmId < other.vmId ? -1 : 1));
  }

  isKept(vmId: VmId): boolean {
    return this.#kept.has(vmId);
  }

  /** Resolves with what holds from now on. Throws `input-invalid` for an address that is none. */
  async set(vmId: VmId, change: VmChange): Promise<Kept> {
    const { address } = change;
    if (typeof address === 'string' && violations(IpAddress, address).length > 0)
      throw new PlimsollError(
        'input-invalid',
        `${address.slice(0, 64)} is no IP address: give one such as 192.0.2.7, without a prefix length`,
      );
    const changed = this.#tail.then(() => this.#set(vmId, change));
    this.#tail = changed.catch(() => null);
    return changed;
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

  async #set(vmId: VmId, { address, restartable }: VmChange): Promise<Kept> {
    const before = this.of(vmId);
    const settings: Kept = {
      ...before,
      address: address === undefined ? before.address : address,
      restartable: restartable ?? before.restartable,
      updatedAtMs: this.#clock.nowMs(),
    };
    await this.#save(settings);
    return settings;
  }
}
