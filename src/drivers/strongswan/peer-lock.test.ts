import { describe, expect, it } from 'vitest';
import { PeerLock } from './peer-lock.ts';

const never = new AbortController().signal;

describe('the lock of a peer', () => {
  it('lets one in after the other, and other peers beside them', async () => {
    const lock = new PeerLock();
    const order: string[] = [];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const first = lock.run('b', never, async () => {
      await released;
      order.push('first');
    });
    const second = lock.run('b', never, () => Promise.resolve(order.push('second')));
    await lock.run('c', never, () => Promise.resolve(order.push('other')));
    release();
    await Promise.all([first, second]);
    expect(order).toEqual(['other', 'first', 'second']);
  });

  it('goes on after a failure', async () => {
    const lock = new PeerLock();
    const failing = lock.run('b', never, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await lock.run('b', never, () => Promise.resolve('in'))).toBe('in');
  });

  it('lets go of one that gives up waiting, and keeps the others in order', async () => {
    const lock = new PeerLock();
    const order: string[] = [];
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const first = lock.run('b', never, async () => {
      await released;
      order.push('first');
    });
    const controller = new AbortController();
    const second = lock.run('b', controller.signal, () => Promise.resolve(order.push('second')));
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: 'aborted' });
    const third = lock.run('b', never, () => Promise.resolve(order.push('third')));
    release();
    await Promise.all([first, third]);
    expect(order).toEqual(['first', 'third']);
  });

  it('is bounded', async () => {
    const lock = new PeerLock();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const accepted = Array.from({ length: 16 }, () => lock.run('b', never, () => released));
    await expect(lock.run('b', never, () => released)).rejects.toMatchObject({ code: 'ipsec-unavailable' });
    release();
    await Promise.all(accepted);
    await expect(lock.run('b', never, () => Promise.resolve(1))).resolves.toBe(1);
  });
});
