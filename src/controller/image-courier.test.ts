/** What a controller does for a VM that goes as a sealed image: it carries what the two agents say to each other. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ImageAsk, ImageAnswer } from '#wire/agent-protocol.ts';
import { newCluster } from './fake-cluster.ts';
import { type FakeAgent, refuse, runningVm, silence, vmId } from './fakes.ts';

let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  stop = new AbortController();
});
afterEach(() => {
  stop.abort();
  vi.useRealTimers();
});

const token = 'ab'.repeat(32);
const recipient = `age1${'q'.repeat(58)}`;
const offered: ImageAnswer = { kind: 'offered', offer: { address: '10.0.0.2', port: 49_220, token, recipient } };
const done: ImageAnswer = { kind: 'done' };
const offer: ImageAsk = { askId: 'ask-1', call: { kind: 'offer', at: null } };
const restore: ImageAsk = { askId: 'ask-2', call: { kind: 'restore' } };

async function newWorld() {
  const cluster = await newCluster(stop.signal);
  const { rooms, source } = cluster;
  /** As the source has it: the ask that is open, and the answers that came. */
  const answers: unknown[] = [];
  let ask: ImageAsk | null = offer;
  source.answers['transfer.status'] = () => ({ status: { kind: 'running', progress: null, ask, decisions: [], attempts: 1 } });
  source.answers['transfer.answer'] = ({ askId, answer }) => {
    if (askId === ask?.askId) [ask] = [null, answers.push(answer)];
    return {};
  };
  const start = async () => {
    const { grantId } = await rooms.grants.request({ fromHostId: 'a', toHostId: 'b', reason: 'to compare', lifetimeMs: 3_600_000 }, 'anna');
    await rooms.grants.approve(grantId, 'bert');
    const migrationId = await cluster.start({ channelKind: 'sealed-image', grantId, approvedBy: 'bert' });
    await vi.advanceTimersByTimeAsync(1000);
    return migrationId;
  };
  const asks = (next: ImageAsk | null) => void (ask = next);
  return { ...cluster, answers, start, asks };
}

function calls(agent: FakeAgent): readonly object[] {
  const sent = agent.line.sent as readonly { readonly name?: string; readonly args?: object }[];
  return sent.flatMap(({ name, args }) => (name === 'image.call' && args ? [args] : []));
}

describe('what the source of an image asks', () => {
  it('is put to the destination for this migration, and the answer is brought back', async () => {
    const { destination, answers, start } = await newWorld();
    destination.answers['image.call'] = () => ({ answer: offered });
    const migrationId = await start();
    expect(calls(destination)[0]).toEqual({
      migrationId,
      vmId,
      vmEpoch: 1,
      peerHostId: 'a',
      askId: 'ask-1',
      call: { kind: 'offer', at: null },
    });
    expect(answers).toEqual([offered]);
  });

  it('is put again and again while the destination is at it, however long that takes, and the transfer is watched meanwhile', async () => {
    const { destination, source, answers, start, asks } = await newWorld();
    asks(restore);
    destination.answers['image.call'] = () => ({ answer: null });
    await start();
    await vi.advanceTimersByTimeAsync(100_000);
    expect(answers).toEqual([]);
    expect(new Set(calls(destination).map((call) => 'askId' in call && call.askId))).toEqual(new Set(['ask-2']));
    expect(source.asked.filter((name) => name === 'transfer.status').length).toBeGreaterThan(10);
    destination.answers['image.call'] = () => ({ answer: done });
    await vi.advanceTimersByTimeAsync(1000);
    expect(answers).toEqual([done]);
  });

  it('is refused in the name of a destination that has refused it, at once', async () => {
    const { destination, answers, start } = await newWorld();
    destination.answers['image.call'] = refuse('ticket-invalid');
    await start();
    expect(answers).toMatchObject([{ kind: 'refused', refusal: { code: 'ticket-invalid' } }]);
  });

  it('waits for a destination that is away, and is refused after half a minute', async () => {
    const { destination, answers, start } = await newWorld();
    destination.answers['image.call'] = () => silence;
    await start();
    destination.line.close('gone');
    await vi.advanceTimersByTimeAsync(20_000);
    expect(answers).toEqual([]);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(answers).toMatchObject([{ kind: 'refused', refusal: { code: 'host-down' } }]);
  });

  it('is refused when the destination was revoked, which is not asked', async () => {
    const { rooms, destination, answers, start, asks } = await newWorld();
    asks(null);
    await start();
    rooms.membership.revoke('b', 5);
    asks(restore);
    await vi.advanceTimersByTimeAsync(1000);
    expect(answers).toMatchObject([{ kind: 'refused', refusal: { code: 'host-revoked' } }]);
    expect(calls(destination)).toEqual([]);
  });

  it('and what is answered is in no log, record, receipt or audit', async () => {
    const { parts, source, destination, start, end, answers } = await newWorld();
    destination.answers['image.call'] = () => ({ answer: offered });
    const migrationId = await start();
    expect(answers).toEqual([offered]);
    [source.vm, destination.vm] = [null, runningVm()];
    const outcome = { totalMs: 900, downtimeMs: 800, memorySentBytes: 1000, iterations: null, cipher: 'age' };
    source.answers['transfer.status'] = () => ({ status: { kind: 'completed', outcome, channel: null, decisions: [], attempts: 1 } });
    expect(await end(migrationId)).toMatchObject({ phase: 'done', outcome });
    const elsewhere = JSON.stringify([parts.logged, [...parts.store.records.values()], parts.store.receipts, parts.store.audited]);
    expect(elsewhere).not.toContain(token);
    expect(elsewhere).not.toContain(recipient);
  });
});

describe('an image that is left', () => {
  it.each([
    ['given', null, 'image.take-back', 'source'],
    ['given', 'opened', 'image.discard', 'destination'],
  ] as const)('%s, the destination having %s, leads to %s', async (onSource, onDestination, name, side) => {
    const world = await newWorld();
    world.asks(null);
    await world.start();
    world.source.answers['transfer.status'] = () => ({ status: { kind: 'unknown' } });
    [world.source.vm, world.source.image, world.destination.image] = [null, onSource, onDestination];
    await vi.advanceTimersByTimeAsync(5000);
    expect(world[side].asked).toContain(name);
    expect(world[side === 'source' ? 'destination' : 'source'].asked).not.toContain(name);
  });

  it('on its source is forgotten when the VM runs on its destination', async () => {
    const { source, destination, start, end, asks } = await newWorld();
    asks(null);
    const migrationId = await start();
    source.answers['transfer.status'] = () => ({ status: { kind: 'unknown' } });
    [source.vm, source.image, destination.vm] = [null, 'given', runningVm()];
    source.answers['image.forget'] = () => {
      source.image = null;
      return {};
    };
    expect(await end(migrationId)).toMatchObject({ phase: 'done' });
  });
});
