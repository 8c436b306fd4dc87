/** Puts the controller together: every room gets the rooms it needs, and the lines to the agents get somebody who listens. */
import type { HostId } from '#core/model/host.ts';
import type { Sample } from '#core/model/sample.ts';
import { bytes } from '#core/model/units.ts';
import type { VmId } from '#core/model/vm.ts';
import type { MigrationResource } from '#wire/api.ts';
import { type AgentFacts, type AgentListener, AgentLines } from './agent-lines.ts';
import { Audit } from './audit.ts';
import { BusyPairs } from './busy-pairs.ts';
import { Certificates } from './certificates.ts';
import { Channels } from './channels.ts';
import { Choosing } from './choosing.ts';
import { ClockSkews } from './clock-skews.ts';
import { ClusterView } from './cluster-view.ts';
import { Drains } from './drains.ts';
import { Executor } from './executor.ts';
import { Grants } from './grants.ts';
import { History } from './history.ts';
import { HostLeases } from './host-leases.ts';
import { Joining, type TokenMaker } from './join.ts';
import { KeptChannels } from './kept-channels.ts';
import { LeftChannels } from './left-channels.ts';
import { Maintenances } from './maintenances.ts';
import { Membership } from './membership.ts';
import type { ControllerParts, ControllerSettings } from './parts.ts';
import { Outcomes } from './outcomes.ts';
import { PairRefusals } from './pair-refusals.ts';
import { OutsideWatch } from './outside-watch.ts';
import { MoveStarts } from './move-starts.ts';
import { PlanCourses } from './plan-courses.ts';
import { Planning } from './planning.ts';
import { Plans } from './plans.ts';
import { type Flights, Preflight } from './preflight.ts';
import { Receipts } from './receipts.ts';
import { Recoveries } from './recovery.ts';
import { Rulings } from './rulings.ts';
import { standingsOf } from './standings.ts';
import { SecurityWatch } from './security-watch.ts';
import { Securing } from './securing.ts';
import { StreamMeter } from './stream-meter.ts';
import { type RulesAgainst, Surveys } from './surveys.ts';
import { TransferKnowledge } from './transfer-knowledge.ts';
import { Tuner } from './tuner.ts';
import { VmSettings } from './vm-settings.ts';
import { Wishes } from './wishes.ts';

export interface Rooms {
  readonly parts: ControllerParts;
  readonly settings: ControllerSettings;
  readonly epoch: number;
  readonly view: ClusterView;
  readonly history: History;
  readonly lines: AgentLines;
  readonly membership: Membership;
  readonly skews: ClockSkews;
  readonly certificates: Certificates;
  readonly watch: SecurityWatch;
  readonly channels: Channels;
  readonly kept: KeptChannels;
  readonly grants: Grants;
  readonly audit: Audit;
  readonly preflight: Preflight;
  readonly choosing: Choosing;
  readonly executor: Executor;
  readonly planning: Planning;
  readonly starts: MoveStarts;
  readonly plans: Plans;
  readonly receipts: Receipts;
  readonly joining: Joining;
  readonly wishes: Wishes;
  readonly vmSettings: VmSettings;
  readonly recoveries: Recoveries;
  readonly rulings: Rulings;
  readonly surveys: Surveys;
  readonly drains: Drains;
  readonly maintenances: Maintenances;
}

/** Reads what earlier runs left. Agents are served when it resolves; nothing is planned or executed yet. */
export async function openRooms(
  parts: ControllerParts,
  settings: ControllerSettings,
  tokens: TokenMaker,
  signal: AbortSignal,
): Promise<Rooms> {
  const { store } = parts;
  const { policy } = settings;
  const epoch = await store.nextControllerEpoch();
  const mode = (await store.mode()) ?? settings.mode;
  const latestPlan = await store.latestPlan();
  const membership = await Membership.load(store);
  const isMoving = (vmId: VmId) => executor.migrationOf(vmId) !== null;
  // By the lines a load has to last for rounds anyway, and on CPU traces VMs starved for longer where it was held back.
  const copiedAt = (hostId: HostId) => (policy.strategy === 'lines' ? [] : executor.copiedAt(hostId));
  const view = new ClusterView(policy, isMoving, (hostId) => standingOf(hostId), copiedAt);
  for (const host of membership.records) view.adopt(host);
  const history = new History(parts, settings.historyMs);
  const skews = new ClockSkews();
  const audit = new Audit(parts);
  const grants = new Grants(parts, audit);
  const vmSettings = await VmSettings.load(store, parts.clock, policy);
  vmSettings.warnOfLostClasses(parts.log);
  const labelsOf = (vmId: VmId) => vmSettings.of(vmId).labels;
  const rulings = await Rulings.load({ store, clock: parts.clock, view, audit, labelsOf });
  const refusals = new PairRefusals();
  const greet = (hostId: HostId) => certificates.greet(hostId);
  const lines = new AgentLines(parts, epoch, new Listener({ parts, view, history, membership, skews, greet }));
  const certificates = new Certificates({ parts, settings: settings.certificates, lines, membership, audit }, signal);
  await certificates.open();
  const flights: Flights = {
    migrationOf: (vmId) => executor.migrationOf(vmId),
    incomingBytes: (hostId, withoutMigrationId) => {
      const coming = executor.vmsOnTheirWayTo(hostId, withoutMigrationId);
      return bytes(view.vms().reduce((sum, vm) => sum + (coming.includes(vm.vmId) ? vm.memoryBytes : 0), 0));
    },
  };
  const rulesAgainst: RulesAgainst = (wish) => surveys.rulesAgainst(wish);
  const facts = { parts, lines, policy, certificates: settings.certificates, membership, skews, grants };
  const preflight = new Preflight({ ...facts, flights, rulesAgainst }, signal);
  const securing = new Securing(parts, lines, signal);
  const tuner = new Tuner(parts, lines, securing, policy, signal);
  const streams = new StreamMeter(parts, lines, securing, signal);
  const knowledge = await TransferKnowledge.load(store);
  const choosing = new Choosing({ parts, lines, policy, streams, knowledge }, signal);
  const outside = new OutsideWatch(parts, lines, (vmId) => vmSettings.of(vmId).address, signal);
  const outcomes = new Outcomes({ parts, lines, outside, skewOf: (hostId) => skews.of(hostId) }, signal);
  const leases = new HostLeases(parts, lines, signal);
  const flightOf = (vmId: VmId) => executor.inFlight().find((flight) => flight.vmId === vmId) ?? null;
  const recoveryRooms = { parts, lines, leases, view, membership, settings: vmSettings, audit, rulesAgainst, flights, flightOf };
  const recoveries = await Recoveries.load(recoveryRooms, signal);
  const busyPairs = new BusyPairs();
  const kept = await KeptChannels.load(store);
  const receipts = new Receipts(parts);
  const executor = new Executor({
    rooms: {
      parts,
      lines,
      policy,
      preflight,
      securing,
      choosing,
      outcomes,
      fit: (ends, profile) => tuner.fit(ends, profile),
      membership,
      hasFenced: (hostId, vmId) => recoveries.hasFenced(hostId, vmId),
      isRestartable: (vmId) => recoveries.isRestartable(vmId),
      kept,
      epoch,
    },
    receipts,
    busyPairs,
    signal,
    onChange: (migration) => {
      noteChange(parts, { view, refusals, knowledge }, migration);
      recoveries.noteMigration(migration);
    },
  });
  const left = new LeftChannels({ parts, lines, executor, busyPairs, kept });
  const watch = new SecurityWatch({ parts, settings: settings.certificates, policy, lines, membership, certificates, skews, left });
  const standingOf = standingsOf({ rulings, preflight, watch });
  const courses = await PlanCourses.load(parts, policy);
  const surveys = new Surveys({ parts, policy, view, executor, rulings, refusals, courses, knowledge, vmSettings });
  const starts = new MoveStarts({ parts, policy, surveys, executor, courses, mode: () => planning.mode });
  const planning = new Planning({ parts, settings, surveys, starts }, mode, latestPlan);
  const wishes = new Wishes(view, surveys, membership);
  const planRooms = { parts, planning, starts, courses, executor, surveys, preflight, wishes, audit, policy, signal };
  const drains = await Drains.load({ parts, policy, view, executor, surveys, rulings, audit });
  const maintenances = await Maintenances.load({ parts, view, membership, surveys, drains, recoveries, audit });
  lines.serve();
  return {
    parts,
    settings,
    epoch,
    view,
    history,
    lines,
    membership,
    skews,
    certificates,
    watch,
    channels: new Channels({ parts, lines, policy, preflight, securing, tuner, streams, executor, busyPairs, kept, audit }, signal),
    kept,
    grants,
    audit,
    preflight,
    choosing,
    executor,
    planning,
    starts,
    plans: new Plans(planRooms),
    receipts,
    joining: new Joining(parts, view, membership, tokens),
    wishes,
    vmSettings,
    recoveries,
    rulings,
    surveys,
    drains,
    maintenances,
  };
}

interface Noting {
  readonly view: ClusterView;
  readonly refusals: PairRefusals;
  readonly knowledge: TransferKnowledge;
}

function noteChange(parts: ControllerParts, { view, refusals, knowledge }: Noting, migration: MigrationResource): void {
  const { request, phase, failure, resolution } = migration;
  parts.log.info('migration', { migrationId: request.migrationId, vm: request.vmName, phase, failure: failure?.code });
  if (phase === 'failed' && failure !== null) refusals.note(request.vmId, request.toHostId, failure, parts.clock.nowMs());
  // The newest sample may still tell of its last round.
  if (phase === 'failed' && resolution?.verdict === 'on-source') view.place(request.vmId, request.fromHostId, parts.clock.nowMs());
  if (phase !== 'done') return;
  view.place(request.vmId, request.toHostId, parts.clock.nowMs());
  refusals.forget(request.vmId, request.toHostId);
  knowledge.noteMoved(migration);
}

type Listening = Pick<Rooms, 'parts' | 'view' | 'history' | 'membership' | 'skews'> & {
  /** Tells an agent what it may have missed. */
  readonly greet: (hostId: HostId) => void;
};

/** What the agents say goes to the rooms that want to know it. */
class Listener implements AgentListener {
  readonly #rooms: Listening;

  constructor(rooms: Listening) {
    this.#rooms = rooms;
  }

  admits(hostId: HostId, certificateSha256: string | null): boolean {
    return this.#rooms.membership.admits(hostId, certificateSha256, this.#rooms.parts.clock.nowMs());
  }

  onHello(hostId: HostId, facts: AgentFacts, sentAtMs: number): void {
    const { view, skews, parts } = this.#rooms;
    view.connect(hostId, facts);
    skews.forget(hostId);
    skews.note(hostId, sentAtMs, parts.clock.nowMs());
    parts.log.info('host connected', { hostId });
    this.#rooms.greet(hostId);
  }

  onSample(sample: Sample): void {
    const { view, history, skews, parts } = this.#rooms;
    skews.note(sample.hostId, sample.takenAtMs, parts.clock.nowMs());
    const taken = view.ingest(sample, parts.clock.nowMs());
    if (taken.ok) history.add(sample);
    else parts.log.warn('sample rejected', { hostId: sample.hostId, reason: taken.reason });
  }

  onLost(hostId: HostId, reason: string): void {
    this.#rooms.view.disconnect(hostId);
    this.#rooms.parts.log.warn('host disconnected', { hostId, reason });
  }
}
