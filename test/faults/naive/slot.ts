/** A place for one guest on both hosts: it plays one trial after the other there, and is booted anew when a trial has lost it. */
import { type GuestBeats, type Lab, type LabHost, waitFor } from '#lab/api.ts';
import type { GuestRecord } from '#lab/record.ts';
import { judgeSamples } from '#test/faults/oracle/judge.ts';
import type { GuestSight, Oracle } from '#test/faults/oracle/oracle.ts';
import { migrate } from './driver.ts';
import { GuestProcess, portOf } from './guest.ts';
import type { Moment, Trial } from './plan.ts';
import { aim, type Strike } from './strikes.ts';
import { type Ending, endingOf, type Outcome } from './verdict.ts';

const load = { cpuPercent: 5, dirtyMbPerSecond: 2 };
const bootMsMax = 60_000;
const momentMsMax = 60_000;
/** Beyond the time after which a VM that runs nowhere is lost. */
const endingMsMax = 60_000;
const beatsMsMax = 10_000;

/** A trial whose fault has struck. */
interface Struck {
  readonly trial: Trial;
  readonly source: GuestProcess;
  readonly destination: GuestProcess;
  readonly strike: Strike;
  readonly before: GuestBeats;
  /** Ends a driver that waits for ever. */
  readonly enough: AbortController;
  /** What the driver believes, when it is done. */
  readonly said: Promise<string>;
}

const errorsOf = ({ memoryErrors, kernelTroubles }: GuestBeats): number => memoryErrors + kernelTroubles;

export class Slot {
  readonly #lab: Lab;
  readonly #guest: GuestRecord;
  readonly #signal: AbortSignal;
  #oracle: Oracle | undefined;
  #vm: GuestProcess;

  private constructor(lab: Lab, guest: GuestRecord, vm: GuestProcess, signal: AbortSignal) {
    this.#lab = lab;
    this.#guest = guest;
    this.#vm = vm;
    this.#signal = signal;
  }

  /** The guest beats and writes memory when this returns. */
  static async open(lab: Lab, guest: GuestRecord, signal: AbortSignal): Promise<Slot> {
    const slot = new Slot(lab, guest, await GuestProcess.start(lab, lab.host(guest.firstHost), guest, false, signal), signal);
    await slot.#untilItWorks('');
    return slot;
  }

  /** Who judges; sees this guest already. */
  watch(oracle: Oracle): void {
    this.#oracle = oracle;
  }

  /** Migrates, and strikes at the moment. The driver may still be at work when this returns. @throws when the moment does not come. */
  async interrupt(trial: Trial): Promise<Struck> {
    const source = this.#vm;
    const to = this.#otherHost(source.host);
    const destination = await GuestProcess.start(this.#lab, to, this.#guest, true, this.#signal);
    const before = await this.#beats();
    const port = portOf(this.#guest);
    const strike = await aim(trial.fault, { source: source.host, destination, port });
    const enough = new AbortController();
    try {
      this.#sight.clear();
      await this.#lab.client.reset(this.#guest.name);
      const { struck, isReached } = strikeAt(source, trial.moment, strike);
      const journey = { source, destination, address: to.underlay, port };
      const said = migrate(trial.style, journey, AbortSignal.any([enough.signal, this.#signal]));
      const deadline = AbortSignal.any([AbortSignal.timeout(momentMsMax), this.#signal]);
      const done = said.then((text) => (isReached() ? struck : missed(`${text}, before the source said ${trial.moment}`)));
      await Promise.race([struck, done, untilAborted(deadline)]);
      return { trial, source, destination, strike, before, enough, said };
    } catch (error) {
      enough.abort();
      await strike.end();
      await destination.end();
      throw error;
    }
  }

  /** Waits until nothing will change any more, by the oracle's word and the guest's beats. */
  async judge({ trial, said, strike, before, enough, source, destination }: Struck): Promise<Outcome> {
    let believed: string | undefined;
    const driver = said.then(
      (text) => (believed = text),
      (error: Error) => (believed = error.message),
    );
    try {
      const ended = () => endingOf(this.#sight.samples, believed !== undefined);
      const wait = { what: `the end of ${trial.fault}`, timeoutMs: endingMsMax, intervalMs: 50, signal: this.#signal };
      const ending = await this.#heard(await waitFor(ended, wait));
      const heard = await this.#beats();
      const beats = { duplicates: heard.duplicates, largestGapMs: heard.largestGapMs };
      const { noneMs, twoCopies } = judgeSamples(this.#sight.samples, beats, Date.now());
      const guestErrors = errorsOf(heard) - errorsOf(before);
      return { ...trial, ending, noneMs, twoCopies, guestErrors, said: believed ?? 'the driver still waits for the source' };
    } finally {
      enough.abort();
      await driver;
      await strike.end();
      await this.#putInOrder([source, destination]);
    }
  }

  /** After a trial that was none. */
  async repair(): Promise<void> {
    await this.#putInOrder([this.#vm]);
  }

  get #sight(): GuestSight {
    if (this.#oracle === undefined) throw new Error('nobody watches this guest');
    return this.#oracle.guest(this.#guest.name);
  }

  #otherHost(host: LabHost): LabHost {
    const other = this.#lab.hosts.find((one) => one !== host);
    if (other === undefined) throw new Error('a migration needs two hosts');
    return other;
  }

  async #beats(): Promise<GuestBeats> {
    const beats = await this.#lab.guest(this.#guest.name).beats();
    if (beats === undefined) throw new Error(`${this.#guest.name} never beat`);
    return beats;
  }

  /** A VM that QEMU says runs has to beat, too. */
  async #heard(ending: Exclude<Ending, 'mute'>): Promise<Ending> {
    if (ending !== 'runs') return ending;
    const { received } = await this.#beats();
    const goesOn = async () => (await this.#beats()).received > received + 5;
    return waitFor(goesOn, { what: 'beats', timeoutMs: beatsMsMax, signal: this.#signal }).then(
      () => 'runs',
      () => 'mute',
    );
  }

  /** One copy that runs, and no other: what does not run is ended, and the guest is booted anew when nothing is left. */
  async #putInOrder(copies: readonly GuestProcess[]): Promise<void> {
    if (this.#signal.aborted) return;
    const [runsOn] = this.#sight.runsOn();
    const survivor = copies.find(({ host }) => host.name === runsOn);
    for (const copy of copies) if (copy !== survivor) await copy.end();
    if (survivor !== undefined) {
      this.#vm = survivor;
      return;
    }
    const { bootId } = await this.#beats();
    this.#vm = await GuestProcess.start(this.#lab, this.#vm.host, this.#guest, false, this.#signal);
    await this.#untilItWorks(bootId);
    const seen = () => this.#sight.runsOn().length === 1;
    await waitFor(seen, { what: `${this.#guest.name} to be seen`, timeoutMs: bootMsMax, signal: this.#signal });
  }

  async #untilItWorks(bootIdBefore: string): Promise<void> {
    const guest = this.#lab.guest(this.#guest.name);
    const isNew = async () => ((await guest.beats())?.bootId ?? bootIdBefore) !== bootIdBefore;
    await waitFor(isNew, { what: `${guest.name} to beat`, timeoutMs: bootMsMax, intervalMs: 100, signal: this.#signal });
    await guest.steer(load);
  }
}

/** Listens before the driver does, so that the fault is quicker than what the driver makes of the event. */
function strikeAt({ qmp }: GuestProcess, moment: Moment, strike: Strike): { struck: Promise<void>; isReached: () => boolean } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let isReached = false;
  const ignore = qmp.listen(({ name, status }) => {
    const isMoment = moment === 'stopped' ? name === 'STOP' : name === 'MIGRATION' && status === 'completed';
    if (!isMoment || isReached) return;
    isReached = true;
    strike.hit().then(resolve, reject);
  });
  return { struck: promise.finally(ignore), isReached: () => isReached };
}

function missed(why: string): never {
  throw new Error(why);
}

async function untilAborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new Error('the moment did not come'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  return promise.finally(() => signal.removeEventListener('abort', onAbort));
}
