/** What migrations and dry runs have shown of channels and of VMs' memory: for planning, which looks at neither itself. */
import { type Corrections, correctionsFrom, type PastTransfer, pastTransferOf } from '#core/migration/calibration.ts';
import type { MeasuredBandwidth, MemoryActivity } from '#core/model/forecast.ts';
import type { Migration } from '#core/model/migration.ts';
import type { PairBandwidth, VmFacts } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Store } from '#core/store.ts';
import { pairKey } from './busy-pairs.ts';
import type { Ends } from './securing.ts';
import type { SaidOfVm } from './vm-settings.ts';

const historyKept = 500;
const pairsMax = 10_000;
const vmsMax = 200_000;
/** What a VM did to its memory longer ago says nothing about today. */
const activityAgeMsMax = 24 * 3_600_000;
/** As for any other prediction, fewer of the pair itself say less than those of all pairs. */
const ofPairMin = 3;
const options = { method: 'pre-copy', streams: 1, compression: 'none' } as const;

interface KnownPair {
  readonly hostA: string;
  readonly hostB: string;
  readonly measured: MeasuredBandwidth;
}

/** A channel's last measure stands until the next one: an old figure is better than none. */
export class TransferKnowledge {
  readonly #pairs = new Map<string, KnownPair>();
  readonly #activities = new Map<VmId, MemoryActivity>();
  /** Newest first. */
  #history: readonly PastTransfer[] = [];
  #ofAll: Corrections | null = null;
  readonly #ofPair = new Map<string, Corrections>();

  static async load(store: Pick<Store, 'migrations'>): Promise<TransferKnowledge> {
    const knowledge = new TransferKnowledge();
    const migrations = await store.migrations({ open: false, outcome: 'moved', limit: historyKept });
    for (const migration of migrations.toReversed()) knowledge.noteMoved(migration);
    return knowledge;
  }

  noteBandwidth({ fromHostId, toHostId }: Ends, measured: MeasuredBandwidth): void {
    if (!(measured.bytesPerSecond > 0)) return;
    const [hostA, hostB] = fromHostId < toHostId ? [fromHostId, toHostId] : [toHostId, fromHostId];
    putNewest(this.#pairs, pairKey(hostA, hostB), { hostA, hostB, measured }, pairsMax);
  }

  noteActivity(vmId: VmId, activity: MemoryActivity): void {
    putNewest(this.#activities, vmId, activity, vmsMax);
  }

  /** What a migration that has ended well was told of its channel and its VM, and how right the model was. */
  noteMoved(migration: Migration): void {
    const past = pastTransferOf(migration);
    if (past === null) return;
    const { request } = migration;
    const { bandwidth, activity } = past.prediction;
    const key = pairKey(request.fromHostId, request.toHostId);
    if (request.channelKind === 'ipsec' && bandwidth.measuredAtMs >= (this.#pairs.get(key)?.measured.measuredAtMs ?? 0))
      this.noteBandwidth(request, bandwidth);
    if (activity.measuredAtMs >= (this.#activities.get(request.vmId)?.measuredAtMs ?? 0)) this.noteActivity(request.vmId, activity);
    this.#history = [past, ...this.#history].slice(0, historyKept);
    this.#ofAll = null;
    this.#ofPair.delete(key);
  }

  /** What migrations are expected to get of each channel that was measured. */
  bandwidths(): readonly PairBandwidth[] {
    return [...this.#pairs].map(([key, { hostA, hostB, measured }]) => {
      const { bandwidth, total, downtime, bytes } = this.#correctionsOf(key);
      const { bytesPerSecond, measuredAtMs, by } = measured;
      return { hostA, hostB, bytesPerSecond: bytesPerSecond * bandwidth[by], measuredAtMs, factors: { total, downtime, bytes } };
    });
  }

  /** `said`: what operators say of VMs. Each VM of which anything is known, once. */
  vmFacts(said: readonly SaidOfVm[], nowMs: number): readonly VmFacts[] {
    const facts = new Map<VmId, VmFacts>(said.map((known) => [known.vmId, { ...known, activity: this.activityOf(known.vmId, nowMs) }]));
    for (const vmId of this.#activities.keys()) {
      const activity = facts.has(vmId) ? null : this.activityOf(vmId, nowMs);
      if (activity !== null) facts.set(vmId, { vmId, slaClass: null, tenant: null, activity });
    }
    return [...facts.values()];
  }

  /** Null where it was not looked at within a day. */
  activityOf(vmId: VmId, nowMs: number): MemoryActivity | null {
    const activity = this.#activities.get(vmId);
    if (activity !== undefined && nowMs - activity.measuredAtMs <= activityAgeMsMax) return activity;
    this.#activities.delete(vmId);
    return null;
  }

  /** Those of all pairs are the same to each that has few of its own: calculated once, not for thousands of pairs. */
  #correctionsOf(key: string): Corrections {
    const own = this.#ofPair.get(key) ?? this.#correctionsOfPair(key);
    if (own !== null) {
      this.#ofPair.set(key, own);
      return own;
    }
    this.#ofAll ??= correctionsFrom(this.#history, { pair: { fromHostId: '', toHostId: '' }, options });
    return this.#ofAll;
  }

  #correctionsOfPair(key: string): Corrections | null {
    const past = this.#history.filter(({ pair }) => pairKey(pair.fromHostId, pair.toHostId) === key);
    const [first] = past;
    if (first === undefined || past.length < ofPairMin) return null;
    const corrections = correctionsFrom(past, { pair: first.pair, options });
    return corrections.scope === 'pair' ? corrections : null;
  }
}

/** With the newest last, so that what is dropped first is what was not heard of for longest. */
function putNewest<Value>(map: Map<string, Value>, key: string, value: Value, max: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= max) break;
    map.delete(oldest);
  }
}
