/** Headings, and one line that is rewritten in place on a terminal and repeated now and then elsewhere. */
const repeatMs = 5000;

export class Screen {
  readonly #startedAtMs = performance.now();
  #live = false;
  #lastAtMs = Number.NEGATIVE_INFINITY;

  heading(text: string): void {
    this.line(`\n== ${text}  [${this.elapsedSeconds()} s]`);
  }

  line(text: string): void {
    this.#endLive();
    process.stdout.write(`${text}\n`);
  }

  /** Indented text of several lines. */
  block(text: string): void {
    for (const line of text.trimEnd().split('\n')) this.line(`   ${line}`);
  }

  live(text: string): void {
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\u{1b}[K   ${text}`.slice(0, (process.stdout.columns || 120) + 4));
      this.#live = true;
      return;
    }
    if (performance.now() - this.#lastAtMs < repeatMs) return;
    this.#lastAtMs = performance.now();
    process.stdout.write(`   ${text}\n`);
  }

  elapsedSeconds(): number {
    return Math.round((performance.now() - this.#startedAtMs) / 1000);
  }

  #endLive(): void {
    if (this.#live) process.stdout.write('\n');
    this.#live = false;
  }
}
