/** A whole cluster in virtual time: the real controller and agents on a simulated world, watched after every event. */
import { type ControllerSettings, defaultCertificateSettings } from '#controller/parts.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { Signer, Verifier } from '#core/ports.ts';
import { channelPolicyOf, migrationPolicyOf } from '#wire/controller-config.ts';
import { Actors } from './actors.ts';
import { DecisionLog } from './decision-log.ts';
import { defaultOffer } from './definitions.ts';
import { Copy, type Guest } from './guest.ts';
import { Happenings } from './happenings.ts';
import type { HostSpec, SimHost } from './host.ts';
import { type Breach, breachesNow, chainBreaches } from './invariants.ts';
import { Narrator } from './narrator.ts';
import { Streams } from './random.ts';
import type { ClusterSpec, Scenario, ScenarioEvent } from './scenario.ts';
import { simulatedKey } from './signer.ts';
import { SimStore } from './store.ts';
import { Switchboard } from './switchboard.ts';
import { type Drain, VirtualTime } from './virtual-time.ts';
import { World } from './world.ts';

/** The two things a simulation takes from the machine it runs on. */
export interface Surroundings {
  readonly drain: Drain;
  /** SHA-256 of the text, hex. */
  readonly sha256: (text: string) => string;
}

const gibibyte = 2 ** 30;
const mebibyte = 2 ** 20;
const defaults = { linkMiBPerSecond: 50, dirtyMiBPerSecond: 4, workingSetMiB: 128, sampleIntervalSeconds: 3, planIntervalSeconds: 10 };
const historyMs = 24 * 3_600_000;
const tailLines = 12;

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
  readonly log = new DecisionLog(this.time);
  readonly world: World;
  readonly store: SimStore;
  readonly actors: Actors;
  readonly policy: Policy;
  readonly #spec: ClusterSpec;
  readonly #surroundings: Surroundings;
  readonly #happenings: Happenings;
  readonly #key: Signer & Verifier = simulatedKey('controller');
  readonly #crashes: Breach[] = [];
  #awaited: readonly ScenarioEvent[] = [];
  #booted = false;
  #checkedRevision = -1;

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
    this.world = new World(this.time, Object.entries(spec.hosts).map(hostSpecOf), Object.entries(spec.vms).map(guestOf), spec.paths ?? []);
    for (const guest of this.world.guests) {
      const home = spec.vms[guest.name]?.host;
      if (home !== undefined) this.world.host(home).add(new Copy(guest, 'running'));
    }
    const narrator = new Narrator(this.log);
    this.store = new SimStore(this.time, {
      onPlan: narrator.onPlan,
      onReceipt: narrator.onReceipt,
      onLedger: narrator.onLedger,
      onMigration: (migration) => {
        this.world.touch();
        narrator.onMigration(migration);
        this.#reached(migration.request.vmName, migration.phase);
      },
    });
    for (const { vmId, name } of this.world.guests) {
      if (spec.vms[name]?.restartable !== true) continue;
      void this.store.saveVmSettings({ vmId, restartable: true, address: null, definitionText: null, updatedAtMs: this.time.nowMs });
    }
    this.world.onAct((sentence) => this.log.note('hypervisor', sentence));
    this.world.onStage((job, stage) => {
      narrator.onStage(job, stage);
      this.#reached(job.guest.name, stage);
    });
    this.actors = this.#makeActors();
    this.#happenings = new Happenings(this.world, this.actors, this.log);
    for (const event of scenario.events) this.#schedule(event);
  }

  /** Runs the scenario to its end. Throws InvariantBreach. */
  async run(): Promise<void> {
    await this.runFor(this.#spec.runForSeconds);
    const breaches = chainBreaches(this.store, this.#key, this.#surroundings.sha256);
    if (breaches.length > 0) throw new InvariantBreach(breaches, this.#spec.seed, this.log);
    this.#describeEnd();
  }

  /** Lets this many virtual seconds pass; may be called again and again. */
  async runFor(seconds: number): Promise<void> {
    if (!this.#booted) this.#boot();
    await this.time.runUntil(this.time.elapsedMs + seconds * 1000, this.#surroundings.drain, () => this.check());
  }

  /** Throws InvariantBreach if something that must hold does not. */
  check(): void {
    if (this.#checkedRevision === this.world.revision && this.#crashes.length === 0) return;
    this.#checkedRevision = this.world.revision;
    const breaches = [...this.#crashes, ...breachesNow(this)];
    if (breaches.length > 0) throw new InvariantBreach(breaches, this.#spec.seed, this.log);
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
      switchboard: new Switchboard(this.time, this.world.network, streams.stream('network')),
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

  /** Events that wait for this moment happen now (or a little later); each one once. */
  #reached(vm: string, moment: string): void {
    const due = this.#awaited.filter(({ at }) => typeof at !== 'number' && at.vm === vm && at.reaches === moment);
    if (due.length === 0) return;
    this.#awaited = this.#awaited.filter((event) => !due.includes(event));
    for (const event of due) {
      const plusSeconds = typeof event.at === 'number' ? 0 : (event.at.plusSeconds ?? 0);
      this.time.after(plusSeconds * 1000, () => this.apply(event));
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

function hostSpecOf([hostId, spec]: readonly [string, ClusterSpec['hosts'][string]], index: number): HostSpec {
  return {
    hostId,
    addresses: { underlay: `10.0.0.${index + 1}`, protected: `10.79.0.${index + 1}`, interface: 'eth0' },
    cpuCores: spec.cpuCores,
    memoryBytes: spec.memoryGiB * gibibyte,
    ipsec: spec.ipsec ?? 'libipsec',
    mtuBytes: spec.mtuBytes ?? 1500,
    machines: spec.machines ?? defaultOffer.machines,
    cpu: spec.cpu ?? defaultOffer.cpu,
    networks: spec.networks ?? defaultOffer.networks,
    linkBytesPerSecond: (spec.linkMiBPerSecond ?? defaults.linkMiBPerSecond) * mebibyte,
  };
}

function guestOf([name, spec]: readonly [string, ClusterSpec['vms'][string]], index: number): Guest {
  return {
    vmId: `00000000-0000-4000-8000-${(index + 1).toString(16).padStart(12, '0')}`,
    name,
    vcpus: spec.vcpus,
    memoryBytes: spec.memoryGiB * gibibyte,
    mac: `52:54:00:00:${pairOfHex(index >> 8)}:${pairOfHex(index & 255)}`,
    address: `10.1.${index >> 8}.${(index & 255) + 1}`,
    demandCores: spec.demandCores,
    dirtyBytesPerSecond: (spec.dirtyMiBPerSecond ?? defaults.dirtyMiBPerSecond) * mebibyte,
    workingSetBytes: Math.min(spec.memoryGiB * gibibyte, (spec.workingSetMiB ?? defaults.workingSetMiB) * mebibyte),
  };
}

function pairOfHex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function describeHost(host: SimHost): string {
  const cpu = `${((host.cpuUsedCores / host.spec.cpuCores) * 100).toFixed(0)} % of ${host.spec.cpuCores} cores`;
  const memory = `${((host.memoryUsedBytes / host.spec.memoryBytes) * 100).toFixed(0)} % of ${host.spec.memoryBytes / gibibyte} GiB`;
  const vms = host.copies.map(({ guest, state }) => (state === 'running' ? guest.name : `${guest.name} (${state})`));
  return `${host.hostId}: ${cpu}, ${memory}; ${vms.length === 0 ? 'no VM' : vms.join(', ')}`;
}
