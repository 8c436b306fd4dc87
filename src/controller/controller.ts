/** The controller: takes in samples, plans, executes, keeps the ledger. Everything from the world comes as a part. */
import { needsGrant } from '#core/channel/weaker.ts';
import { firstRefusal } from '#core/checks/preflight.ts';
import { predictionErrors } from '#core/migration/calibration.ts';
import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Mode } from '#core/model/policy.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { SnapshotVm } from '#core/model/snapshot.ts';
import type { TrustUpdate } from '#core/ports.ts';
import type { HistoryPoint } from '#core/store.ts';
import type {
  HostResource,
  MigrateBody,
  MigrateCheck,
  MigrationResource,
  PredictionErrorsResource,
  ReceiptResource,
  StatusResource,
  TokenResource,
  VmCheckResource,
  VmResource,
} from '#wire/api.ts';
import type { BalanceResource } from '#wire/balance-api.ts';
import type { ChannelResource, ProveBody, ProveResource, ResetResource, TuneBody, TuneResource } from '#wire/channel-api.ts';
import type {
  AuditResource,
  CertificateResource,
  GrantBody,
  GrantResource,
  RenewalResource,
  RevocationResource,
} from '#wire/security-api.ts';
import { type SnapshotFile, snapshotFileOf } from '#wire/snapshot-file.ts';
import { balanceResource } from './balance.ts';
import { pastTransfersOf } from './choosing.ts';
import type { HostView } from './cluster-view.ts';
import type { MigrationWish } from './executor.ts';
import type { JoinRequest, TokenMaker } from './join.ts';
import type { ControllerParts, ControllerSettings } from './parts.ts';
import { hostResource, vmResource } from './resources.ts';
import { Placement, type PlacementService } from './placement.ts';
import type { PlanService } from './plans.ts';
import { openRooms, type Rooms } from './rooms.ts';
import type { ControllerService, MigrationFilter } from './service.ts';
import { Tenure } from './tenure.ts';
import type { ShownVmSettings, VmChange } from './vm-settings.ts';

/** Of the newest migrations, for how far predictions were off. */
const errorsRead = 1000;

/**
 * Reads what earlier runs left, takes up their open migrations, and starts planning; runs until the signal aborts, or another controller
 * has taken the store over. Rejects with `controller-replaced` when that happens while it starts.
 */
export async function startController(
  parts: ControllerParts,
  settings: ControllerSettings,
  tokens: TokenMaker,
  signal: AbortSignal,
): Promise<Controller> {
  const tenure = new Tenure(parts, signal);
  const { signal: end, store } = tenure;
  const rooms = await openRooms({ ...parts, store }, settings, tokens, end);
  const { executor, planning, history, certificates, watch, recoveries, drains, maintenances, view, epoch, lines } = rooms;
  await executor.takeUp();
  // Whom this one no longer commands dials the one that has taken over.
  tenure.onReplaced(() => lines.closeAll('controller-replaced'));
  parts.log.info('controller started', { epoch, mode: planning.mode, hosts: view.hosts().length });
  const loops = Promise.all([
    planning.run(end),
    history.run(end),
    certificates.run(),
    watch.run(end),
    recoveries.run(end),
    drains.run(end),
    maintenances.run(end),
  ]);
  const stopped = ended();
  // Whoever awaits it hears of it; until somebody does, it is no failure of this process.
  stopped.catch(() => undefined);
  return new Controller(rooms, stopped);

  async function ended(): Promise<void> {
    await loops;
    await executor.settle();
    if (tenure.replaced !== null) throw tenure.replaced;
  }
}

/** What a host that has joined gets: its certificate, and the trust of the cluster (the CA that signed the certificate first). */
export interface Welcome extends TrustUpdate {
  readonly certificatePem: string;
}

export class Controller implements ControllerService {
  readonly #rooms: Rooms;
  readonly #startedAtMs: number;
  readonly placement: PlacementService;
  readonly plans: PlanService;
  /** Resolves when the signal has aborted and all loops have ended. Rejects with `controller-replaced` when another controller has taken over. */
  readonly stopped: Promise<void>;

  constructor(rooms: Rooms, stopped: Promise<void>) {
    this.#rooms = rooms;
    this.placement = new Placement(rooms);
    this.plans = rooms.plans;
    this.#startedAtMs = rooms.parts.clock.nowMs();
    this.stopped = stopped;
  }

  /** Spends a token: the host belongs to the cluster from here on. Throws `token-invalid` or `token-expired`. */
  admit(request: JoinRequest): Promise<void> {
    return this.#rooms.joining.admit(request);
  }

  /** The same with a certificate for the key of this request (PKCS#10, PEM); a refused host gets none. Throws `input-invalid`, too. */
  async join(request: JoinRequest & { readonly requestPem: string }): Promise<Welcome> {
    const { certificates, audit } = this.#rooms;
    const { hostId, addresses, requestPem, token } = request;
    const { issued, trust } = await certificates.issueTo({ hostId, addresses, requestPem }, () => this.admit({ hostId, addresses, token }));
    await audit.note(hostId, 'host.join', hostId, `${addresses.underlay}, certificate ${issued.sha256}`);
    return { certificatePem: issued.certificatePem, intermediatesPem: trust.intermediatesPem, crlPems: trust.crlPems };
  }

  /** For the listener: whether a host with this certificate is to be turned away. */
  isRevoked(hostId: HostId, certificateSha256: string): boolean {
    return !this.#rooms.membership.admits(hostId, certificateSha256, this.#nowMs());
  }

  async status(): Promise<StatusResource> {
    const { view, settings, planning, executor, epoch, watch } = this.#rooms;
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
      alarms: watch.alarms(),
    };
  }

  async hosts(): Promise<readonly HostResource[]> {
    const { view } = this.#rooms;
    const vms = view.vms();
    return view.hosts().map((host) => this.#hostResource(host, vms));
  }

  async host(hostId: HostId): Promise<HostResource> {
    return this.#hostResource(this.#rooms.wishes.findHost(hostId), this.#rooms.view.vms());
  }

  async history(hostId: HostId, sinceMs: number, limit: number): Promise<readonly HistoryPoint[]> {
    this.#rooms.wishes.findHost(hostId);
    return this.#rooms.parts.store.history(hostId, sinceMs, limit);
  }

  async vms(): Promise<readonly VmResource[]> {
    return this.#rooms.view.vms().map((vm) => this.#vmResource(vm));
  }

  async vm(reference: string): Promise<VmResource> {
    return this.#vmResource(this.#rooms.wishes.findVm(reference));
  }

  async snapshot(): Promise<SnapshotFile> {
    const { planning } = this.#rooms;
    return snapshotFileOf(await planning.snapshotNow(), planning.mode);
  }

  async balance(): Promise<BalanceResource> {
    const { view, planning, settings } = this.#rooms;
    return balanceResource(view, planning, settings.planIntervalMs, this.#nowMs());
  }

  async migrate(body: MigrateBody, askedBy: string): Promise<MigrationResource> {
    const { wishes, grants, audit, executor } = this.#rooms;
    const { wish } = wishes.migration(body, askedBy);
    if (!needsGrant(wish.channelKind)) return executor.start(wish);
    const grant = await grants.permit(wish.grantId, wish.fromHostId, wish.toHostId);
    await audit.write(
      askedBy,
      'grant.use',
      grant.grantId,
      `${wish.vmName}: ${wish.fromHostId} -> ${wish.toHostId} by ${wish.channelKind === 'none' ? 'plain text' : wish.channelKind}`,
    );
    return executor.start({ ...wish, approvedBy: grant.approvedBy });
  }

  async checkMigrate(body: MigrateBody): Promise<MigrateCheck> {
    const { wishes, executor } = this.#rooms;
    const { wish, reason } = wishes.migration(body, 'dry run');
    const { vmId, vmName, fromHostId, toHostId } = wish;
    const what = { vmId, vmName, fromHostId, toHostId, reason };
    try {
      executor.mustBeFree(wish);
    } catch (error) {
      return { ...what, refusal: refusalOf(error), row: null, plan: null, decisions: [] };
    }
    return { ...what, ...(await this.#foresee(wish)) };
  }

  async checkVm(reference: string, toHostId: HostId | null): Promise<VmCheckResource> {
    const { wishes, view, preflight } = this.#rooms;
    const vm = wishes.findVm(reference);
    const others = view.hosts().filter((host) => host.hostId !== vm.hostId);
    const hostIds = toHostId === null ? others.map((host) => host.hostId) : [wishes.findHost(toHostId).hostId];
    if (hostIds.includes(vm.hostId)) throw new PlimsollError('destination-same-as-source', `${vm.name} is on ${vm.hostId} already`);
    const rows = await preflight.inspectAll(this.#dryRun(wishes.look(vm)), hostIds);
    return { vmId: vm.vmId, vmName: vm.name, hostId: vm.hostId, rows: [...rows] };
  }

  async vmSettings(reference: string): Promise<ShownVmSettings> {
    const { wishes, vmSettings } = this.#rooms;
    return vmSettings.shown(wishes.vmIdOf(reference));
  }

  async setVm(reference: string, change: VmChange, askedBy: string): Promise<ShownVmSettings> {
    const { wishes, vmSettings, audit } = this.#rooms;
    // Settings can be taken back from a VM that is no more, not given to one.
    const vmId = vmSettings.isKept(reference) ? reference : wishes.findVm(reference).vmId;
    const settings = await vmSettings.set(vmId, change);
    await audit.note(askedBy, 'vm.set', vmId, JSON.stringify(change));
    return settings;
  }

  async migrations(filter: MigrationFilter): Promise<readonly MigrationResource[]> {
    const { wishes, parts, executor } = this.#rooms;
    const { vm, ...rest } = filter;
    const stored = await parts.store.migrations({ ...rest, ...(vm === undefined ? {} : { vmId: wishes.vmIdOf(vm) }) });
    return stored.map((migration) => executor.current(migration.request.migrationId) ?? migration);
  }

  async predictionErrors(): Promise<PredictionErrorsResource> {
    const moved = await this.#rooms.parts.store.migrations({ open: false, outcome: 'moved', limit: errorsRead });
    return predictionErrors(pastTransfersOf(moved));
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

  /** The checks, and when they allow it how the VM would be moved. Measures; changes nothing. */
  async #foresee(wish: MigrationWish): Promise<Pick<MigrateCheck, 'refusal' | 'row' | 'plan' | 'decisions'>> {
    const { preflight, choosing } = this.#rooms;
    const request = this.#dryRun(wish);
    const refused = { plan: null, decisions: [] };
    let row: MigrateCheck['row'] = null;
    try {
      const inspection = await preflight.inspect(request);
      row = inspection.row;
      // A host that does not tell what must be known would stop the migration too.
      const early = firstRefusal(row) ?? inspection.blind;
      if (early !== null) return { refusal: early, row, ...refused };
      const choice = await choosing.choose(request);
      row = preflight.judgeAgain(inspection, choice);
      const decisions = [...choice.decisions];
      const refusal = choice.ok ? firstRefusal(row) : choice.refusal;
      return { refusal, row, plan: choice.ok && refusal === null ? choice.plan : null, decisions };
    } catch (error) {
      return { refusal: refusalOf(error), row, ...refused };
    }
  }

  #dryRun(wish: MigrationWish): MigrationRequest {
    return { ...wish, migrationId: 'dry-run', vmEpoch: 0, askedAtMs: this.#nowMs() };
  }

  receipt(migrationId: string): Promise<ReceiptResource> {
    return this.#rooms.receipts.read(migrationId);
  }

  async createToken(hostId: HostId, lifetimeMs: number, askedBy: string): Promise<TokenResource> {
    await this.#rooms.audit.write(askedBy, 'host.token', hostId);
    return this.#rooms.joining.createToken(hostId, lifetimeMs);
  }

  async setMode(mode: Mode, askedBy: string): Promise<StatusResource> {
    await this.#rooms.audit.write(askedBy, 'mode.set', mode);
    await this.#rooms.planning.setMode(mode);
    return this.status();
  }

  channels(): Promise<readonly ChannelResource[]> {
    return this.#rooms.channels.list();
  }

  async channel(one: HostId, other: HostId): Promise<ChannelResource> {
    this.#mustKnow(one, other);
    return this.#rooms.channels.show(one, other);
  }

  async proveChannel(fromHostId: HostId, toHostId: HostId, body: ProveBody, askedBy: string): Promise<ProveResource> {
    this.#mustKnow(fromHostId, toHostId);
    return this.#rooms.channels.prove({ fromHostId, toHostId }, body, askedBy);
  }

  async tuneChannel(fromHostId: HostId, toHostId: HostId, body: TuneBody, askedBy: string): Promise<TuneResource> {
    this.#mustKnow(fromHostId, toHostId);
    return this.#rooms.channels.tune({ fromHostId, toHostId }, body, askedBy);
  }

  async resetChannel(one: HostId, other: HostId, askedBy: string): Promise<ResetResource> {
    this.#mustKnow(one, other);
    return this.#rooms.channels.reset({ fromHostId: one, toHostId: other }, askedBy);
  }

  async certificates(hostId: HostId): Promise<readonly CertificateResource[]> {
    this.#mustKnow(hostId);
    return this.#rooms.certificates.list(hostId);
  }

  async renewCertificates(hostId: HostId | null, askedBy: string): Promise<readonly RenewalResource[]> {
    const { certificates, lines, audit } = this.#rooms;
    if (hostId !== null) this.#mustKnow(hostId);
    await audit.write(askedBy, 'host.renew', hostId ?? 'all');
    return certificates.renew(hostId === null ? lines.hostIds : [hostId]);
  }

  async revokeHost(hostId: HostId, reason: string, askedBy: string): Promise<RevocationResource> {
    const { certificates, executor } = this.#rooms;
    this.#mustKnow(hostId);
    return certificates.revoke(hostId, reason, askedBy, () => executor.abortAllOf(hostId));
  }

  async requestGrant(body: GrantBody, askedBy: string): Promise<GrantResource> {
    this.#mustKnow(body.fromHostId, body.toHostId);
    return this.#rooms.grants.request(body, askedBy);
  }

  approveGrant(grantId: string, askedBy: string): Promise<GrantResource> {
    return this.#rooms.grants.approve(grantId, askedBy);
  }

  withdrawGrant(grantId: string, askedBy: string): Promise<GrantResource> {
    return this.#rooms.grants.withdraw(grantId, askedBy);
  }

  grants(limit: number): Promise<readonly GrantResource[]> {
    return this.#rooms.grants.list(limit);
  }

  audit(limit: number): Promise<readonly AuditResource[]> {
    return this.#rooms.audit.list(limit);
  }

  #nowMs(): number {
    return this.#rooms.parts.clock.nowMs();
  }

  #mustKnow(...hostIds: readonly HostId[]): void {
    for (const hostId of hostIds) this.#rooms.wishes.findHost(hostId);
  }

  #hostResource(host: HostView, vms: readonly SnapshotVm[]): HostResource {
    const { view, lines, membership, skews, watch, rulings, drains } = this.#rooms;
    const { hostId } = host;
    const security = {
      certificate: lines.facts(hostId)?.certificate ?? host.facts?.certificate ?? null,
      clockSkewMs: skews.of(hostId),
      guardInstalled: watch.guardInstalled(hostId),
      revokedAtMs: membership.revokedAtMs(hostId),
      cordon: rulings.cordonOf(hostId),
      drain: drains.phaseOf(hostId),
    };
    return hostResource(view, host, security, vms, this.#nowMs());
  }

  #vmResource(vm: SnapshotVm): VmResource {
    const { executor, vmSettings } = this.#rooms;
    return vmResource(vm, executor.migrationOf(vm.vmId), vmSettings.of(vm.vmId).labels);
  }
}
