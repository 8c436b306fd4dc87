import { setTimeout as sleep } from 'node:timers/promises';

import type { JobOutcome, Progress } from '#core/model/migration.ts';
import type { MigrateRequest } from '#core/ports.ts';

import { migrateParam, type LibvirtClient, type LongWait } from './client.ts';
import { LibvirtError } from './errors.ts';
import { jobStatsFlag, jobType, migrateFlag } from './flags.ts';
import { outcomeOfProgress, readOutcome, readProgress } from './job-stats.ts';
import type { JobStats, MigratePerform } from './procedures.ts';
import type { DomainRef } from './values.ts';

export interface MigrationRunOptions {
  readonly progressIntervalMs: number;
  /** libvirt may work on one migration for at most this long. */
  readonly migrationDeadlineMs: number;
  /** After an abort the daemon must end the migration within this time. */
  readonly abortDeadlineMs: number;
  /** How long to wait for the final figures, which come as an event beside the answer. */
  readonly figuresDeadlineMs: number;
}

export const defaultMigrationRun: MigrationRunOptions = {
  progressIntervalMs: 250,
  migrationDeadlineMs: 24 * 60 * 60_000,
  abortDeadlineMs: 60_000,
  figuresDeadlineMs: 1_000,
};

/** A way to the peer through this host: a socket that leads to its libvirtd, and a port that is forwarded to the same port there. */
export interface MigrationForward {
  readonly controlSocket: string;
  /** Of the loopback address, on both hosts. */
  readonly dataPort: number;
}

const loopback = '127.0.0.1';

/** The arguments of a peer-to-peer live migration. TUNNELLED is not offered: see `migrateFlag`. */
export function migrateArguments(
  domain: DomainRef,
  request: Pick<MigrateRequest, 'peerAddress' | 'streamSecurity' | 'bandwidthBytesPerSecond'>,
  options: { readonly persistent: boolean; readonly destinationUri: string; readonly dataPort?: number },
): MigratePerform {
  const { dataPort } = options;
  const address = dataPort === undefined ? request.peerAddress : loopback;
  // MiB/s, rounded up: rounding a small cap down to 0 would mean "no cap".
  const mebibytes = Math.ceil(request.bandwidthBytesPerSecond / (1024 * 1024));
  // QEMU of both ends then uses the certificates that qemu.conf names (migrate_tls_x509_cert_dir); they are read anew each time.
  const tls = request.streamSecurity === 'qemu-tls' ? migrateFlag.tls : 0;
  const persistence = options.persistent ? migrateFlag.persistDestination | migrateFlag.undefineSource : 0;
  return {
    domain,
    destinationUri: options.destinationUri,
    params: [
      migrateParam.uri(`tcp://${bracketed(address)}${dataPort === undefined ? '' : `:${dataPort}`}`),
      migrateParam.listenAddress(address),
      ...(mebibytes > 0 ? [migrateParam.bandwidth(BigInt(mebibytes))] : []),
    ],
    flags: migrateFlag.live | migrateFlag.peerToPeer | migrateFlag.abortOnError | persistence | tls,
  };
}

/** An address as it stands in a URI: IPv6 in brackets. */
export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** The watch connection as it is now: it may have been made again since the migration began. */
export type Watch = (signal: AbortSignal) => Promise<LibvirtClient>;

/** A job of minutes that is one call. */
export interface LongJob {
  readonly domain: DomainRef;
  readonly call: (work: LibvirtClient, wait: LongWait) => Promise<void>;
}

/**
 * One migration, or one save: the long call on `work`; progress, abort and the final figures on `watch`.
 * An abort is asked again until the long call ends, because libvirt refuses it before the job has started.
 */
export class MigrationRun {
  readonly #work: LibvirtClient;
  readonly #watch: Watch;
  readonly #job: LongJob;
  readonly #options: MigrationRunOptions;
  #lastProgress: Progress | null = null;

  constructor(clients: { readonly work: LibvirtClient; readonly watch: Watch }, job: LongJob, options: MigrationRunOptions) {
    this.#work = clients.work;
    this.#watch = clients.watch;
    this.#job = job;
    this.#options = options;
  }

  /** Rejects with `LibvirtError`. Resolves also when the abort came too late: the migration is then complete. */
  async run(onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    const startedMs = performance.now();
    const figures = this.#finalFigures(await this.#watch(signal));
    try {
      await this.carryOut(onProgress, signal);
      return await this.#outcome(figures.outcome, performance.now() - startedMs);
    } finally {
      figures.stop();
    }
  }

  /** As `run`, without final figures. */
  async carryOut(onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const giveUp = new AbortController();
    // Settled at once, so that a listener that throws cannot change what the migration came to.
    const side = Promise.allSettled([this.#reportProgress(onProgress, over.signal), this.#abortWhenAsked(signal, over.signal, giveUp)]);
    try {
      await this.#job.call(this.#work, { deadlineMs: this.#options.migrationDeadlineMs, signal: giveUp.signal });
    } catch (error) {
      throw giveUp.signal.aborted ? this.#notEnded(error) : error;
    } finally {
      over.abort();
      await side;
    }
  }

  /** Not `aborted`: that would promise that the VM runs here, and nobody knows. */
  #notEnded(cause: unknown): LibvirtError {
    const advice = 'ask both hosts where the VM runs';
    const message = `libvirt did not end the job within ${this.#options.abortDeadlineMs} ms of the abort; ${advice}`;
    return new LibvirtError('deadline-exceeded', message, { cause });
  }

  async #reportProgress(onProgress: (progress: Progress) => void, over: AbortSignal): Promise<void> {
    while (await pause(this.#options.progressIntervalMs, over)) {
      // Not an error of the migration: the job may not have begun, or the VM may be about to leave.
      const job = await this.#jobStats(0, over).catch(() => null);
      if (job === null || job.type === jobType.none || over.aborted) continue;
      this.#lastProgress = readProgress(job.params);
      onProgress(this.#lastProgress);
    }
  }

  async #abortWhenAsked(asked: AbortSignal, over: AbortSignal, giveUp: AbortController): Promise<void> {
    await aborted(AbortSignal.any([asked, over]));
    const endMs = performance.now() + this.#options.abortDeadlineMs;
    while (!over.aborted) {
      await this.#askAbort(over).catch(() => undefined);
      if (performance.now() > endMs) giveUp.abort();
      if (!(await pause(100, over))) return;
    }
  }

  async #askAbort(over: AbortSignal): Promise<void> {
    const watch = await this.#watch(over);
    await watch.abortJob(this.#job.domain, { signal: over });
  }

  async #jobStats(flags: number, signal: AbortSignal): Promise<JobStats> {
    const watch = await this.#watch(signal);
    return watch.jobStats(this.#job.domain, flags, { signal });
  }

  #finalFigures(watch: LibvirtClient): { readonly outcome: Promise<JobOutcome>; readonly stop: () => void } {
    const { promise, resolve } = Promise.withResolvers<JobOutcome>();
    const stop = watch.onEvent((event) => {
      if (event.kind === 'job-completed' && event.domain.uuid === this.#job.domain.uuid) resolve(readOutcome(event.params));
    });
    return { outcome: promise, stop };
  }

  async #outcome(figures: Promise<JobOutcome>, elapsedMs: number): Promise<JobOutcome> {
    const enough = new AbortController();
    try {
      const first = await Promise.race([figures, pause(this.#options.figuresDeadlineMs, enough.signal)]);
      if (typeof first !== 'boolean') return first;
    } finally {
      enough.abort();
    }
    // No event after post-copy or from an old daemon; a persistent copy that stayed behind may still know.
    const flags = jobStatsFlag.completed | jobStatsFlag.keepCompleted;
    const job = await this.#jobStats(flags, AbortSignal.timeout(this.#options.figuresDeadlineMs)).catch(() => null);
    if (job !== null && job.type === jobType.completed) return readOutcome(job.params);
    return outcomeOfProgress(this.#lastProgress, Math.round(elapsedMs));
  }
}

/** True after `durationMs`, false as soon as the signal aborts. */
async function pause(durationMs: number, signal: AbortSignal): Promise<boolean> {
  return sleep(durationMs, true, { signal, ref: false }).catch(() => false);
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  signal.addEventListener('abort', () => resolve(undefined), { once: true });
  await promise;
}
