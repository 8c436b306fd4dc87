/**
 * For tests: two hosts and a VM on its way between them, as a hypervisor, its return path and the agents behave (LAB.md has what was
 * measured). Time is counted in ticks, one for each effect that is performed. Everything may die or be cut off at any tick; what dies
 * with the VM in it is a casualty, which nobody can bring back.
 *
 *   copy --> switch --> confirm --> over        a live migration; `copy -> split -> over` in post-copy
 *   send --> ask ----> restore --> over         a sealed image, which goes on only while it is watched
 */
import type { ImageStanding, VmTruth } from '#core/model/migration.ts';
import type { PostCopyState } from '#core/model/vm.ts';
import { absent, image, present, unreachable } from './step-examples.ts';

export interface Copy {
  state: 'running' | 'paused' | 'incoming';
  job: boolean;
  post: PostCopyState | null;
}

export interface Place {
  copy: Copy | null;
  image: ImageStanding | null;
  /** Ticks for which this host does not answer. */
  silent: number;
  /** Since the VM was to come there: a copy that is not there may have been there. */
  restarted: boolean;
}

export interface Setup {
  readonly isImage: boolean;
  readonly ticks: number;
  readonly goesPostCopy: boolean;
  /** Where the hypervisor gets stuck for good, until somebody aborts. `endless`: it sends for ever, so that it shows no stall. */
  readonly stuck: 'copy' | 'switch' | 'endless' | null;
  /** What the source says of a transfer that has ended: the opposite of how it ended. */
  readonly lies: boolean;
}

type Stage = 'copy' | 'switch' | 'confirm' | 'split' | 'send' | 'ask' | 'restore';

interface Job {
  stage: Stage;
  left: number;
  cut: number;
  unwatched: number;
  /** Its daemon is gone: the two QEMUs go on, and the source does not hear how it ends. */
  deaf: boolean;
}

const keepAliveTicks = 3;

export class StepWorld {
  readonly source: Place = { copy: { state: 'running', job: false, post: null }, image: null, silent: 0, restarted: false };
  readonly destination: Place = { copy: null, image: null, silent: 0, restarted: false };
  readonly setup: Setup;
  status: 'none' | 'running' | 'completed' | 'failed' | 'unknown' = 'none';
  job: Job | null = null;
  linkUp = true;
  casualty = false;
  /** A call that was sent before its sender died begins with the next tick. */
  beginsLate = false;
  /** The copy on the destination has died since the hosts were last asked. */
  diedSinceAnswer = false;
  /** The VM ran on the destination when that lost its power: what is halted on the source is older. */
  isOlderOnSource = false;
  /** Ticks until the source's agent starts again what it has kept, and until the destination has read an image. */
  #mendsIn = 0;
  #restoresIn = 0;

  constructor(setup: Setup) {
    this.setup = setup;
  }

  begin(): void {
    this.status = 'running';
    const { isImage, ticks } = this.setup;
    this.job = { stage: isImage ? 'send' : 'copy', left: ticks, cut: 0, unwatched: 0, deaf: false };
    if (isImage) {
      this.source.copy = null;
      this.source.image = 'moving';
      this.destination.image = 'offered';
      return;
    }
    if (this.source.copy !== null) this.source.copy.job = true;
    this.destination.copy = { state: 'incoming', job: true, post: null };
  }

  tick(isWatched: boolean): void {
    for (const place of [this.source, this.destination]) if (place.silent > 0) place.silent -= 1;
    if (this.#mendsIn > 0) {
      this.#mendsIn -= 1;
      if (this.#mendsIn === 0) this.takeBack();
    }
    if (this.destination.image === 'restoring') this.#restore();
    // What a host does while nobody hears of it, it may begin at the end of that.
    if (this.beginsLate && this.source.silent <= 1) {
      this.beginsLate = false;
      this.begin();
    } else if (this.job !== null) this.#work(this.job, isWatched);
  }

  truthOf(place: Place): VmTruth {
    if (place.silent > 0) return unreachable;
    const { copy, image: standing } = place;
    const isAtWork = standing === 'moving' || standing === 'restoring';
    if (standing !== null && (isAtWork || copy?.state !== 'running')) return image(standing);
    if (copy === null) return place.restarted ? present('crashed') : absent;
    return present(copy.state, copy.job, copy.post);
  }

  /** False after the hypervisor has brought the VM back from its last round by itself. */
  holdsLock = true;

  abort(): void {
    const { job } = this;
    if (job === null || this.source.silent > 0) return;
    if (job.stage === 'copy' || job.stage === 'switch') this.failJob('running');
    else if (job.stage === 'send') this.#giveUpImage();
  }

  /** The job has failed, the source has the VM, the destination throws away what it got, unless it did not hear of it. */
  failJob(left: 'running' | 'paused'): void {
    if (this.job?.stage === 'switch') this.holdsLock = false;
    if (this.source.copy !== null) this.source.copy = { state: left, job: false, post: null };
    const isHeard = this.linkUp && this.destination.silent === 0;
    if (this.destination.copy !== null) this.destination.copy = isHeard ? null : { state: 'incoming', job: false, post: null };
    this.#end('failed');
  }

  /** The destination runs, the source did not hear of it. */
  leaveBehind(): void {
    if (this.source.copy !== null) this.source.copy = { state: 'paused', job: false, post: null };
    this.#end('failed');
  }

  breakApart(): void {
    for (const { copy } of [this.source, this.destination])
      if (copy !== null && copy.post !== null) [copy.state, copy.post] = ['paused', 'failed'];
    this.#end('failed');
  }

  /** Whether the source's agent has taken the order. */
  recoverPostCopy(): boolean {
    const [left, right] = [this.source.copy, this.destination.copy];
    if (!this.linkUp || this.source.silent > 0 || left?.post !== 'failed' || right?.post !== 'failed') return false;
    [left.post, right.state, right.post] = ['active', 'running', 'active'];
    this.job = { stage: 'split', left: 2, cut: 0, unwatched: 0, deaf: false };
    this.status = 'running';
    return true;
  }

  takeBack(): void {
    this.source.image = null;
    this.source.copy = { state: 'running', job: false, post: null };
  }

  sourceAgentRestarts(): void {
    this.status = this.status === 'none' ? 'none' : 'unknown';
    const stage = this.job?.stage;
    if (stage !== 'send' && stage !== 'ask' && stage !== 'restore') return;
    this.source.image = stage === 'send' ? 'kept' : 'given';
    if (stage === 'send') this.#mendsIn = 2;
    this.job = null;
  }

  destinationAgentRestarts(startWasHeard: boolean): void {
    if (this.destination.image !== 'restoring' || startWasHeard) return;
    this.destination.image = 'begun';
    if (this.job?.stage === 'restore') this.#leaveGiven();
  }

  sourceDaemonDies(): void {
    const stage = this.job?.stage;
    if (stage === 'copy') this.failJob('running');
    else if (stage === 'switch') this.failJob('paused');
    else if (stage === 'confirm') this.leaveBehind();
    else if (stage === 'split' && this.job !== null) this.job.deaf = true;
  }

  destinationDaemonDies(): void {
    const stage = this.job?.stage;
    if (stage === 'copy' || stage === 'switch') this.failJob('running');
    else if (stage === 'confirm') this.leaveBehind();
    else if (stage === 'split' && this.job !== null) this.job.deaf = true;
  }

  /** It dies as it begins to start the process of its copy: after its restart it has that copy without a process, and calls its job at work. */
  destinationDaemonBegins(): void {
    if (this.job?.stage !== 'copy') return;
    this.failJob('running');
    this.destination.copy = { state: 'incoming', job: true, post: null };
  }

  killSource(): void {
    const { copy } = this.source;
    if (copy === null) return;
    this.source.copy = null;
    const isElsewhere = this.destination.copy?.state === 'running' && this.destination.copy.post === null;
    this.casualty ||= !isElsewhere;
    const stage = this.job?.stage;
    if (stage === 'copy' || stage === 'switch') this.failJob('running');
    else if (stage === 'confirm') this.#end('failed');
    else if (copy.post !== null) this.breakApart();
  }

  killDestination(resumesSource: boolean): void {
    const { copy } = this.destination;
    if (this.destination.image === 'restoring') this.destination.image = 'begun';
    if (copy === null) return;
    this.destination.copy = null;
    this.diedSinceAnswer = true;
    const { copy: left, image: kept } = this.source;
    this.casualty ||= copy.post !== null || ((left === null || left.post !== null) && kept === null);
    const stage = this.job?.stage;
    if (stage === 'copy' || stage === 'switch' || stage === 'confirm') this.failJob(resumesSource ? 'running' : 'paused');
    else if (copy.post !== null) this.breakApart();
  }

  powerOffDestination(resumesSource: boolean): void {
    this.isOlderOnSource ||= this.destination.copy?.state === 'running';
    this.killDestination(resumesSource);
    [this.destination.silent, this.destination.restarted] = [20, true];
  }

  #end(status: 'completed' | 'failed'): void {
    this.job = null;
    if (this.status === 'running') this.status = status;
  }

  #work(job: Job, isWatched: boolean): void {
    job.cut = this.linkUp ? 0 : job.cut + 1;
    if (job.stage === 'send' || job.stage === 'ask' || job.stage === 'restore') this.#workOnImage(job, isWatched);
    else if (this.linkUp) this.#workOnCopy(job);
    else if (job.cut > keepAliveTicks) this.#cutOff(job);
  }

  /** Over a black hole a switch-over has no end: only an abort, or the link, brings the VM back. */
  #cutOff({ stage }: Job): void {
    if (stage === 'copy') this.failJob('running');
    else if (stage === 'confirm') this.leaveBehind();
    else if (stage === 'split') this.breakApart();
  }

  #workOnCopy(job: Job): void {
    const { goesPostCopy, stuck } = this.setup;
    const [left, right] = [this.source.copy, this.destination.copy];
    if (left === null || right === null) return;
    job.left -= 1;
    if (job.stage === 'copy') {
      if (job.left > 0 || stuck === 'copy' || stuck === 'endless') return;
      left.state = 'paused';
      if (!goesPostCopy) job.stage = 'switch';
      else [job.stage, job.left, left.post, right.state, right.post] = ['split', 3, 'active', 'running', 'active'];
    } else if (job.stage === 'switch') {
      if (stuck === 'switch') return;
      [job.stage, right.state, right.job] = ['confirm', 'running', false];
    } else if (job.stage === 'confirm') {
      this.source.copy = null;
      this.#end('completed');
    } else if (job.left <= 0) {
      [right.job, right.post] = [false, null];
      this.source.copy = job.deaf ? { state: 'paused', job: false, post: 'failed' } : null;
      this.#end('completed');
    }
  }

  #workOnImage(job: Job, isWatched: boolean): void {
    job.unwatched = isWatched && this.destination.silent === 0 && this.linkUp ? 0 : job.unwatched + 1;
    if (job.unwatched > keepAliveTicks) {
      if (job.stage === 'send') this.#giveUpImage();
      else this.#leaveGiven();
      return;
    }
    if (job.unwatched > 0) return;
    job.left -= 1;
    if (job.stage === 'send' && job.left <= 0 && this.setup.stuck === null) {
      job.stage = 'ask';
      this.destination.image = 'opened';
    } else if (job.stage === 'ask') {
      job.stage = 'restore';
      this.destination.image = 'restoring';
      this.#restoresIn = 4;
    } else if (job.stage === 'restore' && this.destination.copy !== null) {
      this.source.image = null;
      this.#end('completed');
    } else if (job.stage === 'restore' && this.destination.image !== 'restoring') this.#leaveGiven();
  }

  #restore(): void {
    this.#restoresIn -= 1;
    if (this.#restoresIn > 0) return;
    this.destination.image = null;
    this.destination.copy = { state: 'running', job: false, post: null };
  }

  #giveUpImage(): void {
    this.takeBack();
    this.#end('failed');
  }

  /** The destination was, or may have been, told to start it, and did not answer. */
  #leaveGiven(): void {
    this.source.image = 'given';
    this.#end('failed');
  }
}
