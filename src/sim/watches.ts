/** Everything that is watched during a run beside the world itself: what each watcher has found so far. */
import type { Mode, Policy } from '#core/model/policy.ts';
import type { Plan } from '#core/model/plan.ts';
import type { IdentityKeeper, Dialer } from '#core/ports.ts';
import { type Breach } from './breach.ts';
import { CopyWatch, type HomeChange } from './copy-watch.ts';
import { JobWatch } from './job-watch.ts';
import { LogWatch } from './log-watch.ts';
import { MaintenanceWatch } from './maintenance-watch.ts';
import { ModeWatch } from './mode-watch.ts';
import type { Guest } from './guest.ts';
import { PlacementWatch } from './placement-watch.ts';
import { planBreaches } from './plan-watch.ts';
import type { SimProcess } from './process.ts';
import { RecordWatch } from './record-watch.ts';
import type { SimStore } from './store.ts';
import { Switchboard } from './switchboard.ts';
import { WireWatch } from './wire-watch.ts';
import type { World } from './world.ts';

export class Watches {
  readonly wire: WireWatch;
  readonly records: RecordWatch;
  readonly mode: ModeWatch;
  readonly placement: PlacementWatch;
  readonly maintenance: MaintenanceWatch;
  readonly log: LogWatch;
  readonly #watchers: readonly { readonly found: readonly Breach[] }[];
  readonly #world: World;
  readonly #store: SimStore;
  readonly #policy: Policy;
  readonly #copies: CopyWatch;
  readonly #ofPlans: Breach[] = [];

  constructor(world: World, store: SimStore, policy: Policy, mode: Mode) {
    this.#world = world;
    this.#store = store;
    this.#policy = policy;
    this.#copies = new CopyWatch(world);
    this.mode = new ModeWatch(mode, () => world.time.elapsedMs);
    this.records = new RecordWatch((migration) => this.mode.asked(migration));
    this.wire = new WireWatch(() => world.time.elapsedMs);
    this.placement = new PlacementWatch({ world, store, policy, sampledAtMs: (hostId) => this.wire.sampledAtMs(hostId) });
    this.log = new LogWatch(world);
    this.maintenance = new MaintenanceWatch(world, (hostId) => this.placement.cordonMayGo(hostId));
    this.#watchers = [this.records, this.mode, this.wire, this.placement, this.maintenance, this.log, new JobWatch(world, store)];
  }

  get homeChanges(): readonly HomeChange[] {
    return this.#copies.homeChanges;
  }

  /** Whether something was found without anything having changed in the world. Cheap: it is asked after every event. */
  get foundAny(): boolean {
    return this.#watchers.some(({ found }) => found.length > 0) || this.#ofPlans.length > 0;
  }

  /** To be called once after each change, with the guests of which something may have changed. */
  look(guests: readonly Guest[] = this.#world.guests): readonly Breach[] {
    this.placement.look(guests);
    return [...this.#ofPlans, ...this.#watchers.flatMap(({ found }) => found), ...this.#copies.look(guests)];
  }

  judge(plan: Plan): void {
    const facts = { world: this.#world, store: this.#store, policy: this.#policy };
    this.#ofPlans.push(...planBreaches({ ...facts, sampledAtMs: (hostId) => this.wire.sampledAtMs(hostId) }, plan));
    this.placement.planned(plan);
  }
}

/** Where agents dial in, with somebody who listens. */
export class TappedSwitchboard extends Switchboard {
  readonly #wire: WireWatch;

  constructor(wire: WireWatch, ...parts: ConstructorParameters<typeof Switchboard>) {
    super(...parts);
    this.#wire = wire;
  }

  override dialer(identity: Pick<IdentityKeeper, 'current'>, process: SimProcess): Dialer {
    const dialer = super.dialer(identity, process);
    return { dial: async (signal) => this.#wire.tap(identity.current().hostId, await dialer.dial(signal)) };
  }
}
