/** Rules, cordons and drains as operators ask for them. */
import type { HostId } from '#core/model/host.ts';
import type { Rule } from '#core/model/rule.ts';
import type { StoredRule } from '#core/store.ts';
import type { CordonResource, DrainPreviewResource, DrainResource, StoredRuleResource } from '#wire/placement-api.ts';
import type { MaintenancePreviewResource, MaintenanceResource, MaintenanceWish } from '#wire/maintenance-api.ts';
import type { Rooms } from './rooms.ts';

/** What the REST API may ask about where VMs run. */
export interface PlacementService {
  /** By name, each with what of it cannot be kept now. */
  rules(): Promise<readonly StoredRuleResource[]>;
  /** `rule-exists`, `host-unknown`, `input-invalid` */
  addRule(rule: Rule, askedBy: string): Promise<StoredRuleResource>;
  /** `rule-unknown` */
  removeRule(name: string, askedBy: string): Promise<StoredRuleResource>;
  /** `host-unknown` */
  cordon(hostId: HostId, reason: string, askedBy: string): Promise<CordonResource>;
  /** `host-unknown` */
  uncordon(hostId: HostId, askedBy: string): Promise<void>;
  drains(): Promise<readonly DrainResource[]>;
  /** `drain-unknown` */
  drain(hostId: HostId): Promise<DrainResource>;
  /** What a drain would do now. `host-unknown` */
  previewDrain(hostId: HostId): Promise<DrainPreviewResource>;
  /** `host-unknown` */
  startDrain(hostId: HostId, reason: string, askedBy: string): Promise<DrainResource>;
  /** `drain-unknown` */
  cancelDrain(hostId: HostId, askedBy: string): Promise<DrainResource>;
  /** `drain-unknown` */
  restore(hostId: HostId, askedBy: string): Promise<DrainResource>;
  /** The newest. `maintenance-unknown` */
  maintenance(): Promise<MaintenanceResource>;
  /** What would be moved where now. `host-unknown`, `host-revoked`, `input-invalid` */
  previewMaintenance(wish: MaintenanceWish): Promise<MaintenancePreviewResource>;
  /** The same, and `maintenance-active`, `host-draining` */
  startMaintenance(wish: MaintenanceWish, askedBy: string): Promise<MaintenanceResource>;
  /** `not-in-maintenance`, `host-draining`, `host-down` */
  readyHost(hostId: HostId, askedBy: string): Promise<MaintenanceResource>;
  /** `maintenance-unknown` */
  cancelMaintenance(askedBy: string): Promise<MaintenanceResource>;
}

export class Placement implements PlacementService {
  readonly #rooms: Pick<Rooms, 'rulings' | 'drains' | 'maintenances' | 'wishes'>;

  constructor(rooms: Pick<Rooms, 'rulings' | 'drains' | 'maintenances' | 'wishes'>) {
    this.#rooms = rooms;
  }

  async rules(): Promise<readonly StoredRuleResource[]> {
    return this.#rooms.rulings.stored.map((stored) => this.#shown(stored));
  }

  async addRule(rule: Rule, askedBy: string): Promise<StoredRuleResource> {
    return this.#shown(await this.#rooms.rulings.add(rule, askedBy));
  }

  async removeRule(name: string, askedBy: string): Promise<StoredRuleResource> {
    return { ...(await this.#rooms.rulings.remove(name, askedBy)), warnings: [] };
  }

  async cordon(hostId: HostId, reason: string, askedBy: string): Promise<CordonResource> {
    this.#rooms.wishes.findHost(hostId);
    return this.#rooms.rulings.cordon(hostId, reason, askedBy);
  }

  async uncordon(hostId: HostId, askedBy: string): Promise<void> {
    this.#rooms.wishes.findHost(hostId);
    // Or its drain would go on emptying what others fill.
    if (this.#rooms.drains.phaseOf(hostId) === 'draining') await this.#rooms.drains.cancel(hostId, askedBy);
    await this.#rooms.rulings.uncordon(hostId, askedBy);
  }

  drains(): Promise<readonly DrainResource[]> {
    return this.#rooms.drains.list();
  }

  drain(hostId: HostId): Promise<DrainResource> {
    return this.#rooms.drains.show(hostId);
  }

  async previewDrain(hostId: HostId): Promise<DrainPreviewResource> {
    this.#rooms.wishes.findHost(hostId);
    return this.#rooms.drains.preview(hostId);
  }

  async startDrain(hostId: HostId, reason: string, askedBy: string): Promise<DrainResource> {
    this.#rooms.wishes.findHost(hostId);
    return this.#rooms.drains.start(hostId, reason, askedBy);
  }

  cancelDrain(hostId: HostId, askedBy: string): Promise<DrainResource> {
    return this.#rooms.drains.cancel(hostId, askedBy);
  }

  restore(hostId: HostId, askedBy: string): Promise<DrainResource> {
    return this.#rooms.drains.restore(hostId, askedBy);
  }

  maintenance(): Promise<MaintenanceResource> {
    return this.#rooms.maintenances.show();
  }

  previewMaintenance(wish: MaintenanceWish): Promise<MaintenancePreviewResource> {
    return this.#rooms.maintenances.preview(wish);
  }

  startMaintenance(wish: MaintenanceWish, askedBy: string): Promise<MaintenanceResource> {
    return this.#rooms.maintenances.start(wish, askedBy);
  }

  async readyHost(hostId: HostId, askedBy: string): Promise<MaintenanceResource> {
    this.#rooms.wishes.findHost(hostId);
    return this.#rooms.maintenances.ready(hostId, askedBy);
  }

  cancelMaintenance(askedBy: string): Promise<MaintenanceResource> {
    return this.#rooms.maintenances.cancel(askedBy);
  }

  #shown(stored: StoredRule): StoredRuleResource {
    return { ...stored, warnings: [...this.#rooms.rulings.conflicts(stored.rule)] };
  }
}
