import type { Log, LogFields } from '#core/ports.ts';
import type { VirtualTime } from './virtual-time.ts';

const subjectWidth = 12;

/** The story of a run: one line per decision, virtual seconds first. The same seed gives the same bytes. */
export class DecisionLog {
  readonly #time: VirtualTime;
  readonly #lines: string[] = [];

  constructor(time: VirtualTime) {
    this.#time = time;
  }

  get text(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  note(subject: string, sentence: string): void {
    const seconds = (this.#time.elapsedMs / 1000).toFixed(1).padStart(7);
    this.#lines.push(`${seconds}  ${subject.padEnd(subjectWidth)} ${sentence}`);
  }

  /** The Log port of one process. `told` may claim a message that another line tells better. */
  port(subject: string, told: (message: string, fields: LogFields) => boolean): Log {
    const write = (mark: string, message: string, fields: LogFields = {}) => {
      if (!told(message, fields)) this.note(subject, `${mark}${message}${fieldsText(fields)}`);
    };
    return {
      info: (message, fields) => write('', message, fields),
      warn: (message, fields) => write('! ', message, fields),
      error: (message, fields) => write('!! ', message, fields),
    };
  }
}

/** Ids say nothing to a reader; everything else is shown. */
const hidden = new Set(['migrationId', 'planId', 'vmId']);

function fieldsText(fields: LogFields): string {
  const shown = Object.entries(fields).filter(([key, value]) => !hidden.has(key) && value !== undefined && value !== null);
  return shown.length === 0 ? '' : `: ${shown.map(([key, value]) => `${key}=${String(value)}`).join(', ')}`;
}
