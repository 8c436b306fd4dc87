import { describe, expect, it } from 'vitest';

import { CallGate } from './call-gate.ts';
import { LibvirtError } from './errors.ts';

const never = new AbortController().signal;

describe('the gate before the wire', () => {
  it('lets so many in, then in order of coming', async () => {
    const gate = new CallGate(2, 8);
    const order: number[] = [];
    const enter = async (number: number): Promise<void> => {
      await gate.enter(never);
      order.push(number);
    };
    const entering = [enter(1), enter(2), enter(3), enter(4)];
    await Promise.all(entering.slice(0, 2));
    expect(order).toEqual([1, 2]);
    gate.leave();
    gate.leave();
    await Promise.all(entering);
    expect(order).toEqual([1, 2, 3, 4]);
    expect(gate.inFlight).toBe(2);
  });

  it('refuses at once when too many wait', async () => {
    const gate = new CallGate(1, 1);
    await gate.enter(never);
    const waiting = gate.enter(never);
    await expect(gate.enter(never)).rejects.toMatchObject({ code: 'queue-full' });
    gate.leave();
    await waiting;
  });

  it('loses no place when a waiting call is given up as its turn comes', async () => {
    const gate = new CallGate(1, 8);
    await gate.enter(never);
    const abort = new AbortController();
    const given = gate.enter(abort.signal).catch((error: unknown) => error);
    const patient = gate.enter(never);
    abort.abort(new Error('enough'));
    gate.leave();
    expect(await given).toEqual(new Error('enough'));
    await patient;
    gate.leave();
    expect([gate.inFlight, gate.waiting]).toEqual([0, 0]);
  });

  it('refuses everyone once it is closed', async () => {
    const gate = new CallGate(1, 8);
    await gate.enter(never);
    const waiting = gate.enter(never).catch((error: unknown) => error);
    gate.close(new LibvirtError('connection-lost', 'gone'));
    expect(await waiting).toMatchObject({ code: 'connection-lost' });
    await expect(gate.enter(never)).rejects.toMatchObject({ code: 'connection-lost' });
  });
});
