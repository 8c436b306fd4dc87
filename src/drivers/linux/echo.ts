/** Asks an address for an answer every few milliseconds, through fping. */
import { type ChildProcess, spawn } from 'node:child_process';
import { isIPv6 } from 'node:net';
import { PlimsollError } from '#core/model/result.ts';
import type { Echo, EchoReport } from '#core/ports.ts';
import { parseEchoLine } from './echo-line.ts';
import { answerMsMax, EchoTally } from './echo-tally.ts';
import { EchoText } from './echo-text.ts';
import { pause } from './pause.ts';

export type Argv = readonly [string, ...string[]];

/**
 * fping, because iputils' ping (20221126) spins between requests that are less than 10 ms apart: at 5 ms it used 92 % of a CPU and asked only
 * every 10 ms while no answer came; fping used 2 to 3 %. Two things end it with this process, however that dies: the kernel
 * (PR_SET_PDEATHSIG), and its pipe.
 */
export const fpingCommand: Argv = ['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--', '/usr/bin/fping'];

export interface EchoOptions {
  /** Without a zone. */
  readonly address: string;
  readonly intervalMs: number;
  readonly command?: Argv;
  /** Of one fping, before another goes on; only tests change it. */
  readonly requestsMax?: number;
}

/**
 * 20 minutes at 5 ms, then the next fping goes on. fping's memory grows by 80 bytes per request, and its endless mode loses track of requests without
 * an answer as soon as one is late by an interval (5.1: event_storage_timeout is used anew too early).
 */
const requestsMax = 240_000;
/** What is wrong with fping shows at once; one that ends sooner is not replaced. */
const startMsMax = 200;
const stopMsMax = 1000;
const errorCharactersMax = 2000;

/**
 * Watches until `stop` or until the signal aborts. Rejects with `config-invalid` when fping cannot be run; with the signal's reason when it
 * aborts before the start.
 */
export async function startEcho(options: EchoOptions, signal: AbortSignal): Promise<FpingEcho> {
  signal.throwIfAborted();
  const echo = new FpingEcho(options, signal);
  try {
    await echo.started();
    signal.throwIfAborted();
  } catch (error) {
    await echo.stop();
    throw error;
  }
  return echo;
}

export class FpingEcho implements Echo {
  /** Resolves when no process is left and all they printed is read; never rejects. */
  readonly ended: Promise<void>;
  readonly #options: EchoOptions;
  readonly #tally: EchoTally;
  readonly #firstLine = Promise.withResolvers<void>();
  #process: ChildProcess | null = null;
  #hasEnded = false;
  #stopping = false;
  #failure: Error | null = null;
  #errorText = '';

  constructor(options: EchoOptions, signal: AbortSignal) {
    this.#options = options;
    this.#tally = new EchoTally(options.intervalMs, options.requestsMax ?? requestsMax);
    this.ended = this.#runAll(signal);
  }

  async started(): Promise<void> {
    const enough = new AbortController();
    await Promise.race([this.#firstLine.promise, this.ended, pause(startMsMax, enough.signal)]);
    enough.abort();
    if (!this.#hasEnded || this.#stopping) return;
    const detail = this.#failure?.message ?? (this.#errorText.trim().slice(0, 300) || 'it ended at once');
    const sentence = `fping cannot be run: ${detail}. Install Debian's package fping; it needs root or CAP_NET_RAW.`;
    throw new PlimsollError('config-invalid', sentence, { cause: this.#failure });
  }

  report(): EchoReport {
    return this.#tally.report();
  }

  async stop(): Promise<EchoReport> {
    if (!this.#stopping && !this.#hasEnded) {
      this.#stopping = true;
      const stoppedAtMs = Date.now();
      const last = this.#process;
      last?.kill('SIGINT');
      const inTime = new AbortController();
      await Promise.race([this.ended, pause(stopMsMax, inTime.signal)]);
      inTime.abort();
      if (!this.#hasEnded) last?.kill('SIGKILL');
      await this.ended;
      // It has ended by itself, so it was awake and has asked until then.
      if (last !== null && last.signalCode === null && last.exitCode !== null) this.#tally.end(stoppedAtMs);
    }
    await this.ended;
    return this.report();
  }

  async #runAll(signal: AbortSignal): Promise<void> {
    const abort = (): void => {
      this.#stopping = true;
      this.#process?.kill('SIGKILL');
    };
    signal.addEventListener('abort', abort, { once: true });
    for (;;) {
      const startedAtMs = performance.now();
      await this.#run();
      if (this.#stopping || performance.now() - startedAtMs < startMsMax) break;
      this.#tally.begin();
    }
    signal.removeEventListener('abort', abort);
    this.#hasEnded = true;
  }

  /** One process, to its end. */
  #run(): Promise<void> {
    const { address, intervalMs, command = fpingCommand } = this.#options;
    const [file, ...before] = command;
    // Time to live 1: who is not on the link any more is not reached.
    const times = ['-i', '1', '-p', String(intervalMs), '-t', String(answerMsMax)];
    const options = [isIPv6(address) ? '-6' : '-4', '-D', '-H', '1', ...times, '-c', String(this.#options.requestsMax ?? requestsMax)];
    // A fixed locale: decimal points.
    const env = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' };
    const child = spawn(file, [...before, ...options, address], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    const text = new EchoText();
    child.stdout.setEncoding('latin1').on('data', (piece: string) => this.#read(text.push(piece)));
    // It complains here of each request that cannot be sent, and ends with a summary.
    child.stderr.setEncoding('latin1').on('data', (piece: string) => {
      this.#errorText = (this.#errorText + piece).slice(-errorCharactersMax);
    });
    return new Promise((resolve) => {
      child.once('close', () => resolve());
      child.once('error', (error) => {
        this.#failure = error;
        // Without a process there is no `close`.
        if (child.pid === undefined) resolve();
      });
    });
  }

  #read(lines: readonly string[]): void {
    for (const words of lines) {
      const line = parseEchoLine(words);
      if (line === null) continue;
      this.#tally.take(line);
      this.#firstLine.resolve();
    }
  }
}
