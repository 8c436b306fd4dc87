import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Channels } from './channels.ts';
import { otherPeer, peer, settings } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Paths } from './paths.ts';

const going = new AbortController().signal;
const measure = { peer, nonce: 'n1', packetBytesMax: 65_535 };

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

function newPaths(): FakeWorld & { readonly paths: Paths } {
  const world = fakeWorld();
  return { ...world, paths: new Paths(world.parts, new Channels(world.parts, settings)) };
}

describe('the measurement of a path', () => {
  it.each([9000, 4000, 1500, 1437, 576])('finds %i bytes behind routers that swallow what is larger', async (pathMtuBytes) => {
    const { paths, network } = newPaths();
    network.pathMtuBytes = pathMtuBytes;
    expect(await paths.measure(measure, going)).toBe(pathMtuBytes);
  });

  it.each([8999, 1500, 1437])(
    'finds %i bytes behind a router that tells, although larger packets then arrive in fragments',
    async (bytes) => {
      const { paths, network } = newPaths();
      network.pathMtuBytes = bytes;
      network.tellsMtu = true;
      expect(await paths.measure(measure, going)).toBe(bytes);
    },
  );

  it('goes no further than it is asked to, or than the interface does', async () => {
    const { paths, network } = newPaths();
    network.pathMtuBytes = 60_000;
    expect(await paths.measure({ ...measure, packetBytesMax: 8000 }, going)).toBe(8000);
    expect(await paths.measure(measure, going)).toBe(9000);
  });

  it('says 0 when nothing comes through', async () => {
    const { paths, parts } = newPaths();
    parts.prober.probePath = () => Promise.resolve(false);
    expect(await paths.measure(measure, going)).toBe(0);
  });

  it('ends after a minute, whatever the network does', async () => {
    const { paths, parts } = newPaths();
    parts.prober.probePath = () => new Promise(() => undefined);
    const refused = expect(paths.measure(measure, going)).rejects.toMatchObject({ code: 'command-timeout' });
    await vi.advanceTimersByTimeAsync(60_001);
    await refused;
  });
});

describe('answers to a peer that measures', () => {
  it('end when they are stopped, when the channel is closed, or after a minute', async () => {
    const { paths, heardNonces } = newPaths();
    expect(await paths.answer(peer, 'n1', false, going)).toBeNull();
    expect(await paths.answer(peer, 'n2', true, going)).toBe(40_000);
    expect(await paths.answer(otherPeer, 'n3', false, going)).toBeNull();
    await paths.stop('n1');
    expect(heardNonces).toEqual(['n2', 'n2', 'n3']);
    await paths.stopAll('b');
    expect(heardNonces).toEqual(['n3']);
    await vi.advanceTimersByTimeAsync(60_001);
    expect(heardNonces).toEqual([]);
  });

  it('leave nothing open: asked for twice, with a port that cannot be had, or stopped while it is opened', async () => {
    const { paths, parts, heardNonces } = newPaths();
    await paths.answer(peer, 'n1', true, going);
    await paths.answer(peer, 'n1', true, going);
    expect(heardNonces).toEqual(['n1', 'n1']);
    await paths.stop('n1');
    const { receiveStream } = parts.prober;
    parts.prober.receiveStream = async (...args) => {
      const opened = await receiveStream(...args);
      await paths.stop('n2');
      return opened;
    };
    await paths.answer(peer, 'n2', true, going);
    expect(heardNonces).toEqual([]);
    parts.prober.receiveStream = () => Promise.reject(new Error('no port'));
    await expect(paths.answer(peer, 'n3', true, going)).rejects.toThrow('no port');
    expect(heardNonces).toEqual([]);
  });

  it('are refused beside too many others', async () => {
    const { paths } = newPaths();
    for (let index = 0; index < 16; index += 1) await paths.answer(peer, `n${index}`, false, going);
    await expect(paths.answer(peer, 'more', false, going)).rejects.toMatchObject({ code: 'migration-limit' });
  });
});

describe('a stream through the channel', () => {
  const stream = { peer, nonce: 'n1', port: 40_000, durationMs: 2000 };

  it('is counted by the SA, over a rekey too', async () => {
    const { paths, parts, ipsec } = newPaths();
    expect(await paths.stream(stream, going)).toEqual({ bytes: 130_000, durationMs: 2000, packetsOut: 100, packetBytesOut: 140_000 });
    const { sendStream } = parts.prober;
    parts.prober.sendStream = async (options, signal) => {
      await sendStream(options, signal);
      await ipsec.rekey();
      return sendStream(options, signal);
    };
    expect(await paths.stream(stream, going)).toMatchObject({ packetsOut: 200 });
  });

  it('is not sent without an SA or a guard, and counts for nothing when the SA does not last', async () => {
    const { paths, parts, ipsec, guard } = newPaths();
    const { sas } = ipsec;
    const sent = vi.spyOn(parts.prober, 'sendStream');
    ipsec.sas = [];
    await expect(paths.stream(stream, going)).rejects.toMatchObject({ code: 'channel-failed' });
    ipsec.sas = sas;
    guard.installed = false;
    await expect(paths.stream(stream, going)).rejects.toMatchObject({ code: 'channel-failed' });
    expect(sent).not.toHaveBeenCalled();
    guard.installed = true;
    sent.mockImplementation(async () => {
      ipsec.sas = [];
      return { bytes: 1, durationMs: 1 };
    });
    await expect(paths.stream(stream, going)).rejects.toMatchObject({ code: 'channel-failed' });
  });
});
