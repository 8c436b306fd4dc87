import { describe, expect, test } from 'vitest';
import { Cable } from './cable.ts';
import { surroundings } from './examples.ts';
import { Network } from './network.ts';
import { Streams } from './random.ts';
import { VirtualTime } from './virtual-time.ts';

function setUp() {
  const time = new VirtualTime();
  const network = new Network();
  const random = new Streams(1).stream('cable');
  const cable = new Cable(time, network, ['host1', 'controller'], () => 1 + Math.floor(random.fraction() * 5));
  const got: unknown[] = [];
  const closed: string[] = [];
  cable.far.onMessage((message) => got.push(message));
  cable.far.onClose((reason) => closed.push(`far: ${reason}`));
  cable.near.onClose((reason) => closed.push(`near: ${reason}`));
  const run = (untilMs: number) => time.runUntil(untilMs, surroundings.drain);
  return { time, network, cable, got, closed, run };
}

describe('a line', () => {
  test('delivers in the order of sending, whatever the delays', async () => {
    const { cable, got, run } = setUp();
    for (let message = 0; message < 50; message += 1) cable.near.send(message);
    await run(100);
    expect(got).toEqual(Array.from({ length: 50 }, (_, message) => message));
  });

  test('carries a copy: nobody shares an object with the other side', async () => {
    const { cable, got, run } = setUp();
    const message = { load: [1, 2], gone: undefined };
    cable.near.send(message);
    message.load.push(3);
    await run(100);
    expect(got).toEqual([{ load: [1, 2] }]);
  });

  test('holds messages while the nodes are cut off, and delivers them in order afterwards', async () => {
    const { network, cable, got, closed, run } = setUp();
    network.cut('host1', 'controller');
    cable.near.send('one');
    cable.near.send('two');
    await run(5_000);
    expect(got).toEqual([]);
    network.heal('host1', 'controller');
    cable.near.send('three');
    await run(5_100);
    expect(got).toEqual(['one', 'two', 'three']);
    expect(closed).toEqual([]);
  });

  test('ends as a dead peer on both sides when the cut lasts', async () => {
    const { network, cable, got, closed, run } = setUp();
    network.cut('controller', 'host1');
    cable.near.send('lost');
    await run(20_000);
    network.heal('host1', 'controller');
    await run(30_000);
    expect(closed.toSorted()).toEqual(['far: dead-peer', 'near: dead-peer']);
    expect(got).toEqual([]);
  });

  test('delivers one way while the other is cut, and dies of the silence as a whole', async () => {
    const { network, cable, got, closed, run } = setUp();
    const back: unknown[] = [];
    cable.near.onMessage((message) => back.push(message));
    network.cutOneWay('controller', 'host1');
    cable.near.send('arrives');
    cable.far.send('waits');
    await run(5_000);
    expect([got, back]).toEqual([['arrives'], []]);
    network.healOneWay('controller', 'host1');
    await run(5_100);
    expect(back).toEqual(['waits']);
    network.cutOneWay('controller', 'host1');
    await run(21_000);
    expect(closed.toSorted()).toEqual(['far: dead-peer', 'near: dead-peer']);
  });

  test('keeps the order over a link that delays and loses, and loses no message', async () => {
    const { network, cable, got, run } = setUp();
    network.setQuality('host1', 'controller', { delayMs: 20, jitterMs: 50, lossPercent: 20, duplicatePercent: 10, reorderPercent: 20 });
    for (let message = 0; message < 50; message += 1) cable.near.send(message);
    await run(20);
    expect(got).toEqual([]);
    await run(60_000);
    expect(got).toEqual(Array.from({ length: 50 }, (_, message) => message));
  });

  test('survives a short standstill of one end; after a long one that end finds its peer gone', async () => {
    const { cable, closed, run } = setUp();
    cable.pause('far', true);
    await run(10_000);
    cable.pause('far', false);
    await run(30_000);
    expect(closed).toEqual([]);
    cable.pause('far', true);
    await run(46_000);
    expect(closed.toSorted()).toEqual(['far: link-lost', 'near: dead-peer']);
  });

  test('tells the other side the reason of a close, after what was sent before it', async () => {
    const { cable, got, closed, run } = setUp();
    cable.near.send('last words');
    cable.near.close('agent stops');
    cable.near.send('too late');
    await run(100);
    expect(got).toEqual(['last words']);
    expect(closed).toEqual(['near: agent stops', 'far: agent stops']);
  });

  test('is lost for the other side when a process dies', async () => {
    const { cable, closed, run } = setUp();
    cable.sever('near');
    await run(100);
    expect(closed).toContain('far: link-lost');
  });
});
