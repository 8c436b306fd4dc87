import { setTimeout as sleep } from 'node:timers/promises';

import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { JobChange, MigrateRequest } from '#core/ports.ts';

import type { LibvirtClient, LongWait, Wait } from './client.ts';
import { jobOf, runningDomain } from './domain-look.ts';
import { LibvirtError } from './errors.ts';
import { abortJobFlag, maxSpeedFlag, pausedReason, domainState, statsFlag, uncappedMebibytesPerSecond } from './flags.ts';
import { endConnections, endControlConnections } from './stream-connections.ts';
import { stageOf } from './job-stats.ts';
import type { Link } from './link.ts';
import { migrateArguments, toldDowntimeMs, toMebibytesPerSecond } from './migrate-arguments.ts';
import { type CutOff, MigrationRun, type LongJob, type MigrationForward, type MigrationRunOptions } from './migration-run.ts';
import { toPlimsollError } from './refusals.ts';
import type { DomainRef } from './values.ts';
import { numbers, postCopyOf, readVmFacts, viewGroups } from './vm-stats.ts';

/** A migration that goes through a forward of this host instead of straight to the peer's address. */
export type ThroughRequest = MigrateRequest & { readonly through?: MigrationForward };

export interface TransferSettings {
  readonly run: MigrationRunOptions;
  readonly destinationUri: (request: MigrateRequest) => string;
}

/** One of the four places of the work connection stays free for `resume` and `destroy`. */
const migrationsMax = 3;

/** Migrations from this host, and what is done to them while they run. */
export class LibvirtTransfers {
  readonly #links: { readonly work: Link; readonly watch: Link };
  readonly #settings: TransferSettings;
  #migrations = 0;
  /** VMs whose present transfer was told to go on as post-copy. */
  readonly #askedForPostCopy = new Set<VmId>();

  constructor(links: { readonly work: Link; readonly watch: Link }, settings: TransferSettings) {
    this.#links = links;
    this.#settings = settings;
  }

  async migrate(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    return this.#counted(async () => {
      const watch = await this.#links.watch.client(signal);
      const domain = await runningDomain(watch, request.vmId, { signal });
      if ((await jobOf(watch, domain, { signal })) !== 'none') {
        throw new PlimsollError('vm-busy', `libvirt already has a job on VM ${domain.name}; wait until it has ended, or abort it`);
      }
      this.#askedForPostCopy.delete(request.vmId);
      await this.#setLimits(watch, domain, request, { signal });
      const job = await this.#jobFor(watch, domain, request, false, signal);
      return this.#run(job, onProgress, signal);
    });
  }

  /**
   * VIR_MIGRATE_POSTCOPY_RESUME. Where this host's QEMU has not noticed that the connection is gone, it is told
   * (VIR_DOMAIN_ABORT_JOB_POSTCOPY, which destroys nothing); the peer's needs a moment to notice too, so it is asked again for a while.
   * A peer whose QEMU has nothing to send does not notice when only this side's socket was reset: libvirt 9.0 then refuses each time
   * ("QEMU reports migration is still running") until the peer's end of that TCP connection is gone too.
   */
  async recover(request: ThroughRequest, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    return this.#counted(async () => {
      const endMs = performance.now() + this.#settings.run.recoveryDeadlineMs;
      for (;;) {
        const watch = await this.#links.watch.client(signal);
        const domain = await runningDomain(watch, request.vmId, { signal });
        if (postCopyOf(await watch.state(domain, { signal })) === null) {
          throw new PlimsollError('vm-busy', `VM ${domain.name} is in no post-copy on this host; ask both hosts where it runs`);
        }
        try {
          return await this.#run(await this.#jobFor(watch, domain, request, true, signal), onProgress, signal);
        } catch (error) {
          if (signal.aborted || performance.now() > endMs) throw error;
        }
        await watch.abortJobFlags(domain, abortJobFlag.postCopy, { signal }).catch(() => undefined);
        await sleep(this.#settings.run.progressIntervalMs, undefined, { signal }).catch(() => undefined);
      }
    });
  }

  async change(vmId: VmId, change: JobChange, signal: AbortSignal): Promise<void> {
    try {
      const watch = await this.#links.watch.client(signal);
      const domain = await runningDomain(watch, vmId, { signal });
      if (!(await isSending(watch, domain, { signal }))) throw notNow(domain);
      if (change.kind === 'post-copy') this.#askedForPostCopy.add(vmId);
      await changeOf(watch, domain, change, { signal });
    } catch (error) {
      // libvirt has one code for everything that does not fit the state the job is in.
      if (error instanceof LibvirtError && (error.code === 'invalid-state' || error.code === 'server-error')) {
        throw new PlimsollError('vm-busy', `${error.message}; try again in a moment`, { cause: error });
      }
      throw toPlimsollError(error);
    }
  }

  async #counted<T>(transfer: () => Promise<T>): Promise<T> {
    if (this.#migrations >= migrationsMax) {
      throw new PlimsollError('migration-limit', `${migrationsMax} migrations already leave this host; wait until one has ended`);
    }
    this.#migrations += 1;
    try {
      return await transfer();
    } catch (error) {
      throw toPlimsollError(error);
    } finally {
      this.#migrations -= 1;
    }
  }

  /** QEMU and libvirt keep both values until they are set again, so they are in force from the first iteration on. */
  async #setLimits(watch: LibvirtClient, domain: DomainRef, { options }: MigrateRequest, wait: Wait): Promise<void> {
    await watch.migrateSetMaxDowntime(domain, toldDowntimeMs(options), wait).catch(unlessUnsupported);
    if (options.bandwidthBytesPerSecond > 0) return;
    await watch.migrateSetMaxSpeed(domain, uncappedMebibytesPerSecond, 0, wait).catch(unlessUnsupported);
  }

  async #jobFor(watch: LibvirtClient, domain: DomainRef, request: ThroughRequest, resume: boolean, signal: AbortSignal): Promise<LongJob> {
    const { through, options } = request;
    const [record] = await watch.allDomainStats({ domains: [domain], stats: viewGroups, flags: statsFlag.noWait }, { signal });
    const perform = migrateArguments(domain, request, {
      persistent: await watch.isPersistent(domain, { signal }),
      memoryBytes: record === undefined ? 0 : readVmFacts(record).memoryBytes,
      destinationUri: through === undefined ? this.#settings.destinationUri(request) : socketUri(through),
      ...(through === undefined ? {} : { dataPort: through.dataPort }),
      resume,
    });
    return {
      domain,
      call: async (client: LibvirtClient, wait: LongWait) => client.migrate(perform, wait),
      // What is resumed is a VM in halves, whatever its transfer began as and this process remembers of it.
      ...(through === undefined && !resume ? { cutOff: this.#cutOffOf(request) } : {}),
      ...(options.method === 'post-copy' && !resume
        ? { meanwhile: async (client: LibvirtClient, wait: Wait) => client.migrateStartPostCopy(domain, wait) }
        : {}),
    };
  }

  /** Not of a forward, whose stream is on the loopback address beside others. The stream never of a VM whose memory may be on both hosts. */
  #cutOffOf({ vmId, peerAddress, options: { method } }: MigrateRequest): CutOff {
    const mayBeSplit = (): boolean => method === 'hybrid' || method === 'post-copy' || this.#askedForPostCopy.has(vmId);
    return {
      stream: async (signal) => (mayBeSplit() ? 0 : endConnections(vmId, peerAddress, signal)),
      control: async (signal) => endControlConnections(peerAddress, signal),
    };
  }

  async #run(job: LongJob, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<JobOutcome> {
    const work = await this.#links.work.client(signal);
    const watch = async (wait: AbortSignal): Promise<LibvirtClient> => this.#links.watch.client(wait);
    try {
      return await new MigrationRun({ work, watch }, job, this.#settings.run).run(onProgress, signal);
    } catch (cause) {
      if (!(await this.#isBroken(job.domain))) throw cause;
      const advice = 'it is halted, and neither host may lose its half: bring the hosts together again and recover it';
      throw new PlimsollError('post-copy-broken', `the post-copy of VM ${job.domain.name} lost its connection; ${advice}`, { cause });
    }
  }

  async #isBroken(domain: DomainRef): Promise<boolean> {
    const signal = AbortSignal.timeout(this.#settings.run.figuresDeadlineMs);
    const look = this.#links.watch.client(signal).then(async (watch) => watch.state(domain, { signal }));
    return look.then(
      (state) => postCopyOf(state) !== null,
      () => false,
    );
  }
}

/**
 * Whether QEMU is at it: only then it tells of memory. What is changed earlier libvirt sets anew from the arguments of the migration, and
 * a VM that is suspended while libvirt still prepares arrives suspended (seen with 9.0): nobody would run it.
 */
async function isSending(watch: LibvirtClient, domain: DomainRef, wait: Wait): Promise<boolean> {
  if ((await jobOf(watch, domain, wait)) !== 'active') return false;
  const { params } = await watch.jobStats(domain, 0, wait);
  return (numbers(params).get('memory_total') ?? 0) > 0;
}

async function changeOf(watch: LibvirtClient, domain: DomainRef, change: JobChange, wait: Wait): Promise<void> {
  switch (change.kind) {
    case 'downtime':
      return watch.migrateSetMaxDowntime(domain, change.downtimeMsMax, wait);
    case 'bandwidth': {
      const speed =
        change.bandwidthBytesPerSecond === 0 ? uncappedMebibytesPerSecond : toMebibytesPerSecond(change.bandwidthBytesPerSecond);
      const stage = stageOf(await watch.state(domain, wait));
      return watch.migrateSetMaxSpeed(domain, speed, stage === 'post-copy' ? maxSpeedFlag.postCopy : 0, wait);
    }
    case 'post-copy':
      return watch.migrateStartPostCopy(domain, wait);
    case 'stop':
      return stop(watch, domain, wait);
  }
}

/**
 * virDomainSuspend. On a VM that is being migrated it counts as part of the migration (VIR_DOMAIN_PAUSED_MIGRATION): libvirt resumes the
 * VM on the destination, or here when the job fails. Suspended a moment too late it would stay halted here: then it is resumed at once.
 */
async function stop(watch: LibvirtClient, domain: DomainRef, wait: Wait): Promise<void> {
  if (stageOf(await watch.state(domain, wait)) !== 'copying') throw notNow(domain);
  await watch.suspend(domain, wait);
  const { state, reason } = await watch.state(domain, wait);
  if (state !== domainState.paused || reason !== pausedReason.user) return;
  await watch.resume(domain, wait);
  throw notNow(domain);
}

function notNow(domain: DomainRef): PlimsollError {
  return new PlimsollError('vm-busy', `VM ${domain.name} is at no point of a migration where this can be changed; try again in a moment`);
}

/** libvirt's remote driver over a Unix socket; the socket leads to the peer's daemon. */
function socketUri({ controlSocket }: MigrationForward): string {
  return `qemu+unix:///system?socket=${encodeURIComponent(controlSocket)}`;
}

export function unlessUnsupported(error: unknown): void {
  if (!(error instanceof LibvirtError) || error.code !== 'unsupported') throw error;
}
