import { describe, expect, it } from 'vitest';
import { exampleSample } from './examples.ts';
import { afterClean, afterRejection, defaultTrustLimits, type HostTrust, newTrust, rejectedTotal } from './host-trust.ts';
import type { SampleRejection } from './rejection.ts';

const sample = exampleSample();
const doubt: SampleRejection = { reason: 'cpu-contradicts', message: 'its VMs use more than it does' };
const late: SampleRejection = { reason: 'too-old', message: 'taken 61 s ago' };
const limits = { cleanSamplesMin: 3, cleanSamplesMax: 10, forgottenAfterSamples: 20 };

const clean = (trust: HostTrust, amount: number): HostTrust =>
  Array.from({ length: amount }).reduce<HostTrust>((so) => afterClean(so, sample, limits), trust);
const doubted = (trust: HostTrust, atMs = 1000): HostTrust => afterRejection(trust, sample, doubt, atMs);
/** Clean samples until it is believed again. */
const lengthOf = (trust: HostTrust): number => {
  let amount = 0;
  for (let now = trust; now.quarantine !== null; now = clean(now, 1)) amount += 1;
  return amount;
};

describe('a host whose samples cannot be true', () => {
  it('is believed again after enough clean samples in a row, and says how many are left', () => {
    const first = doubted(newTrust(limits));
    expect(first.quarantine).toEqual({ code: 'cpu-contradicts', message: doubt.message, sinceMs: 1000, cleanSamplesLeft: 3 });
    expect(clean(first, 2).quarantine).toMatchObject({ cleanSamplesLeft: 1 });
    expect(clean(first, 3).quarantine).toBeNull();
  });

  it('begins the row anew with each doubt, and stays quarantined since the first', () => {
    const again = doubted(clean(doubted(newTrust(limits)), 2), 9000);
    expect(again.quarantine).toMatchObject({ sinceMs: 1000, cleanSamplesLeft: 3 });
    expect(clean(again, 2).quarantine).not.toBeNull();
  });

  it('has to be clean for longer each time, up to a limit, and less after a long time without a doubt', () => {
    let trust = newTrust(limits);
    const lengths: number[] = [];
    for (let time = 0; time < 5; time += 1) {
      trust = doubted(trust);
      lengths.push(lengthOf(trust));
      trust = clean(trust, lengthOf(trust));
    }
    expect(lengths).toEqual([3, 6, 10, 10, 10]);
    expect(lengthOf(doubted(clean(trust, limits.forgottenAfterSamples)))).toBe(limits.cleanSamplesMin);
  });

  it('is not taken for a liar because its samples are late; they are counted, by reason', () => {
    const trust = afterRejection(afterRejection(doubted(newTrust()), sample, late, 2000), sample, late, 3000);
    expect(trust.rejected).toEqual({ 'cpu-contradicts': 1, 'too-old': 2 });
    expect(rejectedTotal(trust)).toBe(3);
    expect(afterRejection(newTrust(), sample, late, 1).quarantine).toBeNull();
    expect(clean(afterRejection(clean(doubted(newTrust(limits)), 2), sample, late, 1), 1).quarantine).toBeNull();
  });

  it('asks for some seconds of clean samples at first, and minutes at most', () => {
    expect(defaultTrustLimits).toMatchObject({ cleanSamplesMin: 5, cleanSamplesMax: 80 });
  });
});
