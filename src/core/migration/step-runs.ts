/**
 * For tests: whole migrations, with the machine and a world that answers its effects. What goes wrong, and when, is chosen by a tape of
 * numbers; after the tape nothing goes wrong any more. The laws are checked where they could be broken.
 */
import type { Migration, Phase } from '#core/model/migration.ts';
import { events, exampleProgress, exampleRequest, failed, lost, refused, running, truth } from './step-examples.ts';
import type { MigrationEffect, MigrationEvent, Step, StepLimits } from './step-events.ts';
import { askAbort, begin, outcomeOf, recover, step } from './step.ts';
import { type Setup, StepWorld } from './step-world.ts';
import type { Correction } from './truth.ts';

/** The machine, or one with a rule of it broken. */
export interface Machine {
  readonly step: (migration: Migration, event: MigrationEvent, nowMs: number, limits: StepLimits) => Step;
  readonly recover: (migration: Migration, nowMs: number) => Step;
  readonly askAbort: (migration: Migration) => Migration;
  readonly limits: StepLimits;
}

export const limits: StepLimits = { noProgressMsMax: 4_000, truthWaitMsMax: 8_000, switchOverMsMax: 3_000, unattendedMsMax: 12_000 };
export const machine: Machine = { step, recover, askAbort, limits };

export class Breach extends Error {}

export interface Ending {
  readonly outcome: 'moved' | 'stayed' | 'unclear';
  readonly migration: Migration;
  readonly world: StepWorld;
  /** Of the time in which nothing went wrong any more. */
  readonly stepsAfter: number;
  readonly msAfter: number;
}

export interface Watching {
  readonly onEdge?: (from: Phase, to: Phase) => void;
  readonly onEffect?: (effect: MigrationEffect['kind']) => void;
}

const faults = [
  'none',
  'cut-link',
  'mend-link',
  'kill-source',
  'kill-destination',
  'power-off-source',
  'power-off-destination',
  'source-daemon',
  'destination-daemon',
  'source-agent',
  'destination-agent',
  'silence-source',
  'silence-destination',
  'controller',
  'controller-before',
  'abort',
  'refuse',
  'lose-answer',
  'lose-correction',
  'forgetful-source',
  'forgetful-destination',
  'destination-daemon-begins',
] as const;
export type Fault = (typeof faults)[number];
/** Greater numbers are quiet ticks. */
export const tapeMax = faults.length;
const setupLength = 3;
const stuckWays: readonly Setup['stuck'][] = ['copy', 'switch', 'endless'];
/** With the limits of the slowest way run through one after the other. */
const stepsAfterMax = 60;
const msAfterMax = limits.unattendedMsMax + limits.truthWaitMsMax + limits.noProgressMsMax;

function setupOf(tape: Uint8Array): Setup {
  const [a = 0, b = 0, c = 0] = tape;
  return {
    isImage: a % 4 === 1,
    ticks: 1 + (b % 5),
    goesPostCopy: a % 4 === 2,
    stuck: stuckWays[c % 16] ?? null,
    lies: c >= 48,
  };
}

/** A tape that lets these faults happen one after the other, one at each effect; for examples. */
export function tapeOf(setup: readonly [number, number, number], story: readonly Fault[]): Uint8Array {
  return Uint8Array.from([...setup, ...story.map((fault) => faults.indexOf(fault))]);
}

/** Throws a Breach. */
export function run(tape: Uint8Array, { recover: takeUp, ...own }: Machine, watching: Watching = {}): Ending {
  const setup = setupOf(tape);
  const play = new Play(setup);
  let current = begin(exampleRequest({ channelKind: setup.isImage ? 'sealed-image' : 'ipsec' }));
  let nowMs = 0;
  let [stepsAfter, healedAtMs] = [0, 0];
  for (let index = setupLength; current.effect.kind !== 'finish'; index += 1) {
    const { migration, effect } = current;
    const isOver = index >= tape.length;
    if (isOver && stepsAfter === 0) {
      play.heal();
      healedAtMs = nowMs;
    }
    if (isOver) stepsAfter += 1;
    if (stepsAfter > stepsAfterMax || (isOver && nowMs - healedAtMs > msAfterMax)) throw new Breach(`stuck in ${migration.phase}`);
    // A transfer that never ends is somebody's to stop.
    const isAborted = isOver && setup.stuck === 'endless';
    const fault = faults[tape[index] ?? 0] ?? 'none';
    const asked = fault === 'abort' || isAborted ? own.askAbort(migration) : migration;
    watching.onEffect?.(effect.kind);
    const event = fault === 'controller-before' ? null : play.perform(effect, asked, fault);
    nowMs += durationMs(effect, event);
    const next = event === null || fault === 'controller' ? takeUp(asked, nowMs) : own.step(asked, event, nowMs, own.limits);
    if (next.migration.phase !== migration.phase) watching.onEdge?.(migration.phase, next.migration.phase);
    current = next;
  }
  const { migration } = current;
  play.mustFitTheEnd(outcomeOf(migration));
  return { outcome: outcomeOf(migration), migration, world: play.world, stepsAfter, msAfter: stepsAfter === 0 ? 0 : nowMs - healedAtMs };
}

function durationMs(effect: MigrationEffect, event: MigrationEvent | null): number {
  if (effect.kind === 'ask-truth') return effect.delayMs + 10;
  // A silent source is waited for.
  if (event?.kind === 'transfer-lost') return 2000;
  return 250;
}

/** One migration in its world. */
class Play {
  readonly world: StepWorld;
  readonly #setup: Setup;
  /** The machine has been told that half of the memory is on either host. */
  /** An order to take the lock again did not arrive: the machine may give up on that, and says so. */
  relockLost = false;
  #knowsPostCopy = false;
  /** Ticks until a host may forget once more what it has: never twice within the time of two questions. */
  #soundFor = 0;

  constructor(setup: Setup) {
    this.#setup = setup;
    this.world = new StepWorld(setup);
  }

  heal(): void {
    const { world } = this;
    world.linkUp = true;
    [world.source.silent, world.destination.silent] = [0, 0];
  }

  perform(effect: MigrationEffect, migration: Migration, fault: Fault): MigrationEvent {
    const { world } = this;
    this.#soundFor -= 1;
    switch (effect.kind) {
      case 'check':
      case 'secure':
      case 'choose':
        this.#pass(fault, false);
        return fault === 'refuse' ? refused() : this.#prepare(effect.kind);
      case 'start-transfer':
        this.#pass(fault, false);
        return this.#start(migration, fault);
      case 'watch-transfer':
        this.#pass(fault, true);
        return this.#watch();
      case 'abort-transfer':
        if (this.#knowsPostCopy) throw new Breach('a post-copy is aborted');
        world.abort();
        this.#pass(fault, false);
        return events.abortSent;
      case 'ask-truth':
        this.#pass(fault, false);
        return this.#ask(fault);
      case 'verify':
        this.#pass(fault, false);
        return events.verified;
      case 'finish':
        return events.corrected;
      case 'relock-source':
        return this.#relock(fault);
      case 'recover-post-copy':
        return this.#recover(fault);
      case 'resume-source':
      case 'destroy-source-copy':
      case 'destroy-older-copy':
      case 'destroy-destination-copy':
      case 'destroy-abandoned-copy':
      case 'discard-destination-image':
      case 'take-image-back':
      case 'forget-source-image':
        // Between the answers and what follows from them nothing happens that anybody could know of.
        this.#correct(effect.kind, fault !== 'lose-correction');
        this.#pass(fault, false);
        return events.corrected;
      default:
        return effect satisfies never;
    }
  }

  /** What was true when the hosts were last asked, or has died since. */
  mustFitTheEnd(outcome: Ending['outcome']): void {
    const { source, destination, casualty, diedSinceAnswer, beginsLate, job } = this.world;
    const isHere = source.copy?.state === 'running';
    const isThere = destination.copy?.state === 'running';
    if (isHere && isThere) throw new Breach('the VM runs twice');
    if (outcome === 'moved' && !isThere && !casualty && !diedSinceAnswer) throw new Breach('moved, but it does not run on the destination');
    if (outcome === 'stayed' && !isHere && !casualty) throw new Breach('stayed, but it does not run on the source');
    if (outcome === 'stayed' && (beginsLate || job !== null)) throw new Breach('stayed, but it is on its way');
    if (outcome === 'stayed' && !this.world.holdsLock && !this.relockLost && !casualty) throw new Breach('stayed, but without its lock');
  }

  #pass(fault: Fault, isWatched: boolean): void {
    this.#strike(fault);
    this.world.tick(isWatched);
    if (this.world.source.copy?.state === 'running' && this.world.destination.copy?.state === 'running')
      throw new Breach('the VM runs twice');
  }

  #strike(fault: Fault): void {
    const { world } = this;
    const { source, destination } = world;
    switch (fault) {
      case 'cut-link':
      case 'mend-link':
        world.linkUp = fault === 'mend-link';
        return;
      case 'kill-source':
      case 'power-off-source':
        world.killSource();
        if (fault === 'power-off-source') {
          source.silent = 20;
          world.sourceAgentRestarts();
        }
        return;
      case 'kill-destination':
        world.killDestination(source.silent === 0);
        return;
      case 'power-off-destination':
        world.powerOffDestination(source.silent === 0);
        return;
      case 'source-daemon':
        world.sourceDaemonDies();
        source.silent = 3;
        return;
      case 'destination-daemon':
        world.destinationDaemonDies();
        destination.silent = 3;
        return;
      case 'destination-daemon-begins':
        world.destinationDaemonBegins();
        destination.silent = 3;
        return;
      case 'source-agent':
        world.sourceAgentRestarts();
        source.silent = 2;
        return;
      case 'destination-agent':
        world.destinationAgentRestarts(world.linkUp);
        destination.silent = 2;
        return;
      case 'silence-source':
        source.silent = 12;
        return;
      case 'silence-destination':
        destination.silent = 12;
        return;
      // These are for whoever performs the effect.
      case 'none':
      case 'controller':
      case 'controller-before':
      case 'abort':
      case 'refuse':
      case 'lose-answer':
      case 'lose-correction':
      case 'forgetful-source':
      case 'forgetful-destination':
        return;
      default:
        fault satisfies never;
    }
  }

  #prepare(kind: 'check' | 'secure' | 'choose'): MigrationEvent {
    if (kind === 'check') return events.checked;
    if (kind === 'choose') return events.chosen;
    return this.#setup.isImage ? events.unproven : events.secured;
  }

  #start(migration: Migration, fault: Fault): MigrationEvent {
    const { world } = this;
    if (world.job !== null || world.beginsLate || world.status !== 'none') throw new Breach('the transfer is begun twice');
    if (fault === 'refuse' || world.source.copy === null || world.destination.silent > 0) return refused();
    if (world.source.silent > 0) return lost('host-down');
    if (fault === 'lose-answer') {
      world.beginsLate = true;
      return lost('command-timeout');
    }
    world.begin();
    return migration.proof === null && !this.#setup.isImage ? refused('proof-missing') : events.started;
  }

  #watch(): MigrationEvent {
    const { world } = this;
    const { status, job } = world;
    if (world.source.silent > 0) return lost('host-down');
    if (status === 'running' && job !== null) {
      this.#knowsPostCopy = job.stage === 'split';
      const stage = job.stage === 'split' ? 'post-copy' : job.stage === 'copy' ? 'copying' : 'stopped';
      const isMovingOn = this.#setup.stuck === 'endless' || this.#setup.stuck === null;
      return running(exampleProgress(1000, { stage, memorySentBytes: isMovingOn ? 1e6 - job.left : 0 }), {
        awaitsPeer: job.stage === 'ask',
      });
    }
    if (status === 'unknown' || status === 'none') return lost();
    const isTold = (status === 'completed') !== this.#setup.lies;
    return isTold ? events.completed : failed('hypervisor-failed');
  }

  /** A host whose daemon has just come back may not know of its VMs yet, for one answer. */
  #ask(fault: Fault): MigrationEvent {
    const { source, destination } = this.world;
    const forgets = (fault === 'forgetful-source' || fault === 'forgetful-destination') && this.#soundFor <= 0;
    if (forgets) this.#soundFor = 4;
    this.world.diedSinceAnswer = false;
    const from = this.world.truthOf(source);
    const to = this.world.truthOf(destination);
    const absentNow = (which: Fault, place: typeof source): boolean => forgets && fault === which && place.silent === 0;
    const told = truth(
      absentNow('forgetful-source', source) ? { kind: 'absent' } : from,
      absentNow('forgetful-destination', destination) ? { kind: 'absent' } : to,
    );
    this.#knowsPostCopy = [told.source, told.destination].some((one) => one.kind === 'present' && one.postCopy !== null);
    return told;
  }

  #relock(fault: Fault): MigrationEvent {
    const { world } = this;
    const { copy, silent } = world.source;
    if (copy?.state !== 'running' && copy?.state !== 'paused') throw new Breach('relock-source: nothing is there to be locked');
    const isCarriedOut = fault !== 'lose-correction' && silent === 0;
    if (isCarriedOut) [copy.state, world.holdsLock] = ['running', true];
    else this.relockLost = true;
    this.#pass(fault, false);
    return { kind: 'relocked', refusal: isCarriedOut ? null : { code: 'link-lost', message: 'x' } };
  }

  /** The answer to an order that was carried out may be lost: then both hosts are asked as after any other correction. */
  #recover(fault: Fault): MigrationEvent {
    const isTaken = fault !== 'lose-correction' && this.world.recoverPostCopy();
    this.#pass(fault, false);
    return isTaken && fault !== 'lose-answer' ? events.recovered : events.corrected;
  }

  #correct(kind: Exclude<Correction, 'recover-post-copy'>, isCarriedOut: boolean): void {
    const { source, destination } = this.world;
    const isWhole = (copy: typeof source.copy): boolean => copy !== null && copy.post === null && copy.state !== 'incoming';
    const runsThere = destination.copy?.state === 'running' && destination.copy.post === null;
    const must = (holds: boolean, what: string): void => {
      if (!holds) throw new Breach(`${kind}: ${what}`);
    };
    switch (kind) {
      case 'resume-source':
        must(destination.copy?.state !== 'running', 'the VM runs on the destination');
        must(source.copy === null || source.copy.post === null, 'half a VM is started');
        must(!this.world.isOlderOnSource, 'its copy is older than what has run on the destination');
        if (isCarriedOut && source.silent === 0 && source.copy !== null) [source.copy.state, this.world.holdsLock] = ['running', true];
        return;
      case 'destroy-source-copy':
        must(runsThere && source.copy?.state !== 'running', 'the destination does not run all of it');
        if (isCarriedOut && source.silent === 0) source.copy = null;
        return;
      case 'destroy-older-copy':
        throw new Breach(`${kind}: nobody starts the VM of this world anew`);
      case 'destroy-destination-copy':
      case 'destroy-abandoned-copy':
        must(destination.copy?.state !== 'running' && destination.copy?.post !== 'failed', 'it runs, or is a half');
        must(isWhole(source.copy), 'the source does not have all of it');
        if (isCarriedOut && destination.silent === 0) destination.copy = null;
        return;
      case 'discard-destination-image':
        must(source.copy !== null || source.image !== null, 'the source has nothing of it');
        must(destination.image !== 'restoring', 'it is being started');
        if (isCarriedOut && destination.silent === 0) destination.image = null;
        return;
      case 'take-image-back':
        must(destination.copy === null && destination.image === null, 'the destination may run it');
        if (isCarriedOut && source.silent === 0) this.world.takeBack();
        return;
      case 'forget-source-image':
        must(runsThere, 'the destination does not run it');
        if (isCarriedOut && source.silent === 0) source.image = null;
        return;
      default:
        kind satisfies never;
    }
  }
}
