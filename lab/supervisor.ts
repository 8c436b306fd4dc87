import { createConnection } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { LabError } from './errors.ts';
import { waitFor } from './wait.ts';

export interface ServiceSpec {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly restart: 'always' | 'never';
  readonly log: string;
}

export interface ServiceStatus {
  readonly name: string;
  readonly state: 'running' | 'waiting' | 'stopping' | 'stopped';
  readonly pidInside: number;
  readonly restarts: number;
  /** As wait(2) gives it; 0 while it never ended. */
  readonly waitStatus: number;
}

/** Process 1 of a machine (lab-init), asked over its socket to start, stop and list services. */
export class Supervisor {
  readonly name: string;
  readonly #socketPath: string;

  /** `socketPath` as seen from outside. */
  constructor(name: string, socketPath: string) {
    this.name = name;
    this.#socketPath = socketPath;
  }

  async startService(service: ServiceSpec): Promise<void> {
    const env = Object.entries(service.env ?? {}).map(([key, value]) => `${key}=${value}`);
    const answer = await this.#ask(['start', service.name, service.restart, service.log, `${env.length}`, ...env, ...service.argv]);
    if (answer.trim() !== 'ok') throw new LabError('lab-command-failed', `${this.name}: cannot start ${service.name}: ${answer.trim()}`);
  }

  /** Stops a service and waits for its end; it is not started again. */
  async stopService(name: string, signal?: AbortSignal): Promise<void> {
    const answer = await this.#ask(['stop', name]);
    if (answer.trim() !== 'ok') throw new LabError('lab-command-failed', `${this.name}: cannot stop ${name}: ${answer.trim()}`);
    await waitFor(async () => (await this.service(name))?.state === 'stopped', { what: `${name} to stop`, timeoutMs: 15_000, signal });
  }

  async services(): Promise<ServiceStatus[]> {
    return (await this.#ask(['status']))
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [name = '', state = '', pid = '', restarts = '', status = ''] = line.split(' ');
        return {
          name,
          state: state as ServiceStatus['state'],
          pidInside: Number(pid),
          restarts: Number(restarts),
          waitStatus: Number(status),
        };
      });
  }

  async service(name: string): Promise<ServiceStatus | undefined> {
    return (await this.services()).find((s) => s.name === name);
  }

  async #ask(fields: readonly string[]): Promise<string> {
    const socket = createConnection(this.#socketPath);
    // An emulated host is slow while its daemons start.
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer within 20 s')));
    try {
      socket.end(fields.map((field) => `${field}\0`).join(''));
      return await readText(socket);
    } catch (cause) {
      throw new LabError('lab-unknown-host', `machine '${this.name}' does not answer: it is down, or the lab is`, cause);
    }
  }
}
