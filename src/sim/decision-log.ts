import type { Log, LogFields } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

const subjectWidth = 12;
const repeatedShown = 40;

/** The story of a run: one line per decision, virtual seconds first. The same seed gives the same bytes. */
export class DecisionLog {
  readonly #time: VirtualTime;
  readonly #lines: string[] = [];
  readonly #last = new Map<string, { readonly sentence: string; again: number }>();

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get text(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /**
   * The Log port of one process. `told` may claim a message that another line tells better. What is said again and
   * again is told once, and how often it was said when something else follows.
   */
  port(subject: string, told: (message: string, fields: LogFields) => boolean): Log {
    const write = (mark: string, message: string, fields: LogFields = {}) => {
      if (!told(message, fields)) this.#noteOnce(subject, `${mark}${message}${fieldsText(fields)}`);
    };
    return {
      info: (message, fields) => write('', message, fields),
      warn: (message, fields) => write('! ', message, fields),
      error: (message, fields) => write('!! ', message, fields),
    };
  }

  note(subject: string, sentence: string): void {
    const seconds = (this.#time.elapsedMs / 1000).toFixed(1).padStart(7);
    this.#lines.push(`${seconds}  ${subject.padEnd(subjectWidth)} ${sentence}`);
  }

  #noteOnce(subject: string, sentence: string): void {
    const last = this.#last.get(subject);
    if (last?.sentence === sentence) {
      last.again += 1;
      return;
    }
    if (last && last.again > 0) this.note(subject, `(said ${last.again} times more: ${last.sentence.slice(0, repeatedShown)}...)`);
    this.#last.set(subject, { sentence, again: 0 });
    this.note(subject, sentence);
  }
}

/** Ids say nothing to a reader; everything else is shown. */
const hidden = new Set(['migrationId', 'planId', 'vmId']);

function fieldsText(fields: LogFields): string {
  const shown = Object.entries(fields).filter(([key, value]) => !hidden.has(key) && value !== undefined && value !== null);
  return shown.length === 0 ? '' : `: ${shown.map(([key, value]) => `${key}=${String(value)}`).join(', ')}`;
}
