import { refusalOf } from '#core/model/result.ts';
import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { Network } from './network.ts';
import { SimProcess } from './process.ts';
import { Streams } from './random.ts';
import { Switchboard } from './switchboard.ts';
import { VirtualTime } from './virtual-time.ts';

function setUp() {
  const time = new VirtualTime();
  let controllerAheadMs = 0;
  const network = new Network();
  const board = new Switchboard(time, network, new Streams(1).stream('network'), () => time.nowMs + controllerAheadMs);
  const certificate = { hostId: 'host1', certificatePem: '', privateKeyPem: '', caPem: '', intermediatesPem: '', crlPems: [] };
  const identity = { current: () => ({ ...certificate, notAfterMs: time.nowMs + 60_000 }) };
  const agent = new SimProcess('agent');
  const run = (ms: number) => time.runUntil(time.elapsedMs + ms, surroundings.drain);
  const accepted: string[] = [];
  const listen = (name: string) => {
    const process = new SimProcess(name);
    board.server(process).onLine(() => accepted.push(name));
    return process;
  };
  /** How long it took in all, and how it ended. */
  const dial = async () => {
    const fromMs = time.elapsedMs;
    let endedMs = -1;
    const work = board
      .dialer(identity, agent)
      .dial(new AbortController().signal)
      .then(
        () => 'connected',
        (error: unknown) => refusalOf(error).message,
      )
      .finally(() => {
        endedMs = time.elapsedMs - fromMs;
      });
    await run(11_000);
    return { said: await work, endedMs };
  };
  const turn = (ms: number) => {
    controllerAheadMs = ms;
  };
  return { network, accepted, listen, dial, turn, run };
}

describe('an agent that dials', () => {
  test('reaches whoever listened last; when that dies, the one before', async () => {
    const { accepted, listen, dial } = setUp();
    expect((await dial()).said).toMatch(/nobody listens/);
    const first = listen('first');
    await dial();
    const second = listen('second');
    await dial();
    second.kill();
    await dial();
    expect(accepted).toEqual(['first', 'second', 'first']);
    first.kill();
    expect((await dial()).said).toMatch(/nobody listens/);
  });

  test('waits in vain for a controller that stands still', async () => {
    const { listen, dial } = setUp();
    const controller = listen('controller');
    controller.pause();
    const { said, endedMs } = await dial();
    expect(said).toBe('the controller did not answer within 10000 ms');
    expect(endedMs).toBeGreaterThanOrEqual(10_000);
    controller.goOn();
    expect((await dial()).said).toBe('connected');
  });

  test("is turned away with a certificate that has expired by the controller's clock", async () => {
    const { listen, dial, turn } = setUp();
    listen('controller');
    turn(3_600_000);
    expect((await dial()).said).toMatch(/has expired: join again/);
    turn(0);
    expect((await dial()).said).toBe('connected');
  });

  test('gets through where either way is cut only when both pass again, and late over a slow link', async () => {
    const { network, listen, dial } = setUp();
    listen('controller');
    network.cutOneWay('controller', 'host1');
    expect((await dial()).said).toMatch(/did not answer/);
    network.healOneWay('controller', 'host1');
    expect((await dial()).endedMs).toBeLessThan(10);
    network.setQuality('host1', 'controller', { delayMs: 300, jitterMs: 0, lossPercent: 0, duplicatePercent: 0, reorderPercent: 0 });
    expect((await dial()).endedMs).toBeGreaterThan(600);
  });
});
