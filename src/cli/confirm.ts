import { createInterface } from 'node:readline/promises';
import { CliError } from './errors.ts';

/**
 * Asks for a word to be typed before something that cannot be taken back. Throws `usage` where nobody can be asked,
 * `interrupted` on Ctrl-C, and `not-confirmed` for any other word.
 */
export async function confirmByTyping(word: string, question: string, signal: AbortSignal): Promise<void> {
  if (!process.stdin.isTTY) throw new CliError('usage', 'nobody can be asked here: add --yes if you are sure');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // On a terminal readline takes Ctrl-C for itself.
  terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const typed = await terminal.question(`${question}\nType ${word} to go on: `, { signal });
    if (typed.trim() !== word) throw new CliError('not-confirmed', 'something else was typed: nothing was changed');
  } catch (cause) {
    if (signal.aborted) throw new CliError('interrupted', 'nothing was changed', { cause });
    throw cause;
  } finally {
    terminal.close();
  }
}
