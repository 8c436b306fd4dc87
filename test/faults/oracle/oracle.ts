/** The sampler as the campaign sees it: what was seen of each guest since the run began. Knows nothing of Plimsoll. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Lab, waitFor } from '#lab/api.ts';
import { guestMonitor } from '#lab/guest/definition.ts';
import { newestCopies } from './judge.ts';
import type { CopyState, MonitorPlace, OracleMessage, QemuEvent, Sample, Transfer } from './words.ts';

const samplesKeptMax = 20_000;
const eventsKeptMax = 2_000;

export class GuestSight {
  readonly samples: Sample[] = [];
  readonly events: QemuEvent[] = [];
  readonly #listeners = new Set<(event: QemuEvent) => void>();
  #transfer: Transfer | undefined;

  /** Of the run's own migration; undefined before it sent anything. */
  get transfer(): Transfer | undefined {
    return this.#transfer;
  }

  /** A new run begins. */
  clear(): void {
    this.samples.length = 0;
    this.events.length = 0;
    this.#transfer = undefined;
  }

  take(message: OracleMessage): void {
    if (message.kind === 'sample') {
      if (this.samples.length < samplesKeptMax) this.samples.push(message.sample);
    } else if (message.kind === 'transfer') {
      this.#transfer = message.transfer;
    } else {
      if (this.events.length < eventsKeptMax) this.events.push(message.event);
      for (const listener of this.#listeners) listener(message.event);
    }
  }

  /** Called in the moment in which QEMU says it; returns what ends that. */
  listen(listener: (event: QemuEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  copyOn(host: string): CopyState {
    return newestCopies(this.samples)[host] ?? 'absent';
  }

  /** By the newest answers. */
  runsOn(): readonly string[] {
    return Object.entries(newestCopies(this.samples)).flatMap(([host, state]) => (state === 'running' ? [host] : []));
  }
}

export class Oracle {
  readonly #child: ChildProcess;
  readonly #sights = new Map<string, GuestSight>();

  private constructor(child: ChildProcess, guests: readonly string[]) {
    this.#child = child;
    for (const guest of guests) this.#sights.set(guest, new GuestSight());
    child.on('message', (message: OracleMessage) => this.#sights.get(message.guest)?.take(message));
  }

  /** Sees every guest of the lab when this returns. */
  static async start(lab: Lab): Promise<Oracle> {
    const places: MonitorPlace[] = lab.hosts.flatMap((host) =>
      lab.guests.map(({ name }) => ({ guest: name, host: host.name, socketPath: `${host.directory}${guestMonitor(name)}` })),
    );
    const child = fork(fileURLToPath(new URL('sampler.ts', import.meta.url)), [JSON.stringify(places)]);
    const guests = lab.guests.map(({ name }) => name);
    const oracle = new Oracle(child, guests);
    const seesAll = () => guests.every((guest) => oracle.guest(guest).runsOn().length === 1);
    await waitFor(seesAll, { what: 'the oracle to see every guest', timeoutMs: 30_000 });
    return oracle;
  }

  guest(name: string): GuestSight {
    const sight = this.#sights.get(name);
    if (sight === undefined) throw new Error(`the oracle knows no guest ${name}`);
    return sight;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#child.once('exit', () => resolve());
    this.#child.kill('SIGKILL');
    await promise;
  }
}
