/** The controller: takes in samples, plans, executes, keeps the ledger. Everything from the world comes as a part. */
import { chooseTarget } from '#core/planner/choose-target.ts';
import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Mode } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import type { SnapshotVm } from '#core/model/snapshot.ts';
import type { HistoryPoint } from '#core/store.ts';
import type {
  HostResource,
  MigrateBody,
  MigrateCheck,
  MigrationResource,
  PlanResource,
  ReceiptResource,
  StatusResource,
  TokenResource,
  VmResource,
} from '#wire/api.ts';
import { type AgentFacts, AgentLines } from './agent-lines.ts';
import { ClusterView } from './cluster-view.ts';
import { Executor } from './executor.ts';
import { History } from './history.ts';
import { Joining, type JoinRequest, type TokenMaker } from './join.ts';
import type { ControllerParts, ControllerSettings } from './parts.ts';
import { Planning } from './planning.ts';
import { Receipts } from './receipts.ts';
import { hostResource, vmResource } from './resources.ts';
import type { ControllerService } from './service.ts';

/** Reads what earlier runs left, takes up their open migrations, and starts planning; runs until the signal aborts. */
export async function startController(
  parts: ControllerParts,
  settings: ControllerSettings,
  tokens: TokenMaker,
  signal: AbortSignal,
): Promise<Controller> {
  const { store, log } = parts;
  const epoch = await store.nextControllerEpoch();
  const view = new ClusterView(settings.policy);
  for (const host of await store.hosts()) view.adopt(host);
  const history = new History(parts, settings.historyMs);
  const lines = new AgentLines(parts, epoch, listener(parts, view, history));
  const receipts = new Receipts(parts);
  const onChange = (migration: MigrationResource) => noteChange(parts, view, migration);
  const executor = new Executor({ parts, lines, policy: settings.policy, receipts, epoch, signal, onChange });
  const mode = (await store.mode()) ?? settings.mode;
  const planning = new Planning(parts, settings, view, executor, mode, await store.latestPlan());
  await executor.takeUp();
  log.info('controller started', { epoch, mode, hosts: view.hosts().length });
  const loops = Promise.all([planning.run(signal), history.run(signal)]);
  const stopped = loops.then(() => executor.settle());
  return new Controller({
    parts,
    settings,
    epoch,
    view,
    history,
    executor,
    planning,
    receipts,
    joining: new Joining(parts, view, tokens),
    stopped,
  });
}

function noteChange(parts: ControllerParts, view: ClusterView, { request, phase, failure }: MigrationResource): void {
  parts.log.info('migration', { migrationId: request.migrationId, vm: request.vmName, phase, failure: failure?.code });
  if (phase === 'done') view.place(request.vmId, request.toHostId, parts.clock.nowMs());
}

function listener(parts: ControllerParts, view: ClusterView, history: History) {
  return {
    onHello: (hostId: HostId, facts: AgentFacts) => {
      view.connect(hostId, facts);
      parts.log.info('host connected', { hostId });
    },
    onSample: (sample: Sample) => {
      const taken = view.ingest(sample, parts.clock.nowMs());
      if (taken.ok) history.add(sample);
      else parts.log.warn('sample rejected', { hostId: sample.hostId, reason: taken.reason });
    },
    onLost: (hostId: HostId, reason: string) => {
      view.disconnect(hostId);
      parts.log.warn('host disconnected', { hostId, reason });
    },
  };
}

interface Rooms {
  readonly parts: ControllerParts;
  readonly settings: ControllerSettings;
  readonly epoch: number;
  readonly view: ClusterView;
  readonly history: History;
  readonly executor: Executor;
  readonly planning: Planning;
  readonly receipts: Receipts;
  readonly joining: Joining;
  readonly stopped: Promise<void>;
}

export class Controller implements ControllerService {
  readonly #rooms: Rooms;
  readonly #startedAtMs: number;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    this.#startedAtMs = rooms.parts.clock.nowMs();
  }

  /** Resolves when the signal has aborted and all loops have ended. */
  get stopped(): Promise<void> {
    return this.#rooms.stopped;
  }

  admit(request: JoinRequest): Promise<void> {
    return this.#rooms.joining.admit(request);
  }

  async status(): Promise<StatusResource> {
    const { view, settings, planning, executor, epoch } = this.#rooms;
    const hosts = view.hosts();
    return {
      version: settings.version,
      mode: planning.mode,
      controllerEpoch: epoch,
      startedAtMs: this.#startedAtMs,
      hostsUp: hosts.filter((host) => view.status(host, this.#nowMs()) === 'up').length,
      hostsTotal: hosts.length,
      vms: view.vms().length,
      migrationsOpen: executor.inFlight().length,
      planIntervalMs: settings.planIntervalMs,
    };
  }

  async hosts(): Promise<readonly HostResource[]> {
    const { view } = this.#rooms;
    const vms = view.vms();
    return view.hosts().map((host) => hostResource(view, host, vms, this.#nowMs()));
  }

  async host(hostId: HostId): Promise<HostResource> {
    const { view } = this.#rooms;
    const host = view.host(hostId);
    if (!host) throw new PlimsollError('host-unknown', `there is no host ${hostId}: see 'plimsoll host list'`);
    return hostResource(view, host, view.vms(), this.#nowMs());
  }

  async history(hostId: HostId, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]> {
    await this.host(hostId);
    return this.#rooms.parts.store.history(hostId, sinceMs, limit);
  }

  async vms(): Promise<readonly VmResource[]> {
    return this.#rooms.view.vms().map((vm) => this.#vmResource(vm));
  }

  async vm(reference: string): Promise<VmResource> {
    return this.#vmResource(this.#findVm(reference));
  }

  async latestPlan(): Promise<PlanResource | null> {
    return this.#rooms.planning.latest();
  }

  plan(planId: string): Promise<PlanResource> {
    return this.#rooms.planning.find(planId);
  }

  makePlan(): Promise<PlanResource> {
    return this.#rooms.planning.planNow();
  }

  applyPlan(planId: string, askedBy: string): Promise<readonly MigrationResource[]> {
    return this.#rooms.planning.apply(planId, askedBy);
  }

  async migrate(body: MigrateBody, askedBy: string): Promise<MigrationResource> {
    return this.#rooms.executor.start(this.#wishOf(body, askedBy).wish);
  }

  async checkMigrate(body: MigrateBody): Promise<MigrateCheck> {
    const { wish, reason } = this.#wishOf(body, 'dry run');
    const { vmId, vmName, fromHostId, toHostId } = wish;
    const refusal = await this.#rooms.executor.check(wish).then(
      () => null,
      (error: unknown) => refusalOf(error),
    );
    return { vmId, vmName, fromHostId, toHostId, reason, refusal };
  }

  async migrations(filter: { readonly open?: boolean; readonly limit: number }): Promise<readonly MigrationResource[]> {
    const stored = await this.#rooms.parts.store.migrations(filter);
    return stored.map((migration) => this.#rooms.executor.current(migration.request.migrationId) ?? migration);
  }

  async migration(migrationId: string): Promise<MigrationResource> {
    const migration = this.#rooms.executor.current(migrationId) ?? (await this.#rooms.parts.store.migration(migrationId));
    if (!migration) throw new PlimsollError('migration-unknown', `there is no migration ${migrationId}: see 'plimsoll migration list'`);
    return migration;
  }

  async abortMigration(migrationId: string, askedBy: string): Promise<MigrationResource> {
    this.#rooms.parts.log.info('abort asked for', { migrationId, askedBy });
    const migration = await this.migration(migrationId);
    return migration.endedAtMs === null ? this.#rooms.executor.abort(migrationId) : migration;
  }

  receipt(migrationId: string): Promise<ReceiptResource> {
    return this.#rooms.receipts.read(migrationId);
  }

  createToken(hostId: HostId, lifetimeMs: number, askedBy: string): Promise<TokenResource> {
    this.#rooms.parts.log.info('join token made', { hostId, askedBy });
    return this.#rooms.joining.createToken(hostId, lifetimeMs);
  }

  async setMode(mode: Mode, askedBy: string): Promise<StatusResource> {
    this.#rooms.parts.log.info('mode set', { mode, askedBy });
    await this.#rooms.planning.setMode(mode);
    return this.status();
  }

  #nowMs(): number {
    return this.#rooms.parts.clock.nowMs();
  }

  #vmResource(vm: SnapshotVm): VmResource {
    return vmResource(vm, this.#rooms.executor.migrationOf(vm.vmId));
  }

  #findVm(reference: string): SnapshotVm {
    const found = this.#rooms.view.vms().filter((vm) => vm.vmId === reference || vm.name === reference);
    const [vm] = found;
    if (!vm) throw new PlimsollError('vm-unknown', `there is no VM ${reference}: see 'plimsoll vm list'`);
    if (found.length > 1)
      throw new PlimsollError('vm-ambiguous', `${found.length} VMs are called ${reference}: give the UUID, see 'plimsoll vm list'`);
    return vm;
  }

  #wishOf(
    body: MigrateBody,
    askedBy: string,
  ): { readonly wish: Omit<MigrationRequest, 'migrationId' | 'vmEpoch' | 'askedAtMs'>; readonly reason: string } {
    const vm = this.#findVm(body.vm);
    const { toHostId, reason } = this.#destination(vm, body.toHostId);
    if (vm.state !== 'running') {
      throw new PlimsollError('vm-not-running', `${vm.name} is ${vm.state}, only a running VM can move live: start it first`);
    }
    return { wish: { vmId: vm.vmId, vmName: vm.name, fromHostId: vm.hostId, toHostId, cause: 'operator', askedBy, planId: null }, reason };
  }

  #destination(vm: SnapshotVm, wished: HostId | undefined): { readonly toHostId: HostId; readonly reason: string } {
    const { view, settings, executor } = this.#rooms;
    if (wished === undefined) {
      const nowMs = this.#nowMs();
      const snapshot = { takenAtMs: nowMs, policy: settings.policy, ...view.snapshot(nowMs), inFlight: executor.inFlight(), ledger: [] };
      const target = chooseTarget(snapshot, vm);
      if (!target) throw new PlimsollError('no-memory', `no other host has room for ${vm.name}: see 'plimsoll host list'`);
      return { toHostId: target.hostId, reason: target.reason };
    }
    const host = view.host(wished);
    if (!host) throw new PlimsollError('host-unknown', `there is no host ${wished}: see 'plimsoll host list'`);
    if (wished === vm.hostId) throw new PlimsollError('destination-same-as-source', `${vm.name} is on ${wished} already`);
    if (!host.connected)
      throw new PlimsollError('host-down', `host ${wished} is not connected: start its agent (or wait, it dials by itself)`);
    return { toHostId: wished, reason: 'asked for by name' };
  }
}
