import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeWitness } from './fake-meters.ts';
import { timerClock } from './fakes.ts';
import { Witnesses } from './witnesses.ts';
import { vmMac } from './examples.ts';

const going = new AbortController().signal;
const hourMs = 3_600_000;

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

function newWitnesses(): { readonly witness: FakeWitness; readonly witnesses: Witnesses } {
  const witness = new FakeWitness();
  return { witness, witnesses: new Witnesses(timerClock, witness) };
}

describe('a host that looks at a VM from outside', () => {
  it('says behind which of its ports it has seen the VM, and with which addresses', async () => {
    const { witnesses } = newWitnesses();
    expect(await witnesses.look(vmMac, going)).toEqual({ addresses: ['10.9.0.5'], place: 'local' });
    expect(await witnesses.look('52:54:00:00:00:99', going)).toEqual({ addresses: [], place: null });
  });

  it('watches until it is told to stop, and tells then what it saw', async () => {
    const { witness, witnesses } = newWitnesses();
    expect(await witnesses.start('w1', '10.9.0.5', 5, going)).toBe(true);
    expect(witnesses.report('w1')).toMatchObject({ intervalMs: 5, answered: 3 });
    expect(await witnesses.stop('w1')).toMatchObject({ answered: 3 });
    expect([witness.watched, witnesses.report('w1'), await witnesses.stop('w1'), vi.getTimerCount()]).toEqual([[], null, null, 0]);
  });

  it('says that it cannot reach the VM, and keeps nothing', async () => {
    const { witness, witnesses } = newWitnesses();
    witness.canReach = false;
    expect(await witnesses.start('w1', '10.9.0.5', 5, going)).toBe(false);
    expect([witnesses.report('w1'), vi.getTimerCount()]).toEqual([null, 0]);
  });

  it('stops by itself after an hour, also when stopping fails', async () => {
    const { witness, witnesses } = newWitnesses();
    await witnesses.start('w1', '10.9.0.5', 5, going);
    witness.stopFault = new Error('its socket is gone');
    await vi.advanceTimersByTimeAsync(hourMs - 1);
    expect(witness.watched).toEqual(['10.9.0.5']);
    await vi.advanceTimersByTimeAsync(1);
    expect([witness.watched, witnesses.report('w1')]).toEqual([[], null]);
  });

  it('that is asked anew for the same watch begins anew, for an hour from then', async () => {
    const { witness, witnesses } = newWitnesses();
    await witnesses.start('w1', '10.9.0.5', 5, going);
    await vi.advanceTimersByTimeAsync(hourMs / 2);
    await witnesses.start('w1', '10.9.0.6', 5, going);
    expect([witness.watched, witness.stopped]).toEqual([['10.9.0.6'], ['10.9.0.5']]);
    await vi.advanceTimersByTimeAsync(hourMs - 1);
    expect(witness.watched).toEqual(['10.9.0.6']);
    await vi.advanceTimersByTimeAsync(1);
    expect(witness.watched).toEqual([]);
  });

  it('leaves no watch behind when the same one is begun twice at once, or whoever wanted it has gone', async () => {
    const { witness, witnesses } = newWitnesses();
    const begun = Promise.withResolvers<void>();
    witness.beginning = begun.promise;
    const late = new AbortController();
    const both = [witnesses.start('w1', '10.9.0.5', 5, going), witnesses.start('w1', '10.9.0.6', 5, going)];
    const unwanted = witnesses.start('w2', '10.9.0.7', 5, late.signal);
    late.abort(new Error('late'));
    begun.resolve();
    await expect(unwanted).rejects.toThrow('late');
    await expect(both[0]).rejects.toMatchObject({ code: 'aborted' });
    expect(await both[1]).toBe(true);
    expect(witness.watched).toEqual(['10.9.0.6']);
    await witnesses.stop('w1');
    expect([witness.watched, vi.getTimerCount()]).toEqual([[], 0]);
  });

  it('does not begin a watch that was stopped while it was about to begin', async () => {
    const { witness, witnesses } = newWitnesses();
    const begun = Promise.withResolvers<void>();
    witness.beginning = begun.promise;
    const started = expect(witnesses.start('w1', '10.9.0.5', 5, going)).rejects.toMatchObject({ code: 'aborted' });
    expect(await witnesses.stop('w1')).toBeNull();
    begun.resolve();
    await started;
    expect([witness.watched, witnesses.report('w1'), vi.getTimerCount()]).toEqual([[], null, 0]);
    expect(await witnesses.start('w1', '10.9.0.5', 5, going)).toBe(true);
  });

  it('watches sixteen VMs at most, those included that it is about to watch', async () => {
    const { witness, witnesses } = newWitnesses();
    const begun = Promise.withResolvers<void>();
    witness.beginning = begun.promise;
    const started = Array.from({ length: 17 }, (_, index) => witnesses.start(`w${index}`, `10.9.0.${index}`, 5, going));
    const last = expect(started.at(-1)).rejects.toMatchObject({ code: 'migration-limit' });
    begun.resolve();
    await Promise.allSettled(started);
    await last;
    expect(witness.watched).toHaveLength(16);
    await witnesses.stop('w3');
    expect(await witnesses.start('w99', '10.9.0.99', 5, going)).toBe(true);
  });
});
