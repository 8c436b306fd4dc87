/** Chooses how a transfer is made, from what is asked for, what is allowed, what is possible, and what it is forecast to cost. */
import type { Prediction, TransferPlan } from '#core/model/forecast.ts';
import type { Decision, MethodWish, PilotPolicy, TransferOptions } from '#core/model/method.ts';
import type { Refusal, Result } from '#core/model/result.ts';
import { type Corrections, correctionsFrom, type Pair, type PastTransfer } from './calibration.ts';
import {
  type Asked,
  type ChoicePolicy,
  optionsFor,
  pilotFor,
  plainOptions,
  rungOptions,
  standstillFor,
  type StreamLimit,
} from './choice-options.ts';
import { span, standing } from './autopilot-words.ts';
import { limitFor, limitStretch, standstillAt } from './downtime-limit.ts';
import { optionWords, outlook, pace } from './forecast-words.ts';
import { type ForecastFacts, predict, stopsVm } from './prediction.ts';

export { candidateOptions, type ChoicePolicy, faultsFrom, type StreamLimit } from './choice-options.ts';

export interface ChoiceInput extends Asked {
  readonly wish: MethodWish;
  readonly policy: ChoicePolicy;
  readonly streams: StreamLimit;
  /** Why the hypervisor cannot make a transfer with these options. `faultsFrom` makes it from the answers to `candidateOptions`. */
  readonly methodFault: (options: TransferOptions) => Refusal | null;
  /** Null where they could not be measured. */
  readonly facts: ForecastFacts | null;
  readonly pair: Pair;
  readonly history: readonly PastTransfer[];
  readonly nowMs: number;
}

/** `decisions`: what was considered, put aside and taken, in this order. */
export type Choice = Result<{ readonly plan: TransferPlan }, { readonly refusal: Refusal }> & { readonly decisions: readonly Decision[] };

/**
 * A method that is asked for by name is taken, or refused with its reason; a pre-copy gets what it needs to come to an end as far as
 * the wish left it open, and is refused when it would not. `auto` is a pre-copy where that ends within the downtime budget, else a hybrid, else a
 * stop, each only where the policy allows it. What the hypervisor is told of the downtime is less than the VM may stand still, and what
 * is forecast must be within that. Refuses with `method-unsupported` (or the hypervisor's code), `post-copy-not-allowed`,
 * `downtime-budget`, `not-converging`.
 */
export function choosePlan(input: ChoiceInput): Choice {
  return new Chooser(input).choose();
}

/** Between the limit that is set and the budget, so many are tried. */
const raisedLimits = 8;

class Chooser {
  readonly #input: ChoiceInput;
  readonly #pilot: PilotPolicy;
  readonly #decisions: Decision[] = [];
  readonly #corrections = new Map<string, Corrections>();
  /** The shortest downtime of those that would come to an end, and would stop the VM for too long. */
  #shortestStopMs: number | null = null;

  constructor(input: ChoiceInput) {
    this.#input = input;
    this.#pilot = pilotFor(input);
  }

  choose(): Choice {
    const { wish, streams } = this.#input;
    if (wish.streams !== undefined && wish.streams > streams.max) {
      const message = `${wish.streams} streams cannot be had here: ${streams.reason}; ask for at most ${streams.max}`;
      return this.#refuse({ code: 'method-unsupported', message });
    }
    if (wish.method !== 'auto' && wish.method !== 'pre-copy') return this.#named(wish.method);
    return this.#preCopy();
  }

  #named(method: Exclude<MethodWish['method'], 'auto' | 'pre-copy'>): Choice {
    const { facts, wish } = this.#input;
    const options = this.#withLimit(optionsFor(method, this.#input));
    if ((method === 'post-copy' || method === 'hybrid') && !this.#pilot.allowPostCopy) {
      const message = `${method} is not allowed by the policy, because the VM is lost if either host dies in it: allow post-copy there, or take another method`;
      return this.#refuse({ code: 'post-copy-not-allowed', message });
    }
    const fault = this.#input.methodFault(options);
    if (fault !== null) return this.#refuse(fault);
    if (facts === null) return this.#take(options, null, `${method} was asked for; ${unknownWords}`);
    const prediction = this.#predict(options, facts);
    const stopMs = prediction.downtimeMs.expected;
    // Who asks for post-copy by name takes its wait for pages, unless they say how long it may be.
    const allowedMs = wish.downtimeMsMax ?? (stopsVm(options) ? this.#stopMsAllowed : Number.POSITIVE_INFINITY);
    if (stopMs > allowedMs) {
      const message = `${method} would stop the VM for about ${span(stopMs)}, and ${span(allowedMs)} is accepted: ask for a downtime of at least ${span(stopMs)}, or take ${stopsVm(options) ? 'a live' : 'another'} method`;
      return this.#refuse({ code: 'downtime-budget', message });
    }
    return this.#take(options, prediction, `${method} was asked for: ${outlook(prediction)}`);
  }

  #preCopy(): Choice {
    const { facts, wish } = this.#input;
    const base = this.#base();
    if (wish.method === 'pre-copy' && !base.ok) return this.#refuse(base.refusal);
    if (facts === null) {
      return base.ok
        ? this.#take(base.options, null, `pre-copy, watched by the autopilot: ${unknownWords}; ${this.#standing(base.options)}`)
        : this.#refuse(base.refusal);
    }
    const chosen = base.ok ? this.#converging(base.options, facts) : null;
    if (chosen !== null) return this.#take(chosen.options, chosen.prediction, this.#whyPreCopy(chosen, facts));
    const other = wish.method === 'auto' ? (this.#hybrid(facts) ?? this.#stop(facts)) : null;
    if (other !== null) return other;
    return this.#refuse(base.ok ? this.#notConverging(base.options, facts) : base.refusal);
  }

  /** A pre-copy as the policy would have it, or only as the wish says, when the hypervisor cannot do more. */
  #base(): Result<{ readonly options: TransferOptions }, { readonly refusal: Refusal }> {
    const wanted = this.#withLimit(optionsFor('pre-copy', this.#input));
    const { policy, streams, wish } = this.#input;
    if (wish.streams === undefined && policy.migration.streams > streams.max) {
      this.#putAside(`${policy.migration.streams} streams`, streams.reason);
    }
    const fault = this.#input.methodFault(wanted);
    if (fault === null) return { ok: true, options: wanted };
    this.#putAside(optionWords(wanted), fault.message);
    const plain = this.#withLimit(plainOptions('pre-copy', this.#input));
    const plainFault = this.#input.methodFault(plain);
    return plainFault === null ? { ok: true, options: plain } : { ok: false, refusal: plainFault };
  }

  /** The base, then with what the ladder offers: the first that comes to an end, also when the channel carries less than was measured. */
  #converging(base: TransferOptions, facts: ForecastFacts): Chosen | null {
    for (const options of [base, ...rungOptions(base, this.#pilot.ladder)]) {
      const fault = this.#input.methodFault(options);
      if (fault !== null) {
        this.#putAside(optionWords(options), fault.message);
        continue;
      }
      const limits = this.#limits(options);
      const tried = limits.map((downtimeMsMax) => this.#try({ ...options, downtimeMsMax }, facts));
      const found = tried.find((candidate) => candidate.why === null);
      if (found !== undefined) return found;
      const last = tried.find((candidate) => candidate.options.downtimeMsMax === Math.max(...limits));
      if (last !== undefined) this.#putAside(optionWords(last.options), last.why ?? '');
    }
    return null;
  }

  /** The limit itself, then raised up to that of the budget, where the ladder has that rung; then lowered, for a pair that takes longer. */
  #limits(options: TransferOptions): readonly number[] {
    const { downtimeMsMax: limitMs } = this.#withLimit(options);
    const room = limitFor(this.#pilot.downtimeMsBudget, this.#stretch(options)) - limitMs;
    const raises = room > 0 && this.#pilot.ladder.some((rung) => rung.kind === 'raise-downtime');
    const raised = raises
      ? Array.from({ length: raisedLimits }, (_, index) => Math.floor(limitMs + (room * (index + 1)) / raisedLimits))
      : [];
    return [limitMs, ...raised, Math.ceil(limitMs / 2), Math.ceil(limitMs / 4)];
  }

  #try(options: TransferOptions, facts: ForecastFacts): Chosen {
    const prediction = this.#predict(options, facts);
    const margin = this.#margin;
    const { bandwidth } = facts;
    const slower = { ...facts, bandwidth: { ...bandwidth, bytesPerSecond: bandwidth.bytesPerSecond / (1 + margin) } };
    if (!prediction.converges) {
      return { options, prediction, why: `${pace(prediction, options)}: it would not come to an end` };
    }
    if (!this.#predict(options, slower).converges) {
      return {
        options,
        prediction,
        why: `${pace(prediction, options)}: it would end only just, with less margin than ${percentOf(margin)}`,
      };
    }
    const { downtimeMsBudget: budgetMs } = this.#pilot;
    const stopMs = prediction.downtimeMs.expected;
    if (stopMs * (1 + margin) > budgetMs) {
      this.#shortestStopMs = Math.min(this.#shortestStopMs ?? stopMs, stopMs);
      const why = `the VM would be stopped for about ${span(stopMs)}, which with a margin of ${percentOf(margin)} is above the budget of ${span(budgetMs)}`;
      return { options, prediction, why };
    }
    return { options, prediction, why: null };
  }

  #hybrid(facts: ForecastFacts): Choice | null {
    const options = plainOptions('hybrid', this.#input);
    if (!this.#pilot.allowPostCopy) return this.#putAside('hybrid', 'post-copy is not allowed by the policy');
    const fault = this.#input.methodFault(options);
    if (fault !== null) return this.#putAside('hybrid', fault.message);
    const prediction = this.#predict(options, facts);
    const stopMs = prediction.downtimeMs.expected;
    const allowedMs = this.#stopMsAllowed;
    if (stopMs > allowedMs) {
      return this.#putAside('hybrid', `it would stop the VM for about ${span(stopMs)}, and ${span(allowedMs)} is accepted`);
    }
    return this.#take(
      options,
      prediction,
      `hybrid, because a pre-copy would not end: ${pace(prediction, options)}; ${outlook(prediction)}`,
    );
  }

  #stop(facts: ForecastFacts): Choice | null {
    const { stopMsMax } = this.#pilot;
    if (!(stopMsMax > 0)) return this.#putAside('stop-and-copy', 'the policy accepts no stop of the VM');
    const options = plainOptions('stop-and-copy', this.#input);
    const fault = this.#input.methodFault(options);
    if (fault !== null) return this.#putAside('stop-and-copy', fault.message);
    const prediction = this.#predict(options, facts);
    const stopMs = prediction.downtimeMs.expected;
    if (stopMs > stopMsMax) {
      return this.#putAside('stop-and-copy', `it would stop the VM for about ${span(stopMs)}, and ${span(stopMsMax)} is accepted`);
    }
    const reason = `stop-and-copy, because a pre-copy would not end: ${pace(prediction, options)}; the VM is stopped for about ${span(stopMs)}, ${span(stopMsMax)} is accepted`;
    return this.#take(options, prediction, reason);
  }

  #whyPreCopy({ options, prediction }: Chosen, facts: ForecastFacts): string {
    const base = this.#withLimit(optionsFor('pre-copy', this.#input));
    const added = optionWords(options) === optionWords(base) ? 'pre-copy' : optionWords(options);
    const by = prediction.correctedBy > 0 ? `, corrected by ${prediction.correctedBy} earlier` : '';
    const used = facts.activity.usedBytes === null ? ', its used memory is not known' : '';
    return `${added}: ${pace(prediction, options)}${used}; ${outlook(prediction)}${by}; ${this.#standing(options)}`;
  }

  #notConverging(base: TransferOptions, facts: ForecastFacts): Refusal {
    const { downtimeMsBudget: budgetMs } = this.#pilot;
    if (this.#shortestStopMs !== null) {
      const stopMs = this.#shortestStopMs;
      const neededMs = stopMs * (1 + this.#margin);
      const message = `pre-copy would stop the VM for about ${span(stopMs)} at least, which with a margin of ${percentOf(this.#margin)} is above the ${span(budgetMs)} that it may stand still: ask for a downtime of at least ${span(neededMs)}`;
      return { code: 'downtime-budget', message };
    }
    const limitMs = Math.max(...this.#limits(base));
    const options = { ...base, downtimeMsMax: limitMs };
    const prediction = this.#predict(options, facts);
    const carries = Math.max(
      1,
      base.bandwidthBytesPerSecond > 0
        ? Math.min(base.bandwidthBytesPerSecond, facts.bandwidth.bytesPerSecond)
        : facts.bandwidth.bytesPerSecond,
    );
    const neededMs =
      Math.max(prediction.downtimeMs.expected, standstillAt((facts.activity.workingSetBytes / carries) * 1000, this.#stretch(base))) *
      (1 + this.#margin);
    const help = [`a downtime of about ${span(neededMs)}`];
    if (base.bandwidthBytesPerSecond > 0) help.push('a higher bandwidth cap');
    if (!this.#pilot.ladder.some((rung) => rung.kind === 'auto-converge') && base.autoConverge === null)
      help.push('auto-converge, which slows the VM down');
    if (!this.#pilot.allowPostCopy) help.push('post-copy, where its risk is accepted');
    const stopMs = this.#predict(plainOptions('stop-and-copy', this.#input), facts).downtimeMs.expected;
    if (stopMs > this.#pilot.stopMsMax) help.push(`a stop of about ${span(stopMs)}`);
    const end = `pre-copy would not end (${this.#standing(options)})`;
    const message = `${pace(prediction, options)}: ${end}; what would help: ${help.join(', ')}, or a time when the VM writes less`;
    return { code: 'not-converging', message };
  }

  /** Longest stop that is accepted rather than not moving the VM; a wish has the last word. */
  get #stopMsAllowed(): number {
    return Math.max(this.#pilot.downtimeMsBudget, this.#pilot.stopMsMax);
  }

  get #margin(): number {
    return Math.max(0, this.#input.policy.migration.predictionMarginPercent) / 100;
  }

  #predict(options: TransferOptions, facts: ForecastFacts): Prediction {
    return predict(options, { ...facts, corrections: this.#correctionsFor(options) });
  }

  #correctionsFor(options: TransferOptions): Corrections {
    const key = `${options.method} ${options.streams > 1} ${options.compression}`;
    const { history, pair } = this.#input;
    const corrections = this.#corrections.get(key) ?? correctionsFrom(history, { pair, options });
    this.#corrections.set(key, corrections);
    return corrections;
  }

  #stretch(options: TransferOptions): number {
    return this.#correctionsFor(options).limitStretch;
  }

  /** That of the wish or the policy, by what this pair has taught. */
  #withLimit(options: TransferOptions): TransferOptions {
    return { ...options, downtimeMsMax: limitFor(standstillFor(this.#input), this.#stretch(options)) };
  }

  #standing(options: TransferOptions): string {
    return standing(this.#mayStandMs(options), options.downtimeMsMax);
  }

  /** What is asked for to begin with, or where the limit was raised the budget. */
  #mayStandMs(options: TransferOptions): number {
    const isRaised = options.downtimeMsMax > this.#withLimit(options).downtimeMsMax;
    return isRaised ? this.#pilot.downtimeMsBudget : standstillFor(this.#input);
  }

  /** The autopilot knows nothing of the pair: where limits were stretched by more, it gets a budget whose limit is right here. */
  #pilotWith(options: TransferOptions): PilotPolicy {
    const stretch = this.#stretch(options);
    const { downtimeMsBudget } = this.#pilot;
    if (stretch <= limitStretch) return this.#pilot;
    const budgetMs = Math.min(downtimeMsBudget, Math.floor(standstillAt(limitFor(downtimeMsBudget, stretch))));
    if (budgetMs === downtimeMsBudget) return this.#pilot;
    const times = Math.round(stretch * 100) / 100;
    this.#decide(
      `budget the autopilot ${span(budgetMs)}`,
      `VMs of this pair stood still for up to ${times} times what QEMU was told, and for the hand-over: ${standing(downtimeMsBudget, limitFor(downtimeMsBudget, stretch))} at most`,
    );
    return { ...this.#pilot, downtimeMsBudget: budgetMs };
  }

  #putAside(what: string, reason: string): null {
    this.#decide(`put aside ${what}`, reason);
    return null;
  }

  #take(options: TransferOptions, prediction: Prediction | null, reason: string): Choice {
    const pilot = this.#pilotWith(options);
    this.#decide(`start ${optionWords(options)}`, reason);
    return { ok: true, plan: { options, pilot, reason, prediction }, decisions: this.#decisions };
  }

  #refuse(refusal: Refusal): Choice {
    this.#decide('refuse', refusal.message);
    return { ok: false, refusal, decisions: this.#decisions };
  }

  #decide(action: string, reason: string): void {
    this.#decisions.push({ by: 'choice', atMs: this.#input.nowMs, elapsedMs: 0, action, reason });
  }
}

interface Chosen {
  readonly options: TransferOptions;
  readonly prediction: Prediction;
  /** Why it is not taken; null: it is. */
  readonly why: string | null;
}

const unknownWords = 'how fast the VM writes, or what the channel carries, could not be measured, so nothing is predicted';

function percentOf(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}
