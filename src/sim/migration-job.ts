/**
 * One live migration as libvirt and QEMU run it, with the return path: the source gives up its copy only
 * after the destination runs.
 *
 *   transfer --rest fits the downtime--> switch-over --> confirm --> ended: the VM is on the destination
 *      |                                      |              \ the source does not hear of it: a paused copy stays there
 *      \__ failure or abort __________________/
 *          the source's copy runs on, the destination's is removed
 */
import type { JobOutcome, Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { MigrateRequest } from '#core/ports.ts';
import { Copy, type Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import type { World } from './world.ts';

export type Stage = 'transfer' | 'switch-over' | 'confirm' | 'moved' | 'stayed';

const tickMs = 250;
/** Device state and the hand-over itself, on top of the last pages. Measured over userspace IPsec: about 250 ms in all. */
const handOverMs = 60;
/** From the destination's start to the end of the source's copy. */
const confirmMs = 20;
/** libvirt's keep-alive on a link that is cut. Measured: 28.5 s. */
const keepAliveMs = 28_500;
/** Until the source sees that the destination's QEMU, or its libvirtd, is dead. Measured: 1.3 s and 1.1 s. */
const deadPeerSeenMs = 1_300;
/** Until the destination has cleaned up after a job that failed. */
const cleanUpMs = 200;
const pageBytes = 4096;

export class MigrationJob {
  readonly guest: Guest;
  readonly source: SimHost;
  readonly destination: SimHost;
  readonly #world: World;
  readonly #request: MigrateRequest & { readonly isForwarded?: boolean };
  readonly #settle: (ended: JobOutcome | PlimsollError) => void;
  readonly #sourceCopy: Copy;
  readonly #destinationCopy: Copy;
  readonly #unwatch: (() => void)[];
  readonly #startedAtMs: number;
  #stage: Stage = 'transfer';
  #cancelNext: () => void = () => undefined;
  #dying = false;
  #sentBytes = 0;
  #remainingBytes: number;
  #dirtiedBytes = 0;
  #iteration = 1;
  #rateBytesPerSecond = 0;
  #pausedAtMs = 0;
  #runsAtMs = 0;
  #carriedAtMs: number;

  constructor(
    world: World,
    ends: { readonly source: SimHost; readonly destination: SimHost; readonly copy: Copy },
    request: MigrateRequest & { readonly isForwarded?: boolean },
    settle: (ended: JobOutcome | PlimsollError) => void,
  ) {
    this.#world = world;
    this.source = ends.source;
    this.destination = ends.destination;
    this.guest = ends.copy.guest;
    this.#request = request;
    this.#settle = settle;
    this.#sourceCopy = ends.copy;
    this.#destinationCopy = new Copy(this.guest, 'incoming');
    this.#remainingBytes = ends.copy.residentBytes;
    this.#startedAtMs = world.time.elapsedMs;
    this.#carriedAtMs = this.#startedAtMs;
    this.#sourceCopy.jobActive = true;
    this.destination.add(this.#destinationCopy);
    world.jobs.add(this);
    this.#unwatch = [
      this.source.libvirtd.onChange((alive) => alive || this.#sourceDaemonDied()),
      this.destination.libvirtd.onChange((alive) => alive || this.#destinationDied('libvirtd on the destination is gone')),
    ];
    world.enterStage(this, 'transfer');
    this.#later(0);
  }

  get progress(): Progress {
    return {
      elapsedMs: this.#world.time.elapsedMs - this.#startedAtMs,
      memoryTotalBytes: this.guest.memoryBytes,
      memoryRemainingBytes: Math.round(this.#remainingBytes + this.#dirtiedBytes),
      memorySentBytes: Math.round(this.#sentBytes),
      bandwidthBytesPerSecond: Math.round(this.#rateBytesPerSecond),
      dirtyPagesPerSecond: Math.round(this.guest.dirtyBytesPerSecond / pageBytes),
      pageSizeBytes: pageBytes,
      iteration: this.#iteration,
      expectedDowntimeMs: null,
    };
  }

  /** QEMU cancels; too late once the destination runs. */
  abort(): void {
    if (this.#stage === 'transfer' || this.#stage === 'switch-over') {
      this.#fail(new PlimsollError('aborted', 'the migration was aborted; the VM stays on this host'));
    }
  }

  /** Kill -9 on the destination's QEMU while it receives. */
  killDestination(): void {
    if (this.#stage !== 'transfer' && this.#stage !== 'switch-over') return;
    this.destination.remove(this.#destinationCopy);
    this.#destinationDied('QEMU on the destination died');
  }

  #later(delayMs: number): void {
    this.#cancelNext = this.#world.time.after(delayMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#stage === 'transfer' && this.#remainingBytes <= 0) this.#endRound();
    if (this.#stage === 'switch-over') {
      this.#handOver();
      return;
    }
    this.#rateBytesPerSecond = this.#rate();
    const seconds = Math.min(tickMs / 1000, this.#remainingBytes / this.#rateBytesPerSecond);
    const bytes = Math.min(this.#remainingBytes, this.#rateBytesPerSecond * seconds);
    if (!this.#move(bytes)) {
      this.#waitOrGiveUp();
      return;
    }
    this.#remainingBytes -= bytes;
    this.#dirtiedBytes = Math.min(this.guest.workingSetBytes, this.#dirtiedBytes + this.guest.dirtyBytesPerSecond * seconds);
    this.#later(Math.max(1, seconds * 1000));
  }

  #endRound(): void {
    this.#remainingBytes = this.#dirtiedBytes;
    this.#dirtiedBytes = 0;
    const restMs = (this.#remainingBytes / this.#rateBytesPerSecond) * 1000;
    if (restMs > this.#request.downtimeMsMax) {
      this.#iteration += 1;
      return;
    }
    this.#stage = 'switch-over';
    this.#pausedAtMs = this.#world.time.elapsedMs;
    this.source.change(() => {
      this.#sourceCopy.state = 'paused';
    });
    this.#world.enterStage(this, 'switch-over');
  }

  /** The last pages and the device state cross; with the return path both sides agree before the source lets go. */
  #handOver(): void {
    const restMs = Math.ceil((this.#remainingBytes / this.#rate()) * 1000) + handOverMs;
    if (this.#world.time.elapsedMs - this.#pausedAtMs < restMs) {
      this.#later(restMs);
      return;
    }
    if (!this.#move(this.#remainingBytes)) {
      this.#waitOrGiveUp();
      return;
    }
    this.destination.change(() => {
      this.#destinationCopy.state = 'running';
      this.#destinationCopy.jobActive = false;
      this.#destinationCopy.residentBytes = this.guest.memoryBytes;
    });
    this.#runsAtMs = this.#world.time.elapsedMs;
    this.#stage = 'confirm';
    this.#world.enterStage(this, 'confirm');
    this.#cancelNext = this.#world.time.after(confirmMs, () => this.#confirm());
  }

  /**
   * The source lets go when it hears that the destination runs. Where it cannot hear, libvirt gives up and wants to
   * resume the source; the storage lock, which the destination holds by then, keeps that copy paused.
   */
  #confirm(): void {
    if (!this.#world.network.reaches(this.source.hostId, this.destination.hostId)) {
      const silentMs = this.#world.time.elapsedMs - this.#carriedAtMs;
      if (silentMs < keepAliveMs) this.#cancelNext = this.#world.time.after(tickMs, () => this.#confirm());
      else this.#end('moved', new PlimsollError('hypervisor-failed', 'the connection to the destination was lost in the last step'));
      return;
    }
    this.source.remove(this.#sourceCopy);
    const outcome: JobOutcome = {
      totalMs: this.#world.time.elapsedMs - this.#startedAtMs,
      downtimeMs: this.#runsAtMs - this.#pausedAtMs,
      memorySentBytes: Math.round(this.#sentBytes),
      iterations: this.#iteration,
    };
    this.#end('moved', outcome);
  }

  #move(bytes: number): boolean {
    if (this.#dying || !this.#carries(bytes)) return false;
    this.#carriedAtMs = this.#world.time.elapsedMs;
    this.#sentBytes += bytes;
    this.destination.change(() => {
      this.#destinationCopy.residentBytes = Math.min(this.guest.memoryBytes, this.#sentBytes);
    });
    return true;
  }

  #carries(bytes: number): boolean {
    if (this.#request.isForwarded === true) return this.#world.network.reaches(this.source.hostId, this.destination.hostId);
    return this.#world.carry(this.source, this.destination, bytes, this.#request.peerAddress) === 'carried';
  }

  #waitOrGiveUp(): void {
    if (this.#world.time.elapsedMs - this.#carriedAtMs < keepAliveMs) {
      this.#later(tickMs);
      return;
    }
    this.#fail(new PlimsollError('hypervisor-failed', 'the connection to the destination was lost: its keep-alive got no answer'));
  }

  #destinationDied(why: string): void {
    if (this.#stage !== 'transfer' && this.#stage !== 'switch-over') return;
    this.#dying = true;
    this.#world.time.after(deadPeerSeenMs, () => {
      if (this.#stage === 'transfer' || this.#stage === 'switch-over') this.#fail(new PlimsollError('hypervisor-failed', why));
    });
  }

  /** During the switch-over libvirt leaves the decision to "a third party": the source stays paused. */
  #sourceDaemonDied(): void {
    const away = new PlimsollError('hypervisor-unavailable', 'libvirtd went away during the migration');
    if (this.#stage === 'transfer') this.#fail(away);
    else if (this.#stage === 'switch-over') this.#fail(away, 'paused');
    else if (this.#stage === 'confirm') this.#end('moved', away);
  }

  #fail(why: PlimsollError, left: 'running' | 'paused' = 'running'): void {
    this.source.change(() => {
      this.#sourceCopy.state = left;
    });
    const reachable = this.#world.network.reaches(this.source.hostId, this.destination.hostId);
    // Cut off, the destination's own keep-alive has to find out.
    const silentMs = this.#world.time.elapsedMs - this.#carriedAtMs;
    const delayMs = reachable ? cleanUpMs : Math.max(cleanUpMs, keepAliveMs + 1_500 - silentMs);
    this.#world.time.after(delayMs, () => this.destination.remove(this.#destinationCopy));
    this.#end('stayed', why);
  }

  #end(stage: 'moved' | 'stayed', ended: JobOutcome | PlimsollError): void {
    this.#cancelNext();
    for (const stop of this.#unwatch) stop();
    this.#sourceCopy.jobActive = false;
    this.#stage = stage;
    this.#world.jobs.delete(this);
    this.#world.enterStage(this, stage);
    this.#settle(ended);
  }

  /** Links are shared by the jobs that use them; the cap is the operator's. */
  #rate(): number {
    const jobsAt = (host: SimHost) => [...this.#world.jobs].filter((job) => job.source === host || job.destination === host).length;
    const share = (host: SimHost) => host.spec.linkBytesPerSecond / Math.max(1, jobsAt(host));
    const cap = this.#request.bandwidthBytesPerSecond;
    return Math.min(share(this.source), share(this.destination), cap > 0 ? cap : Number.POSITIVE_INFINITY);
  }
}
