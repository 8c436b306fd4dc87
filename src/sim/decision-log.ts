import type { Log, LogFields } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

const subjectWidth = 12;
/** What a process repeats is told once in this time. */
const quietMs = 60_000;

/** The story of a run: one line per decision, virtual seconds first. The same seed gives the same bytes. */
export class DecisionLog {
  readonly #time: VirtualTime;
  readonly #lines: string[] = [];
  readonly #onSaid: (subject: string, message: string, fields: LogFields) => void;
  readonly #said = new Map<string, { readonly atMs: number; again: number }>();

  /** `onSaid`: with every message of a process, whether or not it becomes a line. */
  constructor(time: VirtualTime, onSaid: (subject: string, message: string, fields: LogFields) => void = () => undefined) {
    this.#time = time;
    this.#onSaid = onSaid;
  }

  get text(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /**
   * The Log port of one process. `told` may claim a message that another line tells better. A complaint that comes
   * again and again is told once a minute, with how often it came in between.
   */
  port(subject: string, told: (message: string, fields: LogFields) => boolean): Log {
    const tell = (message: string, fields: LogFields, write: (text: string) => void) => {
      this.#onSaid(subject, message, fields);
      if (!told(message, fields)) write(`${message}${fieldsText(fields)}`);
    };
    return {
      info: (message, fields = {}) => tell(message, fields, (text) => this.note(subject, text)),
      warn: (message, fields = {}) => tell(message, fields, (text) => this.#complain(subject, `! ${text}`)),
      error: (message, fields = {}) => tell(message, fields, (text) => this.#complain(subject, `!! ${text}`)),
    };
  }

  note(subject: string, sentence: string): void {
    const seconds = (this.#time.elapsedMs / 1000).toFixed(1).padStart(7);
    this.#lines.push(`${seconds}  ${subject.padEnd(subjectWidth)} ${sentence}`);
  }

  #complain(subject: string, sentence: string): void {
    const key = `${subject} ${sentence}`;
    const said = this.#said.get(key);
    if (said && this.#time.elapsedMs - said.atMs < quietMs) {
      said.again += 1;
      return;
    }
    this.note(
      subject,
      said && said.again > 0 ? `${sentence} (${said.again} times more since ${(said.atMs / 1000).toFixed(1)} s)` : sentence,
    );
    this.#said.set(key, { atMs: this.#time.elapsedMs, again: 0 });
  }
}

/** Ids say nothing to a reader; everything else is shown. */
const hidden = new Set(['migrationId', 'planId', 'vmId']);

function fieldsText(fields: LogFields): string {
  const shown = Object.entries(fields).filter(([key, value]) => !hidden.has(key) && value !== undefined && value !== null && value !== '');
  return shown.length === 0 ? '' : `: ${shown.map(([key, value]) => `${key}=${shortened(String(value))}`).join(', ')}`;
}

/** Of a SHA-256, the beginning tells as much. */
function shortened(text: string): string {
  return text.replaceAll(/\b([0-9a-f]{8})[0-9a-f]{56}\b/g, '$1…');
}
