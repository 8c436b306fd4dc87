import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Log, LogFields } from '#core/ports.ts';

/**
 * One JSON object per line: `level` as a word, `time` in ISO 8601, `program`, `message`, and the fields. A field `message`, the sentence
 * of a refusal, is told as `reason`: a key that stands twice in an object is read as whichever the reader likes.
 */
export class JsonLog implements Log {
  readonly #logger: Logger;

  /** `fields` are in every line; `to` is standard error by default. */
  constructor(program: string, fields: LogFields = {}, to?: DestinationStream) {
    const settings = {
      base: { program, ...fields },
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
    };
    // Synchronous: the last line before a crash is the one that is needed.
    this.#logger = pino(settings, to ?? destination({ dest: 2, sync: true }));
  }

  info(message: string, fields: LogFields = {}): void {
    this.#logger.info(told(fields), message);
  }

  warn(message: string, fields: LogFields = {}): void {
    this.#logger.warn(told(fields), message);
  }

  error(message: string, fields: LogFields = {}): void {
    this.#logger.error(told(fields), message);
  }
}

function told({ message, ...rest }: LogFields): LogFields {
  return message === undefined ? rest : { ...rest, reason: message };
}
