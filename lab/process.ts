import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { LabError } from './errors.ts';

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  readonly input?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Start from a login's few variables instead of this process's own (a test runner's would reach every daemon). */
  readonly cleanEnvironment?: boolean;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OUTPUT_BYTES_MAX = 16 << 20;
const TIMEOUT_MS_DEFAULT = 60_000;

/** PATH of a login shell of root: a service manager or a test runner may leave the sbin folders out. */
export const ROOT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Runs one command to its end; a non-zero exit code is a value.
 * @throws LabError `lab-aborted` or `lab-timeout` (the command is killed), `lab-prerequisite-missing` when it cannot be started.
 */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...args] = argv;
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS_DEFAULT;
  const { promise, resolve, reject } = Promise.withResolvers<RunResult>();
  if (options.signal?.aborted === true) return Promise.reject(aborted(argv));
  const child = spawn(file, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...(options.cleanEnvironment === true ? { HOME: '/root' } : process.env), PATH: ROOT_PATH, LC_ALL: 'C.UTF-8', ...options.env },
  });
  let failure: LabError | undefined;
  const kill = (error: LabError): void => {
    failure ??= error;
    child.kill('SIGKILL');
  };
  const onAbort = (): void => kill(aborted(argv));
  const timer = setTimeout(() => kill(new LabError('lab-timeout', `'${argv.join(' ')}' did not end within ${timeoutMs} ms`)), timeoutMs);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      if (out[name].length < OUTPUT_BYTES_MAX) out[name] += text;
    });
  }
  child.stdin.on('error', () => undefined); // a command that does not read its input
  child.stdin.end(options.input ?? '');
  const finish = (): void => {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', onAbort);
  };
  child.on('error', (cause) => {
    finish();
    reject(new LabError('lab-prerequisite-missing', `cannot start '${file}': install the package that holds it`, cause));
  });
  child.on('close', (code) => {
    finish();
    if (failure !== undefined) reject(failure);
    else resolve({ code: code ?? 128, ...out });
  });
  return promise;
}

function aborted(argv: readonly string[]): LabError {
  return new LabError('lab-aborted', `'${argv.join(' ')}' was cancelled`);
}

/** Like `run`, but a non-zero exit code is a `lab-command-failed` error that shows what the command said. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await run(argv, options);
  if (result.code !== 0) {
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-2000);
    throw new LabError('lab-command-failed', `'${argv.join(' ')}' ended with code ${result.code}: ${said}`);
  }
  return result.stdout;
}

export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: with it a reused pid is not taken for the old process. */
  readonly startTicks: string;
}

async function startTicksOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The command's name (field 2) is in brackets and may hold spaces; what follows starts with field 3.
  return text
    ?.slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .at(19);
}

export async function ownIdentity(): Promise<ProcessIdentity> {
  return { pid: process.pid, startTicks: (await startTicksOf(process.pid)) ?? '' };
}

export async function isAlive(who: ProcessIdentity): Promise<boolean> {
  return (await startTicksOf(who.pid)) === who.startTicks;
}
