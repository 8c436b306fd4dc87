import { setTimeout as wait } from 'node:timers/promises';
import { CliError } from './errors.ts';
import { fold } from './fold.ts';

export type OutputForm = 'table' | 'json';

const watchIntervalMs = 2000;
const clearScreen = '\u001b[H\u001b[2J\u001b[3J';
const clearLine = '\r\u001b[2K';

/** What a command shows: a REST resource, and how a person reads it. */
export interface View<Resource> {
  readonly read: () => Promise<Resource>;
  readonly print: Print<Resource>;
}

/** `columns`: what of a table may be left out where it is too wide; lines are broken afterwards. No limit where no terminal shows it. */
export type Print<Resource> = (resource: Resource, nowMs: number, columns: number) => string;

export function writeLine(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function writeNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Shows a resource: the printed form, or the resource itself as JSON. */
export function show<Resource>(resource: Resource, form: OutputForm, print: Print<Resource>): void {
  writeLine(form === 'json' ? JSON.stringify(resource, null, 2) : printed(resource, print));
}

function printed<Resource>(resource: Resource, print: Print<Resource>): string {
  const columns = terminalColumns();
  return fold(print(resource, Date.now(), columns), columns);
}

/** Shows a view once, or again every 2 s until interrupted: on a terminal in place, as JSON one line each time. */
export async function showView<Resource>(
  view: View<Resource>,
  options: { readonly form: OutputForm; readonly watch: boolean; readonly signal: AbortSignal },
): Promise<void> {
  if (!options.watch) return show(await view.read(), options.form, view.print);
  await repeat(options.signal, async (first) => {
    const text = await watchedText(view, options.form, first);
    if (options.form === 'json') return text === null || writeLine(text);
    return process.stdout.write(`${process.stdout.isTTY ? clearScreen : ''}${text ?? ''}\n${process.stdout.isTTY ? '' : '\n'}`);
  });
}

/** The view's text; once it has been seen, a controller that is away for a while is told, not fatal. */
async function watchedText<Resource>(view: View<Resource>, form: OutputForm, first: boolean): Promise<string | null> {
  try {
    const resource = await view.read();
    return form === 'json' ? JSON.stringify(resource) : printed(resource, view.print);
  } catch (error) {
    if (first || !isPassing(error)) throw error;
    if (form === 'table') return `plimsoll: ${error.code}: ${error.message}`;
    writeNote(`plimsoll: ${error.code}: ${error.message}`);
    return null;
  }
}

async function repeat(signal: AbortSignal, turn: (first: boolean) => Promise<unknown>): Promise<void> {
  try {
    await turn(true);
    while (!signal.aborted) {
      await wait(watchIntervalMs, undefined, { signal });
      await turn(false);
    }
  } catch (error) {
    // Ctrl-C is how a watch ends.
    if (!signal.aborted) throw error;
  }
}

/** Width of what is written to: no limit where it is no terminal. */
export function terminalColumns(): number {
  return process.stdout.isTTY ? columnsOf(process.stdout) : Number.POSITIVE_INFINITY;
}

/** Width of a terminal. */
export function columnsOf(stream: { readonly columns: number }): number {
  // A pseudo-terminal whose size was never set says 0 columns.
  return stream.columns > 0 ? stream.columns : 80;
}

/** A failure that a restart of the controller brings and takes away again. */
export function isPassing(error: unknown): error is CliError {
  return error instanceof CliError && (error.code === 'controller-unreachable' || error.code === 'controller-timeout');
}

/**
 * A line that changes: on a terminal it is rewritten in place; elsewhere it is written again only when
 * `key` (such as the phase) changes, so that a log file stays short.
 */
export class LiveLine {
  #key: string | null = null;
  #open = false;

  /** How much of a line is shown: no limit where it is written once. */
  get columns(): number {
    return process.stderr.isTTY ? columnsOf(process.stderr) - 1 : Number.POSITIVE_INFINITY;
  }

  update(key: string, text: string): void {
    if (process.stderr.isTTY) {
      process.stderr.write(`${clearLine}${text.slice(0, this.columns)}`);
      this.#open = true;
    } else if (key !== this.#key) {
      writeNote(text);
    }
    this.#key = key;
  }

  /** Writes a line that stays, above the one that changes: that one comes back with its next update. */
  note(text: string): void {
    writeNote(`${this.#open ? clearLine : ''}${fold(text, this.columns)}`);
    this.#open = false;
  }

  /** Leaves the last state on the screen and goes on below it. */
  end(): void {
    if (this.#open) process.stderr.write('\n');
    this.#open = false;
  }
}
