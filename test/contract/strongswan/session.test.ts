import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Section } from '#drivers/strongswan/message.ts';
import { Session } from '#drivers/strongswan/session.ts';
import type { SessionLimits } from '#drivers/strongswan/session-limits.ts';
import { unixSocket } from '#drivers/strongswan/transport.ts';
import { type FakePair, startFakePair } from './fake-pair.ts';
import { until } from '#test/support/until.ts';

const garbage = {
  'a frame over the limit': Uint8Array.of(0x7f, 0xff, 0xff, 0xff),
  'an unknown packet': Uint8Array.of(0, 0, 0, 1, 9),
  'an empty packet': Uint8Array.of(0, 0, 0, 0),
  'a broken message': Uint8Array.of(0, 0, 0, 3, 1, 3, 200),
  'a request': Uint8Array.of(0, 0, 0, 6, 0, 4, 0x6e, 0x6f, 0x6e, 0x65),
  'an answer to another kind of request': Uint8Array.of(0, 0, 0, 1, 5),
};

describe('a VICI session when charon misbehaves', () => {
  let pair: FakePair;
  let session: Session;
  const open = (limits: Partial<SessionLimits> = {}): Session => {
    session = new Session(unixSocket(pair.a.socketPath), { redialPauseMsMin: 10, ...limits });
    return session;
  };

  beforeEach(async () => {
    pair = await startFakePair();
  });
  afterEach(async () => {
    session.close();
    await pair.stop();
  });

  for (const [what, bytes] of Object.entries(garbage)) {
    it(`ends the connection on ${what}, and the next call works`, async () => {
      open();
      pair.a.failNext('stats', { kind: 'garbage', bytes });
      const failing = session.call('stats');
      const waiting = session.call('version');
      await expect(failing).rejects.toMatchObject({ code: 'strongswan-malformed-reply' });
      expect((await waiting)['daemon']).toBe('charon');
      expect(session.generation).toBe(2);
    });
  }

  /** Resolves when the session has a new connection and has registered on it what it is subscribed to. */
  function nextConnection(): Promise<void> {
    return new Promise((resolve) => {
      const stop = session.onState(({ kind }) => {
        if (kind !== 'connected') return;
        stop();
        resolve();
      });
    });
  }

  it('ends the connection on an answer that nobody asked for', async () => {
    open();
    await session.call('version');
    pair.a.server.sendRaw(Uint8Array.of(0, 0, 0, 1, 1));
    await until('the end of the connection', () => Promise.resolve(pair.a.server.connectionCount === 0));
    expect((await session.call('version'))['daemon']).toBe('charon');
  });

  it('ends the connection on an event that cannot be read, and goes on subscribed', async () => {
    open();
    const texts: unknown[] = [];
    await session.subscribe('log', (message) => texts.push(message['msg'])).ready;
    const connected = nextConnection();
    pair.a.server.sendRaw(Uint8Array.of(0, 0, 0, 6, 7, 3, 0x6c, 0x6f, 0x67, 9));
    await connected;
    expect(session.generation).toBe(2);
    pair.a.server.raise('log', { msg: 'after' });
    await until('the event', () => Promise.resolve(texts.includes('after')));
  });

  it('tells a cut connection to the call under way and not to those that wait', async () => {
    open();
    pair.a.failNext('stats', { kind: 'cut' });
    const failing = session.call('stats');
    const waiting = session.call('version');
    await expect(failing).rejects.toMatchObject({ code: 'strongswan-connection-lost' });
    expect((await waiting)['daemon']).toBe('charon');
  });

  it('carries the refusal of a command', async () => {
    open();
    pair.a.failNext('stats', { kind: 'refuse', reason: 'not today' });
    await expect(session.call('stats')).rejects.toMatchObject({ code: 'strongswan-command-failed', daemonMessage: 'not today' });
    expect(session.generation).toBe(1);
  });

  it('never takes a late answer for the answer to the next call', async () => {
    open();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    pair.a.failNext('version', { kind: 'stall', released });
    await expect(session.call('version', {}, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'strongswan-timed-out' });
    const next = session.call('get-conns');
    release();
    expect({ ...(await next) }).toEqual({ conns: [] });
    expect(session.generation).toBe(2);
  });

  it('gives up a waiting call at its deadline without harm to the one under way', async () => {
    open();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    pair.a.failNext('version', { kind: 'stall', released });
    const first = session.call('version');
    const second = session.call('stats', {}, { deadlineMs: 50 });
    const third = session.call('stats', {}, { signal: AbortSignal.abort() });
    await Promise.all([
      expect(second).rejects.toMatchObject({ code: 'strongswan-timed-out' }),
      expect(third).rejects.toMatchObject({ code: 'strongswan-aborted' }),
    ]);
    release();
    expect((await first)['daemon']).toBe('charon');
    expect(session.generation).toBe(1);
    expect(pair.a.server.requests).toEqual(['version']);
  });

  it('refuses calls beyond the bound of its queue', async () => {
    open({ waitingCallsMax: 2 });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    pair.a.failNext('version', { kind: 'stall', released });
    const accepted = [session.call('version'), session.call('version'), session.call('version')];
    await expect(session.call('version')).rejects.toMatchObject({ code: 'strongswan-queue-full' });
    release();
    expect(await Promise.all(accepted)).toHaveLength(3);
  });

  it('ends a stream that sends more records than allowed', async () => {
    open({ streamRecordsMax: 2 });
    for (const name of ['one', 'two', 'three']) await session.call('load-conn', { [name]: { version: '2' } });
    const records: Section[] = [];
    const listing = session.stream('list-conns', 'list-conn', {}, (record) => records.push(record));
    await expect(listing).rejects.toMatchObject({ code: 'strongswan-malformed-reply' });
    expect(records).toHaveLength(2);
  });

  it('does not send what VICI cannot carry', async () => {
    open();
    await expect(session.call('load-shared', { data: 'x'.repeat(0x1_0000) })).rejects.toMatchObject({ code: 'strongswan-invalid-request' });
    await expect(session.call('x'.repeat(256))).rejects.toMatchObject({ code: 'strongswan-invalid-request' });
    expect((await session.call('version'))['daemon']).toBe('charon');
    expect(session.generation).toBe(1);
  });

  it('ends with everything that waits when it is closed, and stays closed', async () => {
    open();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    pair.a.failNext('version', { kind: 'stall', released });
    await session.subscribe('log', () => undefined).ready;
    const calls = [session.call('version'), session.call('stats')];
    session.close();
    await Promise.all(calls.map((call) => expect(call).rejects.toMatchObject({ code: 'strongswan-closed' })));
    await expect(session.call('version')).rejects.toMatchObject({ code: 'strongswan-closed' });
    release();
    await until('the end of the connection', () => Promise.resolve(pair.a.server.connectionCount === 0));
    expect(session.generation).toBe(1);
  });

  it('subscribes as soon as a daemon appears', async () => {
    await pair.a.killCharon();
    open();
    const texts: unknown[] = [];
    const { ready } = session.subscribe('log', (message) => texts.push(message['msg']));
    await expect(ready).rejects.toMatchObject({ code: 'strongswan-unreachable' });
    const connected = nextConnection();
    await pair.a.startCharon();
    await connected;
    expect(session.generation).toBe(1);
    pair.a.server.raise('log', { msg: 'hello' });
    await until('the event', () => Promise.resolve(texts.includes('hello')));
  });
});
