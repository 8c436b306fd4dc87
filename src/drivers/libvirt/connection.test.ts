import { duplexPair, type Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';

import { Connection, type ConnectionOptions } from './connection.ts';
import { decodeMessage, encodeMessage, PacketSplitter, type Message } from './message.ts';
import { getHostname, listAllDomains, lookupByName } from './procedures.ts';
import { XdrEncoder } from './xdr-encoder.ts';

const remote = 0x2000_8086;
const keepAlive = 0x6b65_6570;

/** The daemon's end of the wire, held by the test. */
class Daemon {
  readonly received: Message[] = [];
  readonly #stream: Duplex;
  #waiting: (() => void)[] = [];

  constructor(stream: Duplex) {
    this.#stream = stream;
    const splitter = new PacketSplitter();
    stream.on('data', (chunk: Uint8Array) => {
      for (const whole of splitter.push(chunk)) this.received.push(decodeMessage(whole));
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  async receive(count: number): Promise<void> {
    while (this.received.length < count) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      this.#waiting.push(() => resolve(undefined));
      await promise;
    }
  }

  send(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  answer(serial: number, text: string): void {
    this.send(packet({ type: 1, serial }, new XdrEncoder().string(text, 99).finish()));
  }
}

function packet(header: Partial<Message['header']>, body: Uint8Array): Uint8Array {
  return encodeMessage({ program: remote, version: 1, procedure: 59, type: 1, serial: 0, status: 0, ...header }, body);
}

function wire(options: ConnectionOptions = {}): { readonly connection: Connection; readonly daemon: Daemon; readonly theirs: Duplex } {
  const [ours, theirs] = duplexPair();
  return { connection: new Connection(ours, options), daemon: new Daemon(theirs), theirs };
}

const wait = { deadlineMs: 5_000 };

describe('a connection', () => {
  it('pairs answers with calls by their serial, in whatever order they come', async () => {
    const { connection, daemon } = wire();
    const calls = Promise.all([connection.call(getHostname, undefined, wait), connection.call(getHostname, undefined, wait)]);
    await daemon.receive(2);
    daemon.answer(2, 'second');
    daemon.answer(1, 'first');
    expect(await calls).toEqual(['first', 'second']);
  });

  it('puts no more calls on the wire than allowed', async () => {
    const { connection, daemon } = wire({ inFlightMax: 2 });
    const calls = Promise.all([1, 2, 3].map(async () => connection.call(getHostname, undefined, wait)));
    await daemon.receive(2);
    expect(daemon.received.map((message) => message.header.serial)).toEqual([1, 2]);
    daemon.answer(1, 'a');
    await daemon.receive(3);
    daemon.answer(2, 'b');
    daemon.answer(3, 'c');
    expect(await calls).toEqual(['a', 'b', 'c']);
  });

  it('keeps the place of a call that was given up until the daemon answers it', async () => {
    const { connection, daemon } = wire({ inFlightMax: 2 });
    await expect(connection.call(getHostname, undefined, { deadlineMs: 1 })).rejects.toMatchObject({ code: 'deadline-exceeded' });
    const second = connection.call(getHostname, undefined, wait);
    const third = connection.call(getHostname, undefined, wait);
    await daemon.receive(2);
    daemon.answer(1, 'late');
    await daemon.receive(3);
    daemon.answer(2, 'b');
    daemon.answer(3, 'c');
    expect(await Promise.all([second, third])).toEqual(['b', 'c']);
    expect(connection.counters.lateReplies).toBe(1);
  });

  it('is lost when every place is held by calls that were given up', async () => {
    const { connection } = wire({ inFlightMax: 1 });
    await expect(connection.call(getHostname, undefined, { deadlineMs: 1 })).rejects.toMatchObject({ code: 'deadline-exceeded' });
    expect(await connection.lost).toMatchObject({ code: 'connection-lost' });
  });

  it('gives up on a signal that is aborted already, and sends nothing', async () => {
    const { connection, daemon } = wire();
    const options = { deadlineMs: 5_000, signal: AbortSignal.abort() };
    await expect(connection.call(getHostname, undefined, options)).rejects.toMatchObject({ code: 'aborted' });
    expect(daemon.received).toEqual([]);
    expect(connection.isLost).toBe(false);
  });

  it('survives an answer that cannot be read', async () => {
    const { connection, daemon } = wire();
    const bad = connection.call(listAllDomains, 0, wait);
    await daemon.receive(1);
    daemon.send(packet({ serial: 1 }, Uint8Array.of(0xff, 0xff, 0xff, 0xff)));
    await expect(bad).rejects.toMatchObject({ code: 'malformed-message' });
    const good = connection.call(getHostname, undefined, wait);
    await daemon.receive(2);
    daemon.answer(2, 'fine');
    expect(await good).toBe('fine');
  });

  it('is lost when the stream loses its place, and every call under way with it', async () => {
    const { connection, daemon } = wire();
    const call = connection.call(getHostname, undefined, wait);
    await daemon.receive(1);
    daemon.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(call).rejects.toMatchObject({ code: 'malformed-message' });
    expect(connection.isLost).toBe(true);
  });

  it('turns an error answer into the code of its libvirt number', async () => {
    const { connection, daemon } = wire();
    const call = connection.call(lookupByName, 'nobody', wait);
    await daemon.receive(1);
    const body = new XdrEncoder().i32(42).i32(10).u32(1).string('Domain not found', 99);
    for (const word of [2, 0, 0, 0, 0, 0, 0, 0]) body.u32(word);
    daemon.send(packet({ serial: 1, status: 1 }, body.finish()));
    await expect(call).rejects.toMatchObject({ code: 'no-such-vm', server: { code: 42, domain: 10, message: 'Domain not found' } });
  });

  it('answers pings, and counts what it does not know without harm', async () => {
    const { connection, daemon } = wire();
    daemon.send(packet({ program: keepAlive, procedure: 1, type: 2 }, new Uint8Array()));
    daemon.send(packet({ program: 0x1234, type: 2 }, new Uint8Array()));
    daemon.send(packet({ procedure: 999, type: 2 }, new Uint8Array()));
    daemon.send(packet({ serial: 77 }, new Uint8Array()));
    daemon.send(packet({ type: 3 }, new Uint8Array()));
    daemon.send(packet({ version: 2 }, new Uint8Array()));
    daemon.send(packet({ procedure: 318, type: 2 }, Uint8Array.of(1)));
    await daemon.receive(1);
    expect(daemon.received[0]?.header).toMatchObject({ program: keepAlive, procedure: 2, type: 2, serial: 0 });
    const call = connection.call(getHostname, undefined, wait);
    await daemon.receive(2);
    daemon.answer(1, 'alive');
    expect(await call).toBe('alive');
    expect(connection.counters).toMatchObject({ pingsAnswered: 1, unknownMessages: 5, malformedEvents: 1 });
  });

  it('tells the closing of the other side to the calls that wait for a place too', async () => {
    const { connection, daemon, theirs } = wire({ inFlightMax: 1 });
    const calls = [connection.call(getHostname, undefined, wait), connection.call(getHostname, undefined, wait)];
    const failures = Promise.allSettled(calls);
    await daemon.receive(1);
    theirs.end();
    for (const failure of await failures) expect(failure).toMatchObject({ status: 'rejected', reason: { code: 'connection-lost' } });
  });
});
