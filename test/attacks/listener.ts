import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type LabHost, waitFor } from '#lab/api.ts';
import { NODE } from '#lab/layout.ts';

export interface Counts {
  readonly received: number;
  /** Not as they were sent. */
  readonly changed: number;
}

const startMsMax = 30_000;

/** Where a program of the folder `actors` lies. */
export function actor(name: string): string {
  return fileURLToPath(new URL(`actors/${name}.ts`, import.meta.url));
}

/** Something that listens in a host. */
export class Listener {
  readonly #process: ChildProcess;
  #listening = false;
  #counts: Counts = { received: 0, changed: 0 };

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  static async start(host: LabHost, protocol: 'udp' | 'tcp', address: string, port: number): Promise<Listener> {
    const [command = '', ...args] = await host.machine.execArgv([NODE, actor(`${protocol}-listener`), address, `${port}`]);
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const listener = new Listener(child);
    createInterface({ input: child.stdout }).on('line', (line) => listener.#heard(line));
    await waitFor(() => listener.#listening, { what: `a listener on ${address} ${port}`, timeoutMs: startMsMax });
    return listener;
  }

  get counts(): Counts {
    return this.#counts;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await once(this.#process, 'exit');
  }

  #heard(line: string): void {
    if (line === 'listening') this.#listening = true;
    else this.#counts = JSON.parse(line) as Counts;
  }
}

/** What came since `before`. */
export function since(before: Counts, now: Counts): Counts {
  return { received: now.received - before.received, changed: now.changed - before.changed };
}
