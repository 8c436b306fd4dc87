import { setTimeout as sleep } from 'node:timers/promises';

import type { JobOutcome, Progress } from '#core/model/migration.ts';

import type { LibvirtClient, LongWait, Wait } from './client.ts';
import { LibvirtError } from './errors.ts';
import { domainState, jobStatsFlag, jobType } from './flags.ts';
import { outcomeOfProgress, readOutcome, readProgress, stageOf } from './job-stats.ts';
import type { JobStats } from './procedures.ts';
import type { DomainRef } from './values.ts';
import { postCopyOf } from './vm-stats.ts';

export interface MigrationRunOptions {
  readonly progressIntervalMs: number;
  /** libvirt may work on one migration for at most this long. */
  readonly migrationDeadlineMs: number;
  /** After an abort the daemon must end the migration within this time. */
  readonly abortDeadlineMs: number;
  /** An abort that has done nothing for so long is helped by ending the stream's connections. */
  readonly cutOffAfterMs: number;
  /** How long to wait for the final figures, which come as an event beside the answer. */
  readonly figuresDeadlineMs: number;
  /** The recovery of a post-copy is asked for again for this long, until both QEMUs have noticed that they lost each other. */
  readonly recoveryDeadlineMs: number;
}

export const defaultMigrationRun: MigrationRunOptions = {
  progressIntervalMs: 250,
  migrationDeadlineMs: 24 * 60 * 60_000,
  abortDeadlineMs: 60_000,
  cutOffAfterMs: 2_000,
  figuresDeadlineMs: 1_000,
  recoveryDeadlineMs: 30_000,
};

/** A way to the peer through this host: a socket that leads to its libvirtd, and a port that is forwarded to the same port there. */
export interface MigrationForward {
  readonly controlSocket: string;
  /** Of the loopback address, on both hosts. */
  readonly dataPort: number;
}

/** The watch connection as it is now: it may have been made again since the migration began. */
export type Watch = (signal: AbortSignal) => Promise<LibvirtClient>;

/** A job of minutes that is one call. */
export interface LongJob {
  readonly domain: DomainRef;
  readonly call: (work: LibvirtClient, wait: LongWait) => Promise<void>;
  /** Asked again and again while the call goes on, until libvirt accepts it. */
  readonly meanwhile?: (watch: LibvirtClient, wait: Wait) => Promise<void>;
  /**
   * Ends the connections that the memory leaves by. QEMU writes the last round under its big lock: over a dead link, and with more to go
   * than a socket's buffer takes, it hears of no abort until TCP gives up (seen with 7.2: the VM stood still for more than 90 s).
   */
  readonly cutOff?: CutOff;
}

export interface CutOff {
  /** Resolves with how many there were. */
  readonly stream: (signal: AbortSignal) => Promise<number>;
  /** Those to the peer's daemon; asked for only while nothing was sent and the VM has not been stopped. */
  readonly control: (signal: AbortSignal) => Promise<void>;
}

/** libvirt refuses what comes right at the start of a job (post-copy after 0.3 s, seen with 9.0); asked at this pace until it does not. */
const meanwhilePauseMs = 50;
/** QEMU answers within milliseconds when it can. */
const silenceMsMax = 1_000;

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
  /** The question for figures that is not answered yet. */
  #asked: Promise<JobStats> | null = null;

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
    const side = Promise.allSettled([
      this.#reportProgress(onProgress, over.signal),
      this.#abortWhenAsked(signal, over.signal, giveUp),
      this.#cutOffWhenDeaf(signal, over.signal),
      this.#doMeanwhile(over.signal),
    ]);
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
      const seen = await this.#look(over).catch(() => null);
      if (seen === null || over.aborted) continue;
      this.#lastProgress = seen;
      onProgress(seen);
    }
  }

  /** libvirt knows the stage by itself. For the figures it asks QEMU, which is silent while it writes the last round: then the old ones stand. */
  async #look(over: AbortSignal): Promise<Progress | null> {
    const watch = await this.#watch(over);
    const figures = await this.#figures(watch, over);
    if (figures === 'none') return null;
    const seen = stageOf(await watch.state(this.#job.domain, { signal: over }));
    // There is no way back from post-copy: what looks like it is libvirt taking the source's half away at the end.
    const before = this.#lastProgress?.stage;
    const isOver = seen === 'copying' && (before === 'post-copy' || before === 'post-copy-failed');
    const stage = isOver ? 'post-copy' : seen;
    if (figures !== 'silent') return readProgress(figures, stage);
    return this.#lastProgress === null ? null : { ...this.#lastProgress, stage };
  }

  /** One question at a time: each that QEMU does not answer takes a place from the calls that libvirt could answer. */
  async #figures(watch: LibvirtClient, over: AbortSignal): Promise<JobStats['params'] | 'none' | 'silent'> {
    this.#asked ??= watch.jobStats(this.#job.domain, 0, { signal: over }).finally(() => {
      this.#asked = null;
    });
    const answered = new AbortController();
    try {
      const silence = pause(silenceMsMax, AbortSignal.any([over, answered.signal]));
      const job = await Promise.race([this.#asked, silence]);
      if (typeof job === 'boolean') return 'silent';
      return job.type === jobType.none ? 'none' : job.params;
    } finally {
      answered.abort();
    }
  }

  async #doMeanwhile(over: AbortSignal): Promise<void> {
    const { meanwhile } = this.#job;
    if (meanwhile === undefined) return;
    while (await pause(meanwhilePauseMs, over)) {
      const accepted = await this.#watch(over)
        .then(async (watch) => meanwhile(watch, { signal: over }))
        .then(
          () => true,
          () => false,
        );
      if (accepted) return;
    }
  }

  async #abortWhenAsked(asked: AbortSignal, over: AbortSignal, giveUp: AbortController): Promise<void> {
    await aborted(AbortSignal.any([asked, over]));
    let endMs = performance.now() + this.#options.abortDeadlineMs;
    while (!over.aborted) {
      await this.#askAbort(over).catch(() => undefined);
      // libvirt refuses an abort in post-copy, and has to: the only whole copy is in the making. The run goes on to its end.
      if (await this.#isInPostCopy(over)) endMs = performance.now() + this.#options.abortDeadlineMs;
      if (performance.now() > endMs) giveUp.abort();
      if (!(await pause(100, over))) return;
    }
  }

  /** The daemon is asked nothing before the stream is ended: calls wait behind the abort that does not get through. */
  async #cutOffWhenDeaf(asked: AbortSignal, over: AbortSignal): Promise<void> {
    const { cutOff } = this.#job;
    if (cutOff === undefined) return;
    await aborted(AbortSignal.any([asked, over]));
    while (await pause(this.#options.cutOffAfterMs, over)) {
      const streams = await cutOff.stream(over).catch(() => null);
      if (streams === 0 && (await this.#isConnecting(over))) await cutOff.control(over).catch(() => undefined);
    }
  }

  /** The peer's daemon is not reached yet. Once the VM was stopped for its last round, the answer to that is what would be lost. */
  async #isConnecting(over: AbortSignal): Promise<boolean> {
    if ((this.#lastProgress?.memoryTotalBytes ?? 0) > 0) return false;
    const state = await this.#watch(over)
      .then(async (watch) => watch.state(this.#job.domain, { signal: over }))
      .catch(() => null);
    return state?.state === domainState.running;
  }

  async #askAbort(over: AbortSignal): Promise<void> {
    const watch = await this.#watch(over);
    await watch.abortJob(this.#job.domain, { signal: over });
  }

  async #isInPostCopy(over: AbortSignal): Promise<boolean> {
    const watch = await this.#watch(over).catch(() => null);
    const state = await watch?.state(this.#job.domain, { signal: over }).catch(() => null);
    return state !== null && state !== undefined && postCopyOf(state) !== null;
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
