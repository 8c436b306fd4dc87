import { StrongswanError } from './errors.ts';
import { Fields } from './fields.ts';
import type { Section } from './message.ts';
import type { Session } from './session.ts';

/** Limits of an initiate or a terminate. */
export interface ControlOptions {
  /** How long charon may try; it then answers itself that it failed. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface ControlResult {
  /** charon's control log of this command, oldest first, the last lines only. */
  readonly log: readonly string[];
}

/** Enough to see why an IKE negotiation failed: a refused one writes about 20 lines. */
const logLinesMax = 64;

/** We wait longer than charon, so that normally its own answer, with its reason, comes first. */
const answerMarginMs = 2_000;

/**
 * Runs a command that lasts and writes control-log events. A failure carries the log, since VICI's reply has no reason
 * ("establishing CHILD_SA 'x' failed").
 */
export async function runControl(session: Session, command: string, message: Section, options: ControlOptions): Promise<ControlResult> {
  const log: string[] = [];
  const record = (event: Section): void => {
    const fields = new Fields(event, 'control-log');
    log.push(`${fields.optionalText('group') ?? ''}: ${fields.optionalText('msg') ?? ''}`);
    if (log.length > logLinesMax) log.shift();
  };
  const timeoutMs = Math.max(1, Math.round(options.timeoutMs));
  try {
    await session.stream(command, 'control-log', { ...message, timeout: String(timeoutMs), loglevel: '1' }, record, {
      deadlineMs: timeoutMs + answerMarginMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return { log };
  } catch (error) {
    throw error instanceof StrongswanError ? withLog(error, log) : error;
  }
}

function withLog(error: StrongswanError, log: readonly string[]): StrongswanError {
  return new StrongswanError(error.code, error.message, {
    cause: error.cause,
    log,
    ...(error.command === undefined ? {} : { command: error.command }),
    ...(error.daemonMessage === undefined ? {} : { daemonMessage: error.daemonMessage }),
  });
}
