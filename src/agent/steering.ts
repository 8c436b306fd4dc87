import {
  actionFailed,
  pilot,
  type PilotAction,
  type PilotLimits,
  type PilotState,
  type PilotStep,
  restarted,
  startPilot,
} from '#core/migration/autopilot.ts';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Decision, TransferOptions } from '#core/model/method.ts';
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Clock, Hypervisor, JobChange, Log } from '#core/ports.ts';
import { pause, withDeadline } from '#core/time.ts';

const tickMs = 250;
const changeMsMax = 5_000;

/** One transfer of the hypervisor from its first to its last byte. Rejects as `Hypervisor.migrate` does. */
export type Attempt = (options: TransferOptions, onProgress: (progress: Progress) => void, signal: AbortSignal) => Promise<JobOutcome>;

export interface SteeringParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly hypervisor: Pick<Hypervisor, 'changeJob'>;
}

/** Does what the autopilot says to the transfer of one VM: changes it, begins it again with other options, or ends it. */
export class Steering {
  readonly #parts: SteeringParts;
  readonly #vmId: VmId;
  readonly #decisions: Decision[] = [];
  #state: PilotState;
  #options: TransferOptions;
  #attempts = 0;
  /** The newest word of the hypervisor that the autopilot has not heard yet. */
  #news: Progress | null = null;
  /** Why this attempt is ended by us; null while nobody wants that. */
  #ending: { readonly next: TransferOptions | null; readonly why: PlimsollError } | null = null;
  #isChanging = false;

  constructor(parts: SteeringParts, vmId: VmId, plan: TransferPlan, limits: PilotLimits) {
    this.#parts = parts;
    this.#vmId = vmId;
    this.#options = plan.options;
    this.#state = startPilot(plan, parts.clock.nowMs(), limits);
  }

  get decisions(): readonly Decision[] {
    return this.#decisions;
  }

  get attempts(): number {
    return this.#attempts;
  }

  /** Rejects with the autopilot's refusal when it gives up, else as the attempt does. */
  async run(attempt: Attempt, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    for (;;) {
      const abort = new AbortController();
      const over = new AbortController();
      this.#ending = null;
      this.#news = null;
      this.#attempts += 1;
      const listen = (progress: Progress): void => {
        this.#news = progress;
        onProgress(progress);
      };
      void this.#watch(abort, over.signal);
      try {
        return await attempt(this.#options, listen, AbortSignal.any([signal, abort.signal]));
      } catch (error) {
        const next = this.#next(signal);
        if (next === null) throw this.#reason(error, signal);
        this.#options = next;
        this.#state = restarted(this.#state, this.#parts.clock.nowMs());
      } finally {
        over.abort();
      }
    }
  }

  async #watch(abort: AbortController, over: AbortSignal): Promise<void> {
    while (await pause(this.#parts.clock, tickMs, over)) {
      if (this.#ending !== null || this.#isChanging) continue;
      const news = this.#news;
      this.#news = null;
      this.#do(pilot(this.#state, news, this.#parts.clock.nowMs()), abort);
    }
  }

  /** What to go on with after an attempt that this class has ended; null for the end of the transfer. */
  #next({ aborted }: AbortSignal): TransferOptions | null {
    return aborted ? null : (this.#ending?.next ?? null);
  }

  /** Where the VM is says more than why the attempt was ended. */
  #reason(error: unknown, { aborted }: AbortSignal): unknown {
    const { code } = refusalOf(error);
    return this.#ending === null || aborted || code !== 'aborted' ? error : this.#ending.why;
  }

  #do({ state, action, decision }: PilotStep, abort: AbortController): void {
    this.#state = state;
    if (decision !== null) this.#note(decision);
    this.#act(action, abort);
  }

  #act(action: PilotAction, abort: AbortController): void {
    switch (action.kind) {
      case 'continue':
        return;
      case 'set-downtime':
        void this.#change(action, { kind: 'downtime', downtimeMsMax: action.downtimeMsMax });
        return;
      case 'post-copy':
      case 'stop':
        void this.#change(action, { kind: action.kind });
        return;
      case 'restart':
        this.#end(abort, action.options, new PlimsollError('aborted', 'the transfer begins again with other options'));
        return;
      case 'cancel-switch-over':
      case 'give-up':
        this.#end(abort, null, new PlimsollError(action.refusal.code, action.refusal.message));
        return;
      default:
        action satisfies never;
    }
  }

  #end(abort: AbortController, next: TransferOptions | null, why: PlimsollError): void {
    this.#ending = { next, why };
    abort.abort(why);
  }

  /** One at a time; the autopilot hears of a refusal and tries again, or something else. */
  async #change(action: PilotAction, change: JobChange): Promise<void> {
    this.#isChanging = true;
    const { clock, hypervisor } = this.#parts;
    const going = new AbortController().signal;
    try {
      await withDeadline(clock, changeMsMax, going, (limited) => hypervisor.changeJob(this.#vmId, change, limited));
    } catch (error) {
      this.#state = actionFailed(this.#state, action, refusalOf(error, 'hypervisor-failed'), clock.nowMs());
    } finally {
      this.#isChanging = false;
    }
  }

  #note(decision: Decision): void {
    this.#decisions.push(decision);
    this.#parts.log.info(decision.action, { vmId: this.#vmId, reason: decision.reason });
  }
}
