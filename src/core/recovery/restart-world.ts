/** A small cluster with one restartable VM, its agents and its controller, for the laws of restart.ts. There is no storage lock in it. */
import type { VmDefinition } from '#core/model/definition.ts';
import type { Recovery, ToldStanding } from '#core/model/recovery.ts';
import { bytes } from '#core/model/units.ts';
import { leaseEndMs, leaseHolds, leaseIsOver, type LeaseTerms, leaseTerms, noGrant, renewed } from './lease.ts';
import { beginRecovery, type HostLook, type RecoveryEvent, restartLimits, step } from './restart.ts';

export const hostIds = ['a', 'b', 'c'] as const;
type Host = (typeof hostIds)[number];

export type Act =
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'cut' | 'heal' | 'power-off' | 'power-on'; readonly host: Host }
  | { readonly kind: 'crash' | 'shut-down' | 'controller-restarts' | 'user-starts' }
  /** `late`: how long an order that nobody heard of is on its way; null: it gets lost. */
  | { readonly kind: 'orders-go'; readonly how: 'well' | 'refused' | 'unheard'; readonly lateMs: number | null }
  | { readonly kind: 'move'; readonly to: Host; readonly forMs: number };

/** Rules that can be broken to see whether the laws notice. */
export interface Rules {
  readonly isOver: typeof leaseIsOver;
  /** What the machine is told instead of what is so. */
  readonly told: (event: RecoveryEvent) => RecoveryEvent;
  readonly settleMs: number;
}

export const soundRules: Rules = { isOver: leaseIsOver, told: (event) => event, settleMs: restartLimits.settleMs };

const terms: LeaseTerms = leaseTerms;
const tickMs = 1000;
const renewMs = 5000;
const orderMsMax = restartLimits.settleMs - 10_000;

export const vmId = '00000000-0000-4000-8000-000000000001';
export const definition: VmDefinition = {
  vmId,
  name: 'web',
  type: 'kvm',
  architecture: 'x86_64',
  machine: null,
  emulator: null,
  vcpus: 1,
  memoryBytes: bytes(2 ** 30),
  cpuMode: null,
  cpuModel: null,
  interfaces: [],
  disks: [],
  leases: [{ lockspace: 'locks', key: 'web', path: '/locks/web' }],
  hostOnly: [],
  persistent: true,
};

class HostModel {
  isOn = true;
  isLinked = true;
  boots = 1;
  grant = noGrant;
  runs = false;
  ended: ToldStanding = 'absent';
  sentAtMs: number | null = null;
  stampMs: number | null = null;

  get answers(): boolean {
    return this.isOn && this.isLinked;
  }

  get standing(): ToldStanding {
    return this.runs ? 'here' : this.ended;
  }

  end(why: ToldStanding): void {
    if (this.runs) [this.runs, this.ended] = [false, why];
  }
}

/** Runs the acts; `copiesMax` is how many copies ever ran at once, `starts` how often it was started again. */
export class RestartWorld {
  copiesMax = 1;
  starts = 0;
  recovery: Recovery = { ...beginRecovery(vmId, 'web', 0), definition };
  readonly #rules: Rules;
  readonly #hosts = new Map<Host, HostModel>(hostIds.map((hostId) => [hostId, new HostModel()]));
  #nowMs = 0;
  #orders: { readonly how: 'well' | 'refused' | 'unheard'; readonly lateMs: number | null } = { how: 'well', lateMs: null };
  /** Orders that a daemon still has: its agent has died, and nobody knows of them. */
  #pending: readonly { readonly host: Host; readonly atMs: number; readonly boots: number }[] = [];
  #flight: { readonly from: Host; readonly to: Host; readonly untilMs: number } | null = null;

  constructor(rules: Rules) {
    this.#rules = rules;
    this.#host('a').runs = true;
  }

  get copies(): number {
    return [...this.#hosts.values()].filter(({ runs }) => runs).length;
  }

  do(act: Act): void {
    switch (act.kind) {
      case 'pass':
        this.#pass(act.ms);
        break;
      case 'cut':
      case 'heal':
        this.#host(act.host).isLinked = act.kind === 'heal';
        break;
      case 'power-off':
        this.#host(act.host).isOn = false;
        this.#host(act.host).end('unknown');
        break;
      case 'power-on':
        this.#powerOn(this.#host(act.host));
        break;
      case 'crash':
      case 'shut-down':
        for (const host of this.#hosts.values()) host.end(act.kind === 'crash' ? 'crashed' : 'stopped');
        break;
      case 'user-starts':
        this.#userStarts();
        break;
      case 'controller-restarts':
        for (const host of this.#hosts.values()) [host.sentAtMs, host.stampMs] = [this.#nowMs, null];
        break;
      case 'orders-go':
        this.#orders = act;
        break;
      case 'move':
        this.#move(act.to, act.forMs);
        break;
      default:
        act satisfies never;
    }
    this.copiesMax = Math.max(this.copiesMax, this.copies);
  }

  #host(hostId: Host): HostModel {
    const host = this.#hosts.get(hostId);
    if (!host) throw new RangeError(hostId);
    return host;
  }

  #powerOn(host: HostModel): void {
    if (host.isOn) return;
    [host.isOn, host.boots, host.grant, host.stampMs] = [true, host.boots + 1, noGrant, null];
  }

  /** Only where the machine has told that it leaves the VM to its operator. */
  #userStarts(): void {
    const at = this.recovery.hostId as Host | null;
    if (this.recovery.phase === 'off' && at !== null && this.copies === 0 && this.#host(at).isOn) this.#host(at).runs = true;
  }

  /** The controller moves only what it sees run, between hosts that answer, and closes the migration when both have told. */
  #move(to: Host, forMs: number): void {
    const from = hostIds.find((hostId) => this.#host(hostId).runs);
    const free = this.#flight === null && this.recovery.phase === 'watched' && from !== undefined && from !== to;
    if (free && this.#host(from).answers && this.#host(to).answers && from === this.recovery.hostId)
      this.#flight = { from, to, untilMs: this.#nowMs + forMs };
    if (this.#flight?.to === to) this.#tell(to);
  }

  #tell(...hosts: readonly string[]): void {
    this.recovery = { ...this.recovery, toldHostIds: [...new Set([...this.recovery.toldHostIds, ...hosts])] };
  }

  #pass(ms: number): void {
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs;) {
      this.#nowMs += tickMs;
      this.#worldTurns();
      if (this.#nowMs % renewMs === 0) for (const hostId of hostIds) this.#renew(hostId);
      this.#tick();
      this.copiesMax = Math.max(this.copiesMax, this.copies);
    }
  }

  #worldTurns(): void {
    for (const host of this.#hosts.values()) {
      // An agent takes its time to end what it has to.
      const isOver = !leaseHolds(host.grant, this.#nowMs - terms.fenceMs + tickMs);
      if (host.isOn && isOver && host.grant.vmIds.length > 0) host.end('fenced');
    }
    this.#lateOrders();
    this.#flightTurns();
  }

  /** The hosts hand the VM over by themselves; the controller closes the migration when both have told. */
  #flightTurns(): void {
    const flight = this.#flight;
    if (flight === null || this.#nowMs < flight.untilMs) return;
    const [source, destination] = [this.#host(flight.from), this.#host(flight.to)];
    if (source.runs && source.isOn && destination.isOn) {
      [source.runs, source.ended, destination.runs] = [false, 'gone', true];
    }
    if (!source.answers || !destination.answers) return;
    this.#flight = null;
    if (destination.runs) this.#step({ kind: 'seen', hostId: flight.to, bootId: null, standing: 'here', migrationOpen: false });
    else if (!source.runs) this.#step({ kind: 'lost', hostIds: [flight.from, flight.to], endedOn: null });
  }

  /** What the daemon was told it does, unless the machine stopped meanwhile; its agent ends it when the lease is over. */
  #lateOrders(): void {
    for (const order of this.#pending.filter(({ atMs }) => this.#nowMs >= atMs)) {
      const host = this.#host(order.host);
      if (host.isOn && host.boots === order.boots) host.runs = true;
    }
    this.#pending = this.#pending.filter(({ atMs }) => this.#nowMs < atMs);
  }

  #renew(hostId: Host): void {
    const host = this.#host(hostId);
    const { phase, hostId: at } = this.recovery;
    const hosts = [this.#flight?.from, this.#flight?.to, at].filter((one) => typeof one === 'string');
    this.#tell(...hosts);
    if (at === null) this.#tell('a');
    if (!host.answers || !this.recovery.toldHostIds.includes(hostId)) return;
    const isBound = this.#flight !== null || phase !== 'watched' || at === hostId;
    if (!isBound) this.recovery = { ...this.recovery, coveredHostIds: this.recovery.coveredHostIds.filter((one) => one !== hostId) };
    this.#grant(host, isBound);
    if (!isBound) this.recovery = { ...this.recovery, toldHostIds: this.recovery.toldHostIds.filter((one) => one !== hostId) };
    if (host.grant.vmIds.length > 0) this.#cover(hostId);
    if (isBound)
      this.#step({ kind: 'seen', hostId, bootId: String(host.boots), standing: host.standing, migrationOpen: this.#flight !== null });
  }

  #grant(host: HostModel, isBound: boolean): void {
    const { stampMs } = host;
    if (stampMs !== null) host.sentAtMs = this.#nowMs;
    const endsAtMs = stampMs === null ? null : leaseEndMs(stampMs, this.#nowMs, terms);
    host.grant = renewed(host.grant, { endsAtMs, vmIds: isBound ? [vmId] : [] }, this.#nowMs);
    host.stampMs = this.#nowMs;
  }

  #cover(hostId: Host): void {
    this.recovery = { ...this.recovery, coveredHostIds: [...new Set([...this.recovery.coveredHostIds, hostId])] };
  }

  #isOver(hostId: Host): boolean {
    return this.#rules.isOver(this.#host(hostId).sentAtMs ?? 0, this.#nowMs, terms);
  }

  #tick(): void {
    const at = this.recovery.hostId as Host | null;
    const leaseOver = at !== null && !this.#host(at).answers && this.#isOver(at);
    const effect = this.#step({ kind: 'tick', migrationOpen: this.#flight !== null, leaseOver });
    if (effect.kind !== 'look') return;
    const hosts = hostIds.map((hostId): HostLook => {
      const host = this.#host(hostId);
      return { hostId, standing: host.answers ? host.standing : null, leaseOver: this.#isOver(hostId) };
    });
    const found = this.#step({ kind: 'looked', migrationOpen: this.#flight !== null, hosts, hasText: true });
    if (found.kind === 'choose') this.#start(found.unseen);
  }

  #start(unseen: boolean): void {
    const up = hostIds.filter((one) => this.#host(one).answers);
    const hostId = up[this.starts % up.length];
    if (hostId === undefined) return;
    const host = this.#host(hostId);
    this.#tell(hostId);
    for (let asked = 0; asked < 2; asked += 1) this.#grant(host, true);
    this.#cover(hostId);
    const effect = this.#step({ kind: 'chosen', hostId, bootId: String(host.boots), vmEpoch: this.recovery.vmEpoch + 1, why: 'a test' });
    if (effect.kind !== 'start') return;
    this.starts += 1;
    const { how, lateMs } = this.#orders;
    if (how === 'well') host.runs = true;
    else if (how === 'unheard' && lateMs !== null)
      this.#pending = [...this.#pending, { host: hostId, atMs: this.#nowMs + Math.min(lateMs, orderMsMax), boots: host.boots }];
    const outcomes = { well: 'started', refused: 'refused', unheard: 'unclear' } as const;
    this.#step({ kind: 'ordered', outcome: outcomes[how], unseen, why: 'a test' });
  }

  #step(event: RecoveryEvent) {
    const limits = { ...restartLimits, settleMs: this.#rules.settleMs, attemptsMax: 20 };
    const { recovery, effect } = step(this.recovery, this.#rules.told(event), this.#nowMs, limits);
    this.recovery = recovery;
    return effect;
  }
}
