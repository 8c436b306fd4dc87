/** What the cluster's own migrations burn is not relieved by further ones. */
import { exampleSample, exampleVmSample, gibibyte } from '#core/load/examples.ts';
import type { PlanDraft } from '#core/model/plan.ts';
import { defaultPolicy, type Policy } from '#core/model/policy.ts';
import type { InFlight, Snapshot } from '#core/model/snapshot.ts';
import { bytes, cores } from '#core/model/units.ts';
import { exampleEntry, exampleSnapshot } from '#core/planner/examples.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { describe, expect, it } from 'vitest';
import { ClusterView } from './cluster-view.ts';
import { hello } from './fakes.ts';

const policy: Policy = {
  ...defaultPolicy,
  strategy: 'balance',
  cpuLine: { startPercent: 85, stopPercent: 80 },
  coolDownMs: 1000,
  coolDownMsMax: 1000,
};
const everyMs = 3000;

const vmOf = (vmId: string, used: number) => exampleVmSample(vmId, used, { vcpus: 8 });

/** Hosts a, b and c of 16 cores; the VM moves from a to b while `copying`, which takes 2 cores of the kernel and 0.2 of QEMU on both. */
class Story {
  nowMs = 1_000_000;
  copying = false;
  arrived = false;
  endedAtMs: number | null = null;
  readonly #view: ClusterView;
  #sequence = 0;

  readonly #policy: Policy;

  constructor(isHeld: boolean, migrationsPerHostMax: number) {
    this.#policy = { ...policy, migrationsPerHostMax };
    const copiedAt = (hostId: string) => (isHeld && this.copying && hostId !== 'c' ? ['vm'] : []);
    this.#view = new ClusterView(this.#policy, () => this.copying, undefined, copiedAt);
    for (const hostId of ['a', 'b', 'c']) {
      this.#view.adopt({ hostId, joinedAtMs: 1, addresses: null, lastSeenAtMs: null, revokedAtMs: null });
      this.#view.connect(hostId, hello(hostId));
    }
  }

  pass(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.nowMs += everyMs;
      this.#sequence += 1;
      const [kernel, qemu] = this.copying ? [2, 0.2] : [0, 0];
      const moving = exampleVmSample('vm', 1 + qemu);
      const incoming = exampleVmSample('vm', qemu, { state: 'incoming' });
      const [onA, onB] = this.arrived ? [[], [exampleVmSample('vm', 1)]] : [[moving], this.copying ? [incoming] : []];
      this.#take('a', 0.5 + kernel, [vmOf('x', 6.1), vmOf('y', 6.1), ...onA]);
      this.#take('b', 0.5 + kernel, [vmOf('z', 6), ...onB]);
      this.#take('c', 0.2, []);
    }
  }

  #take(hostId: string, other: number, vms: readonly ReturnType<typeof exampleVmSample>[]): void {
    const cpuUsedCores = cores(vms.reduce((sum, vm) => sum + (vm.cpuUsedCores ?? 0), other));
    const sample = exampleSample(
      { hostId, sequence: this.#sequence, takenAtMs: this.nowMs, vms },
      { cpuUsedCores, capacity: { cpuCores: cores(16), memoryBytes: bytes(64 * gibibyte) } },
    );
    expect(this.#view.ingest(sample, this.nowMs)).toEqual({ ok: true });
  }

  plan(): PlanDraft {
    const inFlight: readonly InFlight[] = this.copying ? [{ vmId: 'vm', fromHostId: 'a', toHostId: 'b' }] : [];
    const ended = { fromHostId: 'a', toHostId: 'b', endedAtMs: this.endedAtMs ?? 0, startedAtMs: (this.endedAtMs ?? 0) - 60_000 };
    const ledger = this.endedAtMs === null ? [] : [exampleEntry('vm', 0, ended)];
    const snapshot: Snapshot = {
      ...exampleSnapshot([], { policy: this.#policy }),
      takenAtMs: this.nowMs,
      ...this.#view.snapshot(this.nowMs),
      inFlight,
      ledger,
    };
    return makePlan(snapshot);
  }

  /** Plans as often as the controller looks, and returns what was moved. */
  movesDuring(ms: number): readonly string[] {
    const moved: string[] = [];
    for (const endMs = this.nowMs + ms; this.nowMs < endMs;) {
      this.pass(everyMs);
      moved.push(...this.plan().moves.map(({ vmName }) => vmName));
    }
    return moved;
  }
}

/** What is moved while the copy runs, and in the three minutes after its end. */
function told(isHeld: boolean, migrationsPerHostMax: number): { readonly during: readonly string[]; readonly after: readonly string[] } {
  const story = new Story(isHeld, migrationsPerHostMax);
  story.pass(120_000);
  expect(story.plan().moves).toMatchObject([{ fromHostId: 'a' }]);
  story.copying = true;
  const during = story.movesDuring(150_000);
  Object.assign(story, { copying: false, arrived: true, endedAtMs: story.nowMs });
  return { during, after: story.movesDuring(180_000) };
}

describe.each([1, 2])('by balance, with hosts that may take part in so many migrations: %i', (migrationsPerHostMax) => {
  it('a copy sets no further move going, neither while it runs nor after it', () => {
    expect(told(true, migrationsPerHostMax)).toEqual({ during: [], after: [] });
  });

  it('which it does where its CPU passes for load', () => {
    const { during, after } = told(false, migrationsPerHostMax);
    expect([during.length > 0, after.length > 0]).toEqual([migrationsPerHostMax > 1, true]);
  });
});
