/**
 * When a migration is in a phase, by what the daemons leave behind: the controller's log for its own steps, QEMU's word for those of the
 * transfer. Nobody who takes part is asked.
 */
import { dirname, join } from 'node:path';
import { type Lab, waitFor } from '#lab/api.ts';
import { Tail } from '#test/e2e/securing/tail.ts';
import type { GuestSight } from './oracle/oracle.ts';
import type { FaultPhase } from './plan.ts';

const earlyShareMax = 0.2;
const lateShareMin = 0.7;
const earlyBytesMin = 2 ** 20;
const waitMsMax = 90_000;

/** The phase was over before it could be struck, or never came. */
export class MomentMissed extends Error {}

export const controllerLog = (lab: Lab): Promise<Tail> => Tail.from(join(dirname(lab.controllerSocket ?? ''), 'log/controller.log'));

export function sentShare({ transfer }: GuestSight): number {
  if (transfer === undefined) return 0;
  return transfer.sentBytes / Math.max(1, transfer.sentBytes + transfer.remainingBytes);
}

export class MigrationMoments {
  readonly #log: Tail;
  readonly #sight: GuestSight;
  readonly #source: string;
  readonly #destination: string;
  readonly #needsQemu: boolean;

  /** `log` from before the migration. `needsQemu`: in prepare the destination's QEMU is to be there already. */
  constructor(log: Tail, sight: GuestSight, ends: { readonly source: string; readonly destination: string }, needsQemu: boolean) {
    this.#log = log;
    this.#sight = sight;
    this.#source = ends.source;
    this.#destination = ends.destination;
    this.#needsQemu = needsQemu;
  }

  /** Resolves to `act`'s answer; acts in the moment in which the phase is seen. @throws MomentMissed */
  async at<T>(phase: FaultPhase, act: () => Promise<T>): Promise<T> {
    if (phase === 'switching') return this.#atSwitch(act);
    await waitFor(() => this.#isIn(phase), { what: `the phase '${phase}'`, timeoutMs: waitMsMax, intervalMs: 2 });
    return act();
  }

  /** Whether this phase has ended by now. */
  async isPast(phase: FaultPhase): Promise<boolean> {
    const text = await this.#log.text();
    const reached = (name: string): boolean => text.includes(`"phase":"${name}"`);
    const said = (end: string, name: string): boolean => this.#sight.events.some((event) => event.host === end && event.name === name);
    switch (phase) {
      case 'checking':
        return reached('checked');
      case 'securing':
        return reached('secured');
      case 'prepare':
        return (this.#sight.transfer?.sentBytes ?? 0) > 0;
      case 'perform early':
        return sentShare(this.#sight) > earlyShareMax;
      case 'perform late':
        return said(this.#source, 'STOP');
      case 'switching':
        return said(this.#destination, 'RESUME');
      case 'verifying':
        return reached('done');
      default:
        return phase satisfies never;
    }
  }

  /** The event itself strikes: the VM is stopped for a fraction of a second only. */
  async #atSwitch<T>(act: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const ignore = this.#sight.listen(({ host, name }) => {
      if (host === this.#source && name === 'STOP') act().then(resolve, reject);
    });
    const enough = new AbortController();
    const { signal } = enough;
    const over = waitFor(() => this.#isIn('switching'), { what: 'the switch-over', timeoutMs: waitMsMax, intervalMs: 20, signal });
    over.catch(reject);
    try {
      return await promise;
    } finally {
      ignore();
      enough.abort();
    }
  }

  async #isIn(phase: FaultPhase): Promise<boolean> {
    const text = await this.#log.text();
    const reached = (name: string): boolean => text.includes(`"phase":"${name}"`);
    if (phase !== 'switching' && this.#hasBegun(phase, reached)) return true;
    if (reached('failed') || reached('done') || (phase !== 'verifying' && reached('verifying'))) {
      throw new MomentMissed(`the migration was past '${phase}' before it was seen to be in it`);
    }
    return false;
  }

  #hasBegun(phase: FaultPhase, reached: (name: string) => boolean): boolean {
    const share = sentShare(this.#sight);
    const isSending = (this.#sight.transfer?.sentBytes ?? 0) > earlyBytesMin;
    switch (phase) {
      case 'checking':
        return true;
      case 'securing':
        return reached('checked');
      case 'prepare':
        if (isSending) throw new MomentMissed('the first bytes were sent before prepare was seen');
        return reached('copying') && (!this.#needsQemu || this.#sight.copyOn(this.#destination) !== 'absent');
      case 'perform early':
        if (share > earlyShareMax) throw new MomentMissed('more than a fifth was sent before it was seen');
        return isSending;
      case 'perform late':
        return isSending && share > lateShareMin;
      case 'switching':
        return false;
      case 'verifying':
        return reached('verifying');
      default:
        return phase satisfies never;
    }
  }
}
