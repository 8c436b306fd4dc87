/** What happened, and when: one entry each, with the seconds since the story began and a word for what it is. */
import { fold } from '#cli/fold.ts';

const timeWidth = 7;
const wordWidth = 9;
/** Seconds, their unit, the word, and the blanks between. */
const headWidth = timeWidth + wordWidth + 3;
const columnsElsewhere = 140;

export class StoryLog {
  readonly #write: (text: string) => void;
  readonly #columns: number;
  #startedAtMs = performance.now();

  constructor(write: (text: string) => void, columns: number | undefined) {
    this.#write = write;
    this.#columns = Math.max(80, columns ?? columnsElsewhere);
  }

  /** The clock of the log begins anew. */
  begin(title: string): void {
    this.#startedAtMs = performance.now();
    this.#write(`\n== ${title}\n`);
  }

  /** `text` may have several lines; what does not fit goes on below its beginning. */
  say(word: string, text: string): void {
    const head = `${this.elapsedSeconds()
      .toFixed(1)
      .padStart(timeWidth - 2)} s  ${word.padEnd(wordWidth)} `;
    const indent = ' '.repeat(head.length);
    const lines = fold(text, this.textColumns).split('\n');
    this.#write(lines.map((line, index) => `${index === 0 ? head : indent}${line}`.trimEnd()).join('\n') + '\n');
  }

  /** What is left for the text of an entry. */
  get textColumns(): number {
    return this.#columns - headWidth;
  }

  elapsedSeconds(): number {
    return (performance.now() - this.#startedAtMs) / 1000;
  }
}
