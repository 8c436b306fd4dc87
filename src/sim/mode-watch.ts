import type { Migration } from '#core/model/migration.ts';
import type { Mode } from '#core/model/policy.ts';
import { type Breach, breach } from './breach.ts';

/** What a plan was about to begin when the mode changed. */
const lateMs = 1000;

/** Plans move VMs by themselves in `automatic` only, and by a person's word in every mode but `observe`. */
export class ModeWatch {
  readonly #elapsedMs: () => number;
  #mode: Mode;
  #sinceMs = 0;
  readonly #found: Breach[] = [];

  /** `mode`: of a controller that was never told another one. */
  constructor(mode: Mode, elapsedMs: () => number) {
    this.#mode = mode;
    this.#elapsedMs = elapsedMs;
  }

  get found(): readonly Breach[] {
    return this.#found;
  }

  changed(mode: Mode): void {
    if (mode !== this.#mode) this.#sinceMs = this.#elapsedMs();
    this.#mode = mode;
  }

  /** It is durable for the first time. */
  asked({ request: { cause, vmName, planId } }: Migration): void {
    if (this.#elapsedMs() - this.#sinceMs < lateMs) return;
    const isByItself = cause === 'balance' && this.#mode !== 'automatic';
    const isByPlan = planId !== null && this.#mode === 'observe';
    if (isByItself || isByPlan) this.#found.push(breach('mode-disobeyed', `a plan moves ${vmName} in mode ${this.#mode}`));
  }
}
