import { spawn } from 'node:child_process';
import { PassThrough, type Readable, type Writable } from 'node:stream';

/** How a program ended. */
export interface ChildEnd {
  /** Null when a signal ended it or it could not be started. */
  readonly exitCode: number | null;
  /** The end of what it wrote to standard error, and why it could not be started. */
  readonly complaint: string;
}

export interface Child {
  /** Also for what must not stand in argv or in a file. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves, once; never rejects. */
  readonly ended: Promise<ChildEnd>;
  /** How it ended; null while it runs. */
  hasEnded(): ChildEnd | null;
  /** Ends it, at once if need be; resolves when it is gone. */
  stop(): Promise<void>;
}

const complaintCharactersMax = 2_000;
const politeMs = 2_000;

/**
 * Starts a program without a shell. It dies with this process (PR_SET_PDEATHSIG), however that ends: nothing may carry a VM's
 * memory that nobody watches. It sees PATH and a fixed locale of the environment.
 */
export function startChild(argv: readonly string[]): Child {
  const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' };
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  const { promise: ended, resolve } = Promise.withResolvers<ChildEnd>();
  let end: ChildEnd | null = null;
  let complaint = '';
  const complain = (text: string): void => {
    complaint = (complaint + text).slice(-complaintCharactersMax);
  };
  child.stderr.setEncoding('utf8').on('data', complain);
  child.on('error', (error) => {
    complain(error.message);
    if (child.pid === undefined) finish(null);
  });
  child.on('close', finish);
  // A program that ends before it has read its input closes the pipe; how it ended tells the story.
  for (const stream of [child.stdin, child.stdout]) stream.on('error', () => undefined);
  // Node empties the pipe of a program that has ended, whether anybody reads it or not; this one waits for its reader.
  const stdout = child.stdout.pipe(new PassThrough());
  stdout.on('error', () => undefined);
  return { stdin: child.stdin, stdout, ended, hasEnded: () => end, stop };

  function finish(exitCode: number | null): void {
    end ??= { exitCode, complaint: complaint.trim() };
    resolve(end);
  }

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), politeMs);
    // A pipe that nobody reads any more keeps `close` away.
    child.stdout.destroy();
    stdout.destroy();
    await ended;
    clearTimeout(timer);
  }
}
