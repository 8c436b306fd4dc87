import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const mainPath = createRequire(import.meta.url).resolve('#cli/main.ts');

/** A process that is still there after this is killed, so that a failing test leaves none behind. */
const processMsMax = 50_000;

/** Compiled code is kept from process to process: half of their time is start-up. */
const compileCache = mkdtempSync(join(tmpdir(), 'plimsoll-compile-cache-'));
afterAll(() => rmSync(compileCache, { recursive: true, force: true }));

export interface CliRun {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Called once the process is there. */
  readonly onStart?: (signal: (name: NodeJS.Signals) => void) => void;
  /** Called with all output so far, of both streams, whenever there is more. */
  readonly onOutput?: (output: string, signal: (name: NodeJS.Signals) => void) => void;
}

/** Runs the CLI as a process of its own, without a terminal. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  return runNode([mainPath, ...args], options);
}

/** Runs this Node with these arguments. */
export function runNode(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env['PATH'], USER: 'tester', SUDO_USER: 'alice', NODE_COMPILE_CACHE: compileCache, ...options.env };
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env,
      timeout: processMsMax,
      killSignal: 'SIGKILL',
    });
    let out = '';
    let err = '';
    const seen = () => options.onOutput?.(out + err, (name) => void child.kill(name));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      seen();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      seen();
    });
    options.onStart?.((name) => void child.kill(name));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}
