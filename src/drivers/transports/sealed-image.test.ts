import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import type { TransferOptions } from '#core/model/method.ts';
import { PlimsollError } from '#core/model/result.ts';

import { sealedImageTransport, type ImageDestination, type ImageSource } from './sealed-image.ts';

const vmId = '466b12ad-41d1-465c-a339-b802545650a3';
const options: TransferOptions = {
  method: 'save-restore',
  autoConverge: null,
  streams: 1,
  compression: 'none',
  bandwidthBytesPerSecond: 0,
  downtimeMsMax: 300,
};
const request = { vmId, peerHostId: 'b', peerUnderlay: '10.0.0.2', options };
const steps = ['offer', 'save', 'send', 'open', 'giveAway', 'restore', 'takeBack', 'forget', 'discard'] as const;
type Step = (typeof steps)[number];
/** What goes wrong at a step: before its effect, after it (the answer is lost), or the caller aborts in the middle of it. */
type Trouble = { readonly step: Step; readonly how: 'fails' | 'answer is lost' | 'aborted' | 'refused' };

/** Two hosts and one VM, with the truth in plain sight. */
class World {
  source: 'running' | 'saved' | 'given' | 'gone' = 'running';
  destination: 'nothing' | 'offered' | 'opened' | 'running' = 'nothing';
  readonly log: Step[] = [];
  readonly abort = new AbortController();
  /** Whether at any time both ran it, or the destination started what the source could have started too. */
  twice = false;
  readonly #troubles: readonly Trouble[];

  constructor(troubles: readonly Trouble[]) {
    this.#troubles = troubles;
  }

  async run(step: Step, effect: () => void): Promise<void> {
    this.log.push(step);
    const trouble = this.#troubles.find((each) => each.step === step);
    if (trouble?.how === 'fails') throw new PlimsollError('channel-failed', `${step} failed`);
    if (trouble?.how === 'aborted') this.abort.abort();
    effect();
    this.twice ||= this.destination === 'running' && (this.source === 'running' || this.source === 'saved');
    if (trouble?.how === 'answer is lost') throw new PlimsollError('link-lost', `${step} has no answer`);
  }

  refuses(step: Step): boolean {
    return this.#troubles.some((each) => each.step === step && each.how === 'refused');
  }

  readonly sourceEnd: ImageSource = {
    save: async () => this.run('save', () => (this.source = 'saved')),
    send: async () => {
      await this.run('send', () => undefined);
      return { sha256: 'ab', bytes: 7 };
    },
    giveAway: async () => this.run('giveAway', () => (this.source = 'given')),
    takeBack: async () => this.run('takeBack', () => (this.source = 'running')),
    forget: async () => this.run('forget', () => (this.source = 'gone')),
  };

  readonly destinationEnd: ImageDestination = {
    offer: async () => {
      await this.run('offer', () => (this.destination = 'offered'));
      return { address: '10.0.0.2', port: 1, token: '', recipient: '' };
    },
    open: async () => this.run('open', () => (this.destination = 'opened')),
    restore: async () => {
      if (this.refuses('restore')) {
        await this.run('restore', () => (this.destination = 'nothing'));
        return { kind: 'refused', refusal: { code: 'hypervisor-failed', message: 'no such bridge' } };
      }
      await this.run('restore', () => (this.destination = 'running'));
      return { kind: 'running' };
    },
    discard: async () => this.run('discard', () => (this.destination = 'nothing')),
  };

  async move(): Promise<string> {
    const transport = sealedImageTransport(
      this.sourceEnd,
      () => this.destinationEnd,
      () => 0,
    );
    return transport
      .migrate(request, () => undefined, this.abort.signal)
      .then(
        () => 'moved',
        (error: unknown) => (error instanceof PlimsollError ? error.code : String(error)),
      );
  }
}

describe('moving a sealed image', () => {
  it('takes its steps in this order', async () => {
    const world = new World([]);
    expect(await world.move()).toBe('moved');
    expect(world.log).toEqual(['offer', 'save', 'send', 'open', 'giveAway', 'restore', 'forget']);
    expect(world).toMatchObject({ source: 'gone', destination: 'running', twice: false });
  });

  it.each(['save', 'send', 'open', 'giveAway'] as const)('leaves the VM running on its source when %s fails', async (step) => {
    for (const how of ['fails', 'answer is lost', 'aborted'] as const) {
      const world = new World([{ step, how }]);
      const ended = await world.move();
      // An abort after the point of return comes too late.
      if (step === 'giveAway' && how === 'aborted') expect(world).toMatchObject({ source: 'gone', destination: 'running' });
      else expect(world, `${how}: ${ended}`).toMatchObject({ source: 'running', destination: 'nothing' });
    }
  });

  it('saves nothing when the destination cannot be asked', async () => {
    const world = new World([{ step: 'offer', how: 'fails' }]);
    expect(await world.move()).toBe('channel-failed');
    expect(world.log).toEqual(['offer']);
  });

  it('takes the VM back when the destination says that it did not start it', async () => {
    const world = new World([{ step: 'restore', how: 'refused' }]);
    expect(await world.move()).toBe('hypervisor-failed');
    expect(world).toMatchObject({ source: 'running', destination: 'nothing' });
  });

  it('starts nothing anywhere when the destination may or may not have started it', async () => {
    const world = new World([{ step: 'restore', how: 'answer is lost' }]);
    expect(await world.move()).toBe('truth-unknown');
    expect(world).toMatchObject({ source: 'given', destination: 'running', twice: false });
  });

  it('whatever goes wrong: never two copies, and what is said of the VM is true', async () => {
    const trouble = fc.record({
      step: fc.constantFrom(...steps),
      how: fc.constantFrom('fails', 'answer is lost', 'aborted', 'refused' as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(trouble, { maxLength: 4 }), async (troubles) => {
        const world = new World(troubles);
        const ended = await world.move();
        expect(world.twice).toBe(false);
        if (ended === 'moved') expect(world).toMatchObject({ destination: 'running' });
        else if (ended === 'truth-unknown') expect(world.source).toBe('given');
        else if (ended === 'zero-copies') expect(world.destination).not.toBe('running');
        else expect(world).toMatchObject({ source: 'running' });
        if (ended !== 'moved' && ended !== 'truth-unknown') expect(world.destination).not.toBe('running');
      }),
      { numRuns: 500 },
    );
  });
});
