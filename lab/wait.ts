import { createConnection } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { LabError } from './errors.ts';

export interface WaitOptions {
  /** Ends the sentence "waited N ms for ...". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly intervalMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks `condition` until it gives something other than undefined or false.
 * @throws LabError `lab-timeout` or `lab-aborted`.
 */
export async function waitFor<T>(
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  options: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    if (options.signal?.aborted === true) throw new LabError('lab-aborted', `waiting for ${options.what} was cancelled`);
    const value = await condition();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new LabError('lab-timeout', `waited ${options.timeoutMs} ms for ${options.what}`);
    await delay(options.intervalMs ?? 20);
  }
}

/** True when something listens on a Unix socket. */
export async function accepts(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  const answer = await promise;
  socket.destroy();
  return answer;
}
