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
import { PlimsollError, type Refusal, type RefusalCode, refusalOf } from '#core/model/result.ts';
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

/** The order to begin again. */
type RestartOrder = Extract<PilotAction, { readonly kind: 'restart' }>;

/** Why an attempt is ended by us, and how to go on; null for not at all. */
interface Ending {
  readonly next: RestartOrder | null;
  readonly why: PlimsollError;
}

/** What to go back to when the hypervisor does not begin again. */
interface Restart {
  readonly order: RestartOrder;
  readonly state: PilotState;
  readonly options: TransferOptions;
}

type Tried =
  | { readonly kind: 'arrived'; readonly outcome: JobOutcome }
  /** `hasBegun`: the hypervisor has told of progress. */
  | { readonly kind: 'failed'; readonly error: unknown; readonly hasBegun: boolean };

/** Codes of a hypervisor that cannot make such a transfer, and has begun none. */
const cannotCodes: readonly RefusalCode[] = ['method-unsupported', 'version-unsupported', 'input-invalid'];

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
  #ending: Ending | null = null;
  #isChanging = false;

  constructor(parts: SteeringParts, vmId: VmId, plan: TransferPlan, limits: PilotLimits) {
    this.#parts = parts;
    this.#vmId = vmId;
    this.#options = plan.options;
    this.#state = startPilot(plan, parts.clock.nowMs(), limits);
  }

  /** Oldest first. */
  get decisions(): readonly Decision[] {
    return this.#decisions;
  }

  /** Transfers that were begun. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Rejects with the autopilot's refusal when it gives up, else as the attempt does. */
  async run(attempt: Attempt, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    let restart: Restart | null = null;
    for (;;) {
      const tried = await this.#try(attempt, onProgress, signal);
      if (tried.kind === 'arrived') return tried.outcome;
      const refusal = refusalOf(tried.error);
      if (signal.aborted) throw tried.error;
      if (restart !== null && !tried.hasBegun && this.#ending === null && cannotCodes.includes(refusal.code)) {
        this.#goBack(restart, refusal);
        restart = null;
      } else {
        // Only a VM that runs here may be sent again: where it is after any other failure, both hosts are asked.
        const order = refusal.code === 'aborted' ? (this.#ending?.next ?? null) : null;
        if (order === null) throw this.#reason(tried.error);
        restart = this.#beginAgain(order);
      }
    }
  }

  async #try(attempt: Attempt, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<Tried> {
    const abort = new AbortController();
    const over = new AbortController();
    this.#ending = null;
    this.#news = null;
    this.#attempts += 1;
    let hasBegun = false;
    const listen = (progress: Progress): void => {
      hasBegun = true;
      this.#news = progress;
      onProgress(progress);
    };
    void this.#watch(abort, AbortSignal.any([signal, over.signal]));
    try {
      return { kind: 'arrived', outcome: await attempt(this.#options, listen, AbortSignal.any([signal, abort.signal])) };
    } catch (error) {
      return { kind: 'failed', error, hasBegun };
    } finally {
      over.abort();
    }
  }

  #beginAgain(order: RestartOrder): Restart {
    const before: Restart = { order, state: this.#state, options: this.#options };
    this.#options = order.options;
    this.#state = restarted(this.#state, this.#parts.clock.nowMs());
    return before;
  }

  /** As the transfer was before the rung that the hypervisor does not take; the autopilot goes on to the next. */
  #goBack({ order, state, options }: Restart, refusal: Refusal): void {
    this.#attempts -= 1;
    this.#options = options;
    this.#state = actionFailed(state, order, refusal, this.#parts.clock.nowMs());
  }

  async #watch(abort: AbortController, over: AbortSignal): Promise<void> {
    while (await pause(this.#parts.clock, tickMs, over)) {
      if (over.aborted) return;
      if (this.#isChanging) continue;
      const news = this.#news;
      this.#news = null;
      this.#do(pilot(this.#state, news, this.#parts.clock.nowMs()), abort);
    }
  }

  /**
   * Where the VM is says more than why the attempt was ended. That a job which was to end has failed says neither: a hypervisor that
   * heard no abort, because its link was dead, ends so too.
   */
  #reason(error: unknown): unknown {
    const refusal = refusalOf(error);
    if (this.#ending === null || (refusal.code !== 'aborted' && refusal.code !== 'hypervisor-failed')) return error;
    const { why } = this.#ending;
    return refusal.code === 'aborted' ? why : new PlimsollError(why.code, `${why.message} (${refusal.message})`, { cause: error });
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
        this.#end(abort, action, new PlimsollError('aborted', 'the transfer begins again with other options'));
        return;
      case 'cancel-switch-over':
      case 'give-up':
        this.#end(abort, null, new PlimsollError(action.refusal.code, action.refusal.message));
        return;
      default:
        action satisfies never;
    }
  }

  #end(abort: AbortController, next: RestartOrder | null, why: PlimsollError): void {
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
