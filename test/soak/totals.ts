import { type Played, sumOf, type Tally, tallyOf } from '#sim/soak.ts';

export interface Spent {
  readonly realSeconds: number;
  readonly cpuSeconds: number;
}

/** What a soak has played so far. */
export class Totals {
  #seeds = 0;
  #virtualSeconds = 0;
  #events: Tally = {};
  #migrations: Tally = {};
  readonly #broken: Played[] = [];

  add(played: Played): void {
    this.#seeds += 1;
    this.#virtualSeconds += played.virtualSeconds;
    this.#events = sumOf(this.#events, played.events);
    this.#migrations = sumOf(this.#migrations, played.migrations);
    if (played.breaches.length > 0) this.#broken.push(played);
  }

  get seeds(): number {
    return this.#seeds;
  }

  get broken(): readonly Played[] {
    return this.#broken;
  }

  /** As it is printed at the end; `hosts` as it was asked for. */
  text(spent: Spent, hosts: number | null): string {
    const codes = tallyOf(this.#broken.map(({ breaches }) => breaches[0]?.code ?? 'unknown'));
    return [
      `seeds           ${this.#seeds}`,
      `virtual time    ${(this.#virtualSeconds / 3600).toFixed(1)} hours`,
      `real time       ${spent.realSeconds.toFixed(1)} s: ${timesOf(this.#virtualSeconds, spent.realSeconds)} as fast (${timesOf(this.#virtualSeconds, spent.cpuSeconds)} of CPU time, ${spent.cpuSeconds.toFixed(1)} s)`,
      `migrations      ${wordsOf(this.#migrations)}`,
      `events          ${wordsOf(this.#events)}`,
      `invariants      ${this.#broken.length === 0 ? 'none broken' : `broken in ${this.#broken.length} seeds: ${wordsOf(codes)}`}`,
      ...this.#broken.toSorted((a, b) => a.seed - b.seed).map((played) => `  ${breachLine(played, hosts)}`),
    ].join('\n');
  }
}

/** What broke, and how to see it again. */
export function breachLine({ seed, breaches }: Pick<Played, 'seed' | 'breaches'>, hosts: number | null): string {
  const what = breaches.map(({ code, message }) => `${code}: ${message}`).join('; ');
  return `seed ${seed}: ${what}\n    npm run sim:soak -- --seed ${seed}${hosts === null ? '' : ` --hosts ${hosts}`}`;
}

function timesOf(virtualSeconds: number, seconds: number): string {
  return seconds === 0 ? 'many times' : `${Math.round(virtualSeconds / seconds)} times`;
}

function wordsOf(tally: Tally): string {
  const names = Object.keys(tally).toSorted();
  return names.length === 0 ? 'none' : names.map((name) => `${name} ${tally[name] ?? 0}`).join(', ');
}
