/** A whole cluster in virtual time: the real controller and agents on a simulated world, watched after every event. */
import { type ControllerSettings, defaultCertificateSettings } from '#controller/parts.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { Signer, Verifier } from '#core/ports.ts';
import { channelPolicyOf, migrationPolicyOf } from '#wire/controller-config.ts';
import { Actors } from './actors.ts';
import type { Breach } from './breach.ts';
import { describeHost, guestOf, hostSpecOf } from './cluster-parts.ts';
import { DecisionLog } from './decision-log.ts';
import { Copy } from './guest.ts';
import { Happenings } from './happenings.ts';
import { breachesNow, chainBreaches, type Scope, scopeOf } from './invariants.ts';
import { breachesAtRest, type Rested } from './invariants-end.ts';
import { Narrator } from './narrator.ts';
import { controllerNode } from './network.ts';
import { Streams } from './random.ts';
import type { ClusterSpec, Scenario, ScenarioEvent } from './scenario.ts';
import { simulatedKey } from './signer.ts';
import { SimStore } from './store.ts';
import type { StoreWatcher } from './store-watcher.ts';
import { type Drain, VirtualTime } from './virtual-time.ts';
import { TappedSwitchboard, Watches } from './watches.ts';
import { World } from './world.ts';

/** The two things a simulation takes from the machine it runs on. */
export interface Surroundings {
  readonly drain: Drain;
  /** SHA-256 of the text, hex. */
  readonly sha256: (text: string) => string;
}

const defaults = { sampleIntervalSeconds: 3, planIntervalSeconds: 10 };
const historyMs = 24 * 3_600_000;
const tailLines = 12;
/** After an event what it has changed is checked, and this often everything, whoever changed it. */
const sweepMs = 10_000;

/** An invariant was broken: with the seed and the lines before it, so that it can be run again. */
export class InvariantBreach extends Error {
  readonly breaches: readonly Breach[];

  constructor(breaches: readonly Breach[], seed: number, log: DecisionLog) {
    const what = breaches.map(({ code, message }) => `${code}: ${message}`).join('; ');
    super(`seed ${seed}: ${what}\n${log.lines.slice(-tailLines).join('\n')}`);
    this.name = 'InvariantBreach';
    this.breaches = breaches;
  }
}

export class SimCluster {
  readonly time = new VirtualTime();
  readonly log = new DecisionLog(this.time, (...said) => this.#watches.log.said(...said));
  readonly world: World;
  readonly store: SimStore;
  readonly actors: Actors;
  readonly policy: Policy;
  readonly #spec: ClusterSpec;
  readonly #surroundings: Surroundings;
  readonly #happenings: Happenings;
  readonly #key: Signer & Verifier = simulatedKey('controller');
  readonly #crashes: Breach[] = [];
  readonly #watches: Watches;
  #awaited: readonly ScenarioEvent[] = [];
  #booted = false;
  #checkedRevision = -1;
  #sweptAtMs = 0;
  #recordsChanged = false;

  constructor(scenario: Scenario, surroundings: Surroundings) {
    const spec = scenario.cluster;
    this.#spec = spec;
    this.#surroundings = surroundings;
    this.policy = {
      ...defaultPolicy,
      ...spec.policy,
      migration: migrationPolicyOf(spec.migration ?? {}),
      channel: channelPolicyOf(spec.channel ?? {}),
    };
    const [hosts, guests] = [Object.entries(spec.hosts).map(hostSpecOf), Object.entries(spec.vms).map(guestOf)];
    this.world = new World(this.time, hosts, guests, spec.paths ?? [], new Streams(spec.seed));
    for (const guest of this.world.guests) {
      const home = spec.vms[guest.name]?.host;
      if (home !== undefined) this.world.host(home).add(new Copy(guest, 'running'));
    }
    const narrator = new Narrator(this.log);
    const watcher: StoreWatcher = {
      onPlan: (plan) => {
        narrator.onPlan(plan);
        this.#watches.judge(plan);
      },
      onReceipt: (receipt) => {
        this.#recordsChanged = true;
        narrator.onReceipt(receipt);
      },
      onLedger: (entry) => {
        this.#recordsChanged = true;
        narrator.onLedger(entry);
        this.#watches.records.entered(entry);
      },
      onMode: (mode) => this.#watches.mode.changed(mode),
      onDrain: (drain) => this.#watches.placement.drainSaved(drain),
      onMaintenance: (maintenance) => this.#watches.maintenance.saved(maintenance),
      onLedgerLost: (entry) => this.#watches.records.entryLost(entry),
      onMigrationLost: (migration) => this.#watches.records.lost(migration),
      onMigration: (migration) => {
        // The records of one that is still open say nothing yet.
        this.#recordsChanged ||= migration.endedAtMs !== null;
        this.world.touchVm(migration.request.vmId);
        narrator.onMigration(migration);
        this.#watches.records.saved(migration);
        this.#watches.placement.saved(migration);
        this.#reached(migration.request.vmName, migration.phase);
      },
    };
    this.store = new SimStore(this.time, watcher, this.world.disk(controllerNode));
    this.#watches = new Watches(this.world, this.store, this.policy, spec.mode);
    for (const { vmId, name } of this.world.guests) {
      if (spec.vms[name]?.restartable !== true) continue;
      void this.store.saveVmSettings({
        vmId,
        restartable: true,
        address: null,
        definitionText: null,
        slaClass: null,
        tenant: null,
        labels: {},
        updatedAtMs: this.time.nowMs,
      });
    }
    const set = { by: 'the scenario', atMs: this.time.nowMs };
    const { placement } = this.#watches;
    for (const rule of spec.rules ?? []) void this.store.saveRule({ rule, ...set }).then(() => placement.ruleStands(rule));
    for (const hostId of spec.cordoned ?? [])
      void this.store.saveCordon({ hostId, reason: 'from the beginning', ...set }).then(() => placement.cordonStands(hostId));
    this.world.onAct((sentence) => this.log.note('hypervisor', sentence));
    this.world.onStage((job, stage) => {
      narrator.onStage(job, stage);
      this.#reached(job.guest.name, stage);
    });
    this.actors = this.#makeActors();
    this.#happenings = new Happenings(this.world, this.actors, this.log, placement);
    for (const event of scenario.events) this.#schedule(event);
  }

  /** Runs the scenario to its end. Throws InvariantBreach. */
  async run(): Promise<void> {
    await this.runFor(this.#spec.runForSeconds);
    this.#mustHold([...this.#watches.look(), ...breachesNow(this)]);
    this.#describeEnd();
    this.#mustHold([
      ...chainBreaches(this.store, this.#key, this.#surroundings.sha256),
      ...this.#watches.records.lostFrom(this.store),
      ...(this.#spec.quietSeconds === undefined ? [] : breachesAtRest(this.#rested())),
    ]);
  }

  /** Lets this many virtual seconds pass; may be called again and again. */
  async runFor(seconds: number): Promise<void> {
    if (!this.#booted) this.#boot();
    await this.time.runUntil(this.time.elapsedMs + seconds * 1000, this.#surroundings.drain, () => this.check());
  }

  /** Throws InvariantBreach if something that must hold does not. */
  check(): void {
    const isNew = this.#checkedRevision !== this.world.revision || this.#crashes.length > 0 || this.#watches.foundAny;
    if (!isNew) return;
    this.#checkedRevision = this.world.revision;
    const scope = this.#scope();
    this.#mustHold([...this.#crashes, ...this.#watches.look(scope.guests), ...breachesNow(this, scope)]);
  }

  #scope(): Scope {
    const isSweep = this.time.elapsedMs - this.#sweptAtMs >= sweepMs;
    if (isSweep) this.#sweptAtMs = this.time.elapsedMs;
    const changed = this.world.takeChanges();
    const scope = scopeOf(this.world, { ...changed, all: changed.all || isSweep }, this.#recordsChanged);
    this.#recordsChanged = false;
    return scope;
  }

  #mustHold(breaches: readonly Breach[]): void {
    if (breaches.length > 0) throw new InvariantBreach(breaches, this.#spec.seed, this.log);
  }

  #rested(): Rested {
    const { world, store, policy } = this;
    const { homeChanges, wire } = this.#watches;
    const restartable = new Set(Object.entries(this.#spec.vms).flatMap(([name, vm]) => (vm.restartable === true ? [name] : [])));
    const sampledAtMs = (hostId: string) => wire.sampledAtMs(hostId);
    return { world, store, policy, homeChanges, watchesLeft: wire.watchesLeft, sampledAtMs, restartable };
  }

  apply(event: ScenarioEvent): void {
    this.#happenings.apply(event);
  }

  #boot(): void {
    this.#booted = true;
    for (const host of this.world.hosts) this.log.note('start', describeHost(host));
    this.actors.boot().catch((error: unknown) => this.#crashed('controller', error));
  }

  #makeActors(): Actors {
    const spec = this.#spec;
    const streams = new Streams(spec.seed);
    const controllerSettings: ControllerSettings = {
      version: 'simulated',
      mode: spec.mode,
      policy: this.policy,
      planIntervalMs: (spec.planIntervalSeconds ?? defaults.planIntervalSeconds) * 1000,
      historyMs,
      certificates: {
        ...defaultCertificateSettings,
        ...(spec.certificateLifeSeconds === undefined ? {} : { leafLifetimeMs: spec.certificateLifeSeconds * 1000 }),
      },
    };
    return new Actors({
      world: this.world,
      store: this.store,
      log: this.log,
      streams,
      switchboard: new TappedSwitchboard(
        this.#watches.wire,
        this.time,
        this.world.network,
        streams.stream('network'),
        () => this.world.clock(controllerNode).nowMs,
      ),
      key: this.#key,
      sha256: this.#surroundings.sha256,
      controllerSettings,
      sampleIntervalMs: (spec.sampleIntervalSeconds ?? defaults.sampleIntervalSeconds) * 1000,
      onCrash: (process, error) => this.#crashed(process, error),
    });
  }

  #crashed(process: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#crashes.push({ code: 'process-crashed', message: `${process} ended by itself: ${reason}` });
  }

  #schedule(event: ScenarioEvent): void {
    if (typeof event.at === 'number') this.time.after(event.at * 1000, () => this.apply(event));
    else this.#awaited = [...this.#awaited, event];
  }

  /** Events that wait for this moment happen now (or a little later); each one once, and before the quiet time. */
  #reached(vm: string, moment: string): void {
    const due = this.#awaited.filter(({ at }) => typeof at !== 'number' && at.vm === vm && at.reaches === moment);
    const leftMs = (this.#spec.runForSeconds - (this.#spec.quietSeconds ?? 0)) * 1000 - this.time.elapsedMs;
    if (due.length === 0 || leftMs <= 0) return;
    this.#awaited = this.#awaited.filter((event) => !due.includes(event));
    for (const event of due) {
      const plusSeconds = typeof event.at === 'number' ? 0 : (event.at.plusSeconds ?? 0);
      this.time.after(Math.min(plusSeconds * 1000, leftMs), () => this.apply(event));
    }
  }

  #describeEnd(): void {
    for (const host of this.world.hosts) this.log.note('end', describeHost(host));
    const migrations = this.store.allMigrations();
    const open = migrations.filter(({ endedAtMs }) => endedAtMs === null).length;
    const moved = this.store.allLedger().filter(({ outcome }) => outcome === 'moved').length;
    const records = `${this.store.allLedger().length} in the ledger, ${this.store.allReceipts().length} receipts`;
    this.log.note('end', `${migrations.length} migrations, ${moved} moved, ${open} open; ${records}; ${this.world.plainBytes} plain bytes`);
    for (const event of this.#awaited) this.log.note('end', `never came: ${event.do} at ${JSON.stringify(event.at)}`);
  }
}
