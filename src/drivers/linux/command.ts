import { execFile } from 'node:child_process';

export interface CommandOutcome {
  /** Null when the program was killed (deadline, signal) or could not be started. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it could not be started or was killed; null when it ended by itself. */
  readonly problem: string | null;
}

const outputBytesMax = 4 * 1024 * 1024;

/**
 * Runs one program without a shell, with `input` on its standard input. Resolves in every case but an
 * abort, for which it rejects with the signal's reason; past `timeoutMs` the program is killed.
 */
export function runCommand(
  argv: readonly [string, ...string[]],
  options: { readonly input?: string; readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<CommandOutcome> {
  const [file, ...args] = argv;
  const { signal, timeoutMs } = options;
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const settings = { signal, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: outputBytesMax, encoding: 'utf8' } as const;
    // A fixed locale: what is read back must not depend on the operator's language.
    const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' };
    const child = execFile(file, args, { ...settings, env }, (error, stdout, stderr) => {
      if (signal.aborted) return reject(asError(signal.reason));
      if (error === null) return resolve({ exitCode: 0, stdout, stderr, problem: null });
      if (typeof error.code === 'number') return resolve({ exitCode: error.code, stdout, stderr, problem: null });
      const problem = error.killed === true ? `it was killed after ${timeoutMs} ms` : error.message;
      return resolve({ exitCode: null, stdout, stderr, problem });
    });
    // A program that ends before it has read its input closes the pipe; its exit code tells the story.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
