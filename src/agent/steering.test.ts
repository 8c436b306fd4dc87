import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { PilotPolicy, Rung } from '#core/model/method.ts';
import { PlimsollError } from '#core/model/result.ts';
import { plan, progressOf, stalledRounds, vmId } from './examples.ts';
import { FakeHypervisor } from './fake-hypervisor.ts';
import { timerClock } from './fakes.ts';
import { Steering } from './steering.ts';

const outcome = { totalMs: 1, downtimeMs: 1, memorySentBytes: 1, iterations: 1 };
const limits = { unsupported: [], noProgressMsMax: 150_000 };
const throttle: Rung = { kind: 'auto-converge', initialPercent: 20, incrementPercent: 10 };
const raise: Rung = { kind: 'raise-downtime' };

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

/** A transfer that the test is the hypervisor of. */
class Run {
  readonly hypervisor = new FakeHypervisor();
  readonly steering: Steering;
  readonly abort = new AbortController();
  readonly logged: string[] = [];
  /** How it ended, and what the caller was told. */
  ended: unknown = null;
  #rounds: ReturnType<typeof stalledRounds> | null = null;

  constructor(ladder: readonly Rung[], changes: Partial<PilotPolicy> = {}, options: Partial<TransferPlan['options']> = {}) {
    const note = (message: string) => void this.logged.push(message);
    const wish: TransferPlan = { ...plan, options: { ...plan.options, ...options }, pilot: { ...plan.pilot, ladder, ...changes } };
    const log = { info: note, warn: note, error: note };
    this.steering = new Steering({ clock: timerClock, log, hypervisor: this.hypervisor }, vmId, wish, limits);
  }

  begin(): this {
    const request = { vmId, peerHostId: 'b', peerAddress: '10.1.0.2', streamSecurity: 'none' } as const;
    this.steering
      .run(
        (options, listen, signal) => this.hypervisor.migrate({ ...request, options }, listen, signal),
        () => undefined,
        this.abort.signal,
      )
      .then(
        (done) => (this.ended = done),
        (error: unknown) => (this.ended = error),
      );
    return this;
  }

  /** The VM writes as fast as it is sent, for so many seconds. */
  async stall(seconds: number): Promise<void> {
    this.#rounds ??= stalledRounds();
    for (let tick = 0; tick < seconds * 4 && this.ended === null; tick += 1) {
      this.hypervisor.progress(this.#rounds.next());
      await vi.advanceTimersByTimeAsync(250);
    }
  }

  async stallUntil(isSeen: () => boolean): Promise<void> {
    for (let second = 0; second < 300 && !isSeen(); second += 1) await this.stall(1);
    expect(isSeen()).toBe(true);
  }

  get sent() {
    return this.hypervisor.migrations.map(({ options }) => options);
  }

  get actions(): readonly string[] {
    return this.steering.decisions.map(({ action }) => action);
  }
}

describe('a transfer that does not come to an end by itself', () => {
  it('begins again with other options once the one under way is aborted, and tells so', async () => {
    const run = new Run([throttle]).begin();
    await run.stallUntil(() => run.sent.length > 1);
    expect(run.sent).toMatchObject([{ autoConverge: null }, { autoConverge: { initialPercent: 20, incrementPercent: 10 } }]);
    expect([run.ended, run.steering.attempts]).toEqual([null, 2]);
    expect(run.actions).toEqual(['begin again with auto-converge']);
    expect(run.logged).toEqual(run.actions);
    run.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(0);
    expect(run.ended).toEqual(outcome);
  });

  it('does not begin again when the one under way arrives all the same', async () => {
    const run = new Run([throttle]);
    run.hypervisor.migrate = notAborted(run.hypervisor);
    run.begin();
    await run.stallUntil(() => run.actions.length > 0);
    run.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(0);
    expect([run.ended, run.sent.length]).toEqual([outcome, 1]);
  });

  it.each(['hypervisor-unavailable', 'truth-unknown', 'post-copy-broken'] as const)(
    'does not begin again when it ends with %s, after which nobody here knows where the VM is',
    async (code) => {
      const run = new Run([throttle]);
      run.hypervisor.migrate = notAborted(run.hypervisor);
      run.begin();
      await run.stallUntil(() => run.actions.length > 0);
      run.hypervisor.fail(new PlimsollError(code, 'who knows'));
      await vi.advanceTimersByTimeAsync(0);
      expect(run.ended).toMatchObject({ code });
      expect(run.sent).toHaveLength(1);
    },
  );

  it('goes on as before, and with the next rung, when the hypervisor does not begin again', async () => {
    const run = new Run([throttle, raise]);
    const { migrate } = run.hypervisor;
    run.hypervisor.migrate = (request, ...rest) =>
      request.options.autoConverge === null
        ? migrate(request, ...rest)
        : Promise.reject(new PlimsollError('method-unsupported', 'no throttle here'));
    run.begin();
    await run.stallUntil(() => run.hypervisor.changes.length > 0);
    expect(run.sent).toMatchObject([{ autoConverge: null }, { autoConverge: null }]);
    expect([run.ended, run.steering.attempts]).toEqual([null, 2]);
    expect(run.hypervisor.changes[0]).toMatchObject({ kind: 'downtime' });
    expect(run.steering.decisions.map(({ reason }) => reason).join()).toContain('no throttle here');
  });

  it('is given up when the ladder ends, and the caller hears why', async () => {
    const run = new Run([]).begin();
    await run.stallUntil(() => run.ended !== null);
    expect(run.ended).toMatchObject({ code: 'not-converging', message: expect.stringContaining('stays on its source') });
    expect(run.actions).toEqual(['give up']);
  });

  it('is aborted by the user, who wins over whatever the autopilot is about to do', async () => {
    const run = new Run([throttle]);
    const { migrate } = run.hypervisor;
    // An abort takes its time.
    run.hypervisor.migrate = (request, onProgress, signal) =>
      migrate(request, onProgress, signal).catch(async (error: unknown) => {
        await timerClock.sleep(2000);
        throw error;
      });
    run.begin();
    await run.stallUntil(() => run.actions.length > 0);
    run.abort.abort(new PlimsollError('aborted', 'aborted on request'));
    await vi.advanceTimersByTimeAsync(10_000);
    expect(run.ended).toMatchObject({ code: 'aborted' });
    expect([run.sent.length, run.actions.length]).toEqual([1, 1]);
  });
});

/** A hypervisor that does not carry out an abort. */
function notAborted(hypervisor: FakeHypervisor): FakeHypervisor['migrate'] {
  const { migrate } = hypervisor;
  return (request, onProgress) => migrate(request, onProgress, new AbortController().signal);
}

describe('a change of a transfer under way', () => {
  it('is made by the hypervisor, which goes on with the same transfer', async () => {
    const run = new Run([raise]).begin();
    await run.stallUntil(() => run.hypervisor.changes.length > 0);
    expect(run.hypervisor.changes).toEqual([{ kind: 'downtime', downtimeMsMax: expect.any(Number) }]);
    expect(run.sent).toHaveLength(1);
  });

  it('that is refused is asked for again, and then the next rung is taken', async () => {
    const run = new Run([raise, throttle]);
    run.hypervisor.changeFault = new PlimsollError('vm-busy', 'too early');
    run.begin();
    await run.stallUntil(() => run.sent.length > 1);
    expect(run.hypervisor.changes.length).toBeGreaterThan(1);
    expect(run.steering.decisions.map(({ reason }) => reason).join()).toContain('too early');
    expect(run.sent.at(-1)).toMatchObject({ autoConverge: { initialPercent: 20 } });
  });

  it('that hangs counts as refused after five seconds, and is never asked for twice at a time', async () => {
    const run = new Run([raise, throttle], { patienceMs: 1000 });
    let open = 0;
    let most = 0;
    run.hypervisor.changeJob = async (_vmId, change, signal) => {
      run.hypervisor.changes.push(change);
      open += 1;
      most = Math.max(most, open);
      await new Promise((_, reject) => signal.addEventListener('abort', reject, { once: true })).finally(() => (open -= 1));
    };
    run.begin();
    await run.stallUntil(() => run.sent.length > 1);
    expect([most, open]).toEqual([1, 0]);
    expect(run.hypervisor.changes.length).toBeGreaterThan(1);
    expect(run.steering.decisions.map(({ reason }) => reason).join()).toContain('no answer within 5000 ms');
  });
});

describe('the autopilot', () => {
  it('is asked also while the hypervisor says nothing: a transfer without a byte is given up', async () => {
    const run = new Run([raise, throttle]).begin();
    await vi.advanceTimersByTimeAsync(140_000);
    expect(run.ended).toBeNull();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(run.ended).toMatchObject({ code: 'migration-stalled' });
    expect(run.sent).toHaveLength(1);
  });

  it('cancels a switch-over that stands still, and the caller hears of it', async () => {
    const run = new Run([]).begin();
    run.hypervisor.progress(progressOf());
    await vi.advanceTimersByTimeAsync(1000);
    run.hypervisor.progress(progressOf({ stage: 'stopped', memoryRemainingBytes: 2 ** 20, memorySentBytes: 2 ** 30 }));
    await vi.advanceTimersByTimeAsync(9000);
    expect(run.ended).toBeNull();
    await vi.advanceTimersByTimeAsync(2000);
    expect(run.ended).toMatchObject({ code: 'switch-over-stalled' });
  });

  it('says why it was cancelled also where the job did not hear of that, and failed', async () => {
    const run = new Run([]).begin();
    run.hypervisor.abortEnd = new PlimsollError('hypervisor-failed', 'the job failed unexpectedly');
    run.hypervisor.progress(progressOf({ stage: 'stopped', memoryRemainingBytes: 2 ** 20, memorySentBytes: 2 ** 30 }));
    await vi.advanceTimersByTimeAsync(12_000);
    expect(run.ended).toMatchObject({ code: 'switch-over-stalled', message: expect.stringContaining('(the job failed unexpectedly)') });
  });

  it('leaves a failure alone that says where the VM is', async () => {
    const run = new Run([]).begin();
    run.hypervisor.abortEnd = new PlimsollError('hypervisor-unavailable', 'libvirtd is gone');
    run.hypervisor.progress(progressOf({ stage: 'stopped', memoryRemainingBytes: 2 ** 20, memorySentBytes: 2 ** 30 }));
    await vi.advanceTimersByTimeAsync(12_000);
    expect(run.ended).toMatchObject({ code: 'hypervisor-unavailable' });
  });

  it('aborts nothing once the VM runs on its destination', async () => {
    const run = new Run([], { allowPostCopy: true }, { method: 'hybrid' }).begin();
    run.hypervisor.progress(progressOf());
    await vi.advanceTimersByTimeAsync(1000);
    run.hypervisor.progress(progressOf({ stage: 'post-copy' }));
    await vi.advanceTimersByTimeAsync(600_000);
    expect([run.ended, run.sent.length, run.hypervisor.abortsAsked]).toEqual([null, 1, 0]);
    expect(run.actions).toEqual(['wait for the link']);
  });

  it('is not asked any more when the transfer is over', async () => {
    const run = new Run([]).begin();
    run.hypervisor.complete(outcome);
    await vi.advanceTimersByTimeAsync(600_000);
    expect([run.ended, run.actions]).toEqual([outcome, []]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
