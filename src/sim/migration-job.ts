/**
 * One live migration as libvirt and QEMU run it, with the return path: the source gives up its copy only
 * after the destination runs.
 *
 *   transfer --rest fits the downtime--> switch-over --------------> confirm --> moved: the VM is on the destination
 *      |   \--post-copy--> switch-over --> post-copy --all there--/      \ the source does not hear of it: a halted copy stays there
 *      |                       |            |      ^
 *      |                       |   silence  v      | recovered
 *      |                       |         post-copy-failed: both halves are halted; neither is worth anything without the other
 *      \__ failure or abort ___/
 *          stayed: the source's copy runs on, the destination's is removed
 */
import type { JobOutcome, Progress, TransferStage } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { JobChange } from '#core/ports.ts';
import type { Copy, Guest } from './guest.ts';
import type { SimHost } from './host.ts';
import { changeFault } from './job-change.ts';
import { type JobRequest, JobStream } from './job-stream.ts';
import { JobTimes } from './job-times.ts';
import { MemoryRounds } from './memory-rounds.ts';
import { MovingCopies } from './moving-copies.ts';
import { timings } from './timings.ts';
import type { World } from './world.ts';

export type Stage = 'transfer' | 'switch-over' | 'post-copy' | 'post-copy-failed' | 'confirm' | 'moved' | 'stayed';
/** What the end of a process meant: the VM, or half of its memory, ended with it; or nothing that anybody misses. */
export type Death = 'fatal' | 'harmless' | 'not-there';
type Settle = (ended: JobOutcome | PlimsollError) => void;

export class MigrationJob {
  readonly guest: Guest;
  readonly source: SimHost;
  readonly destination: SimHost;
  readonly #world: World;
  readonly #method: JobRequest['options']['method'];
  readonly #copies: MovingCopies;
  readonly #stream: JobStream;
  readonly #rounds: MemoryRounds;
  readonly #unwatch: (() => void)[];
  readonly #times: JobTimes;
  #settle: Settle | null;
  #downtimeMsMax: number;
  #stage: Stage = 'transfer';
  #isPostCopy = false;
  #isOver = false;
  #cancelNext: () => void = () => undefined;
  #rateBytesPerSecond = 0;

  constructor(
    world: World,
    ends: { readonly source: SimHost; readonly destination: SimHost; readonly copy: Copy },
    request: JobRequest,
    settle: Settle,
  ) {
    const { method, downtimeMsMax, autoConverge } = request.options;
    this.#world = world;
    [this.source, this.destination] = [ends.source, ends.destination];
    this.guest = ends.copy.guest;
    [this.#method, this.#settle, this.#downtimeMsMax] = [method, settle, downtimeMsMax];
    this.#times = new JobTimes(world.time);
    this.#rounds = new MemoryRounds(this.guest, ends.copy.residentBytes, autoConverge, world.time.elapsedMs);
    this.#stream = new JobStream(world, this.source, this.destination, request);
    this.#copies = new MovingCopies(ends);
    world.jobs.add(this);
    this.#unwatch = [
      this.source.libvirtd.onChange((alive) => alive || this.#sourceDaemonDied()),
      this.destination.libvirtd.onChange((alive) => alive || this.#destinationDaemonDied()),
    ];
    if (method === 'stop-and-copy') this.#halt();
    world.enterStage(this, 'transfer');
    this.#later(0);
  }

  get progress(): Progress {
    return this.#rounds.progress({
      elapsedMs: this.#times.sinceStartMs,
      sentBytes: this.#stream.sentBytes,
      bytesPerSecond: this.#rateBytesPerSecond,
      downtimeMsMax: this.#downtimeMsMax,
      stage: this.#transferStage,
    });
  }

  get isPostCopy(): boolean {
    return this.#isPostCopy;
  }

  get #transferStage(): TransferStage {
    if (this.#stage === 'post-copy' || this.#stage === 'post-copy-failed') return this.#stage;
    return this.#stage === 'transfer' && this.#copies.runsOnSource ? 'copying' : 'stopped';
  }

  /** Nothing of the memory is on the destination alone. */
  get #isRevocable(): boolean {
    return !this.#isOver && (this.#stage === 'transfer' || this.#stage === 'switch-over');
  }

  get holdsHalves(): boolean {
    return this.#stage === 'post-copy' || this.#stage === 'post-copy-failed';
  }

  /** QEMU cancels as soon as it and its libvirtd move, and the VM runs here. Too late once the destination runs: then nothing happens. */
  abort(): void {
    const stuck = [this.source.libvirtd.standstill, this.#copies.sourceStandstill].find(({ paused }) => paused);
    if (stuck) stuck.onceOver(() => this.abort());
    else if (this.#isRevocable) this.#fail(new PlimsollError('aborted', 'the migration was aborted; the VM stays on this host'));
  }

  change(change: JobChange): void {
    const fault = changeFault(change, { method: this.#method, times: this.#times, stage: this.#stage, isOver: this.#isOver });
    if (fault !== null) throw fault;
    this.#carryOut(change);
  }

  /** Goes on with the halves that are left on both hosts. Throws `hypervisor-failed`. */
  recover(request: JobRequest, settle: Settle): void {
    if (!this.#copies.areHalves || !this.#stream.isConnected || !this.destination.libvirtd.runs)
      throw new PlimsollError('hypervisor-failed', `the other half of ${this.guest.name} does not answer on ${this.destination.hostId}`);
    this.#world.act(`${this.guest.name}: its post-copy is taken up again`);
    this.#settle = settle;
    this.#stream.reconnect(request);
    this.#world.broken.delete(this);
    this.#world.jobs.add(this);
    this.#copies.split();
    this.#enter('post-copy');
    this.#later(timings.reconnectMs);
  }

  /** The destination's QEMU is gone while it receives; in post-copy half of the memory goes with it. */
  killDestination(): Death {
    if (!this.#isRevocable && !this.holdsHalves) return 'not-there';
    this.#copies.killDestination();
    if (!this.holdsHalves) {
      this.#destinationDied('QEMU on the destination died');
      return 'harmless';
    }
    this.#halfIsGone();
    return 'fatal';
  }

  /** The source's QEMU is gone while it sends: before the hand-over the VM dies with it, in post-copy half of its memory. */
  killSource(): Death {
    if (this.#stage === 'moved' || this.#stage === 'stayed') return 'not-there';
    this.#copies.killSource();
    const why = new PlimsollError('hypervisor-failed', 'QEMU on the source died');
    if (this.#stage === 'confirm') {
      this.#end('moved', why);
      return 'harmless';
    }
    if (this.holdsHalves) this.#halfIsGone();
    else if (!this.#isOver) this.#fail(why, null);
    return 'fatal';
  }

  #enter(stage: Stage): void {
    this.#stage = stage;
    this.#world.enterStage(this, stage);
  }

  #later(delayMs: number): void {
    this.#cancelNext();
    this.#cancelNext = this.#world.time.after(delayMs, () => this.#tick());
  }

  #tick(): void {
    if (this.#isRevocable && this.#stream.daemonsSilentMs() >= timings.keepAliveMs) {
      this.#fail(new PlimsollError('hypervisor-failed', 'the two libvirtd have lost each other: a keep-alive got no answer'));
      return;
    }
    if (this.#stage === 'transfer' && this.#rounds.remainingBytes <= 0) this.#endRound();
    if (this.#stage === 'switch-over') this.#handOver();
    else if (this.#stage === 'post-copy' && this.#rounds.remainingBytes <= 0) this.#arrive();
    else this.#sendStretch();
  }

  #sendStretch(): void {
    this.#rateBytesPerSecond = this.#stream.bytesPerSecond;
    const share = this.#stream.wireShare(this.#rounds.round);
    const { remainingBytes } = this.#rounds;
    const seconds = Math.min(timings.tickMs / 1000, (remainingBytes * share) / this.#rateBytesPerSecond);
    const memoryBytes = Math.min(remainingBytes, (this.#rateBytesPerSecond * seconds) / share);
    if (!this.#send(memoryBytes, share)) {
      this.#waitOrGiveUp();
      return;
    }
    this.#rounds.pass(memoryBytes, memoryBytes * share, seconds, this.#copies.computesOnSource);
    this.#later(Math.max(1, seconds * 1000));
  }

  #send(memoryBytes: number, share: number): boolean {
    const wireBytes = memoryBytes * share;
    if (!this.#stream.carry(wireBytes)) return false;
    this.#copies.receive(memoryBytes, this.#stream.coreSeconds(wireBytes));
    return true;
  }

  #endRound(): void {
    const rounds = this.#rounds;
    rounds.endRound(this.#world.time.elapsedMs);
    if (rounds.throttlePercent !== this.#copies.throttlePercent) {
      this.#copies.throttlePercent = rounds.throttlePercent;
      this.#world.act(`${this.guest.name}: slowed down by ${rounds.throttlePercent} %`);
    }
    const restMs = (rounds.restBytes / this.#rateBytesPerSecond) * 1000;
    if (restMs <= this.#downtimeMsMax) this.#switchOver();
    else rounds.beginRound();
  }

  #carryOut(change: JobChange): void {
    switch (change.kind) {
      case 'downtime':
        this.#downtimeMsMax = change.downtimeMsMax;
        this.#world.act(`${this.guest.name}: may now stop for ${Math.round(change.downtimeMsMax)} ms`);
        return;
      case 'bandwidth':
        this.#stream.bandwidthBytesPerSecond = change.bandwidthBytesPerSecond;
        return;
      case 'stop':
        this.#halt();
        this.#world.act(`${this.guest.name}: halted on ${this.source.hostId} until the rest has crossed`);
        return;
      case 'post-copy':
        this.#isPostCopy = true;
        this.#rounds.freeze();
        this.#switchOver();
        this.#later(0);
        return;
      default:
        change satisfies never;
    }
  }

  #halt(): void {
    if (!this.#copies.runsOnSource) return;
    this.#times.halts();
    this.#copies.halt();
  }

  #switchOver(): void {
    this.#halt();
    this.#times.switches();
    this.#enter('switch-over');
  }

  /**
   * The last pages and the device state cross, and libvirtd at both ends takes each step of it; with the return path both sides agree before
   * the source lets go. Over a black hole this has no end: only an abort, or the link, brings the VM back.
   */
  #handOver(): void {
    const restBytes = this.#isPostCopy ? 0 : this.#rounds.remainingBytes;
    const share = this.#stream.wireShare(this.#rounds.round);
    const restMs = Math.ceil(((restBytes * share) / this.#stream.bytesPerSecond) * 1000);
    const needMs = restMs + (this.#isPostCopy ? timings.postCopyHandOverMs : timings.handOverMs);
    if (this.#times.sinceSwitchMs < needMs) {
      this.#later(needMs - this.#times.sinceSwitchMs);
      return;
    }
    if (!this.#stream.daemonsRun || !this.#send(restBytes, share)) {
      this.#later(timings.tickMs);
      return;
    }
    this.#times.runs();
    if (this.#isPostCopy) {
      this.#copies.split();
      this.#enter('post-copy');
      this.#later(0);
      return;
    }
    this.#rounds.pass(restBytes, restBytes * share, 0, false);
    if (this.source.lies.aboutOutcome) this.#pretend();
    else this.#arrive();
  }

  #arrive(): void {
    this.#copies.arrive();
    this.#enter('confirm');
    this.#cancelNext = this.#world.time.after(timings.confirmMs, () => this.#confirm());
  }

  /**
   * The source lets go when it hears that the destination runs. Where it cannot hear, libvirt gives up and wants to
   * resume the source; the storage lock, which the destination holds by then, keeps that copy paused.
   */
  #confirm(): void {
    if (!this.#stream.isConnected || !this.#stream.daemonsRun) {
      if (this.#stream.silentMs < timings.keepAliveMs || this.source.libvirtd.standstill.paused)
        this.#cancelNext = this.#world.time.after(timings.tickMs, () => this.#confirm());
      else this.#leaveBehind(new PlimsollError('hypervisor-failed', 'the connection to the destination was lost in the last step'));
      return;
    }
    if (!this.source.libvirtd.alive) {
      this.#leaveBehind(new PlimsollError('hypervisor-unavailable', 'libvirtd went away during the migration'));
      return;
    }
    this.#copies.removeSource();
    this.#end('moved', this.#times.outcome(this.#stream.sentBytes, this.#rounds.round, this.#isPostCopy));
  }

  /** "Completed", says the source's hypervisor; the destination has nothing, as was measured without QEMU's return path. */
  #pretend(): void {
    this.#tell(this.#times.outcome(this.#stream.sentBytes, this.#rounds.round, false));
    this.#fail(new PlimsollError('hypervisor-failed', 'it was said to have completed'));
  }

  #leaveBehind(why: PlimsollError): void {
    this.#copies.leaveBehind(this.#isPostCopy);
    this.#end('moved', why);
  }

  #waitOrGiveUp(): void {
    if (this.#stream.silentMs < timings.keepAliveMs) {
      this.#rounds.pass(0, 0, timings.tickMs / 1000, this.#copies.computesOnSource);
      this.#later(timings.tickMs);
      return;
    }
    const why = 'the connection to the destination was lost: its keep-alive got no answer';
    if (this.#stage === 'post-copy') this.#breakApart(why);
    else this.#fail(new PlimsollError('hypervisor-failed', why));
  }

  /** Neither half can go on; both wait for somebody who connects them again. */
  #breakApart(why: string): void {
    this.#cancelNext();
    this.#copies.breakApart();
    this.#world.jobs.delete(this);
    this.#world.broken.add(this);
    this.#enter('post-copy-failed');
    this.#tell(new PlimsollError('post-copy-broken', `the post-copy has failed, the VM is halted: ${why}`));
  }

  /** The other half is halted as soon as its host notices. */
  #halfIsGone(): void {
    if (this.#stage !== 'post-copy') return;
    this.#stream.break();
    this.#cancelNext();
    this.#cancelNext = this.#world.time.after(timings.deadPeerSeenMs, () => this.#breakApart('QEMU on the other host died'));
  }

  #destinationDied(why: string): void {
    if (!this.#isRevocable) return;
    this.#stream.break();
    // Of a machine that nobody reaches only the silence tells.
    if (!this.#stream.isConnected) return;
    this.#world.time.after(timings.deadPeerSeenMs, () => {
      if (this.#isRevocable) this.#fail(new PlimsollError('hypervisor-failed', why));
    });
  }

  /** What two QEMUs do between themselves in post-copy goes on without libvirtd; whoever waited for it hears no more. */
  #destinationDaemonDied(): void {
    const why = 'libvirtd on the destination is gone';
    this.#destinationDied(why);
    if (this.#stage === 'post-copy')
      this.#world.time.after(timings.deadPeerSeenMs, () =>
        this.#tell(new PlimsollError('hypervisor-failed', `${why}; the post-copy goes on`)),
      );
  }

  /** During the switch-over libvirt leaves the decision to "a third party": the source stays paused. */
  #sourceDaemonDied(): void {
    const away = new PlimsollError('hypervisor-unavailable', 'libvirtd went away during the migration');
    if (this.#isRevocable) this.#fail(away, this.#copies.runsOnSource ? 'running' : 'paused');
    else if (this.#stage === 'confirm') this.#leaveBehind(away);
    else if (this.#stage === 'post-copy') this.#tell(away);
  }

  /** The VM goes on where it was (`left`; null: it is dead). libvirt says so when the destination has cleaned up, if it can be reached. */
  #fail(why: PlimsollError, left: 'running' | 'paused' | null = 'running'): void {
    this.#isOver = true;
    this.#cancelNext();
    if (left !== null) this.#copies.stay(left);
    const isHeard = this.#stream.isConnected && this.source.libvirtd.alive;
    // Cut off, the destination's own keep-alive has to find out.
    const delayMs = this.#stream.isConnected
      ? timings.cleanUpMs
      : Math.max(timings.cleanUpMs, timings.keepAliveMs + 1_500 - this.#stream.silentMs);
    this.#world.time.after(delayMs, () => {
      this.#copies.removeDestination();
      if (isHeard) this.#end('stayed', why);
    });
    if (!isHeard) this.#end('stayed', why);
  }

  #end(stage: 'moved' | 'stayed', ended: JobOutcome | PlimsollError): void {
    this.#isOver = true;
    this.#cancelNext();
    for (const stop of this.#unwatch) stop();
    this.#copies.release();
    this.#world.jobs.delete(this);
    this.#enter(stage);
    this.#tell(ended);
  }

  /** Whoever began it, or recovered it, hears of its end once. */
  #tell(ended: JobOutcome | PlimsollError): void {
    this.#settle?.(ended);
    this.#settle = null;
  }
}
