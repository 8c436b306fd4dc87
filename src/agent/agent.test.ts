import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { protocolVersion } from '#wire/agent-protocol.ts';
import { runAgent } from './agent.ts';
import { fakeSha256, runningVm, settings, vmId } from './examples.ts';
import { FakeLine, type FakeWorld, fakeWorld } from './fakes.ts';

let stop: AbortController;
let stopped: Promise<void>;

beforeEach(() => {
  vi.useFakeTimers({ now: 10 });
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  await vi.advanceTimersByTimeAsync(0);
  await stopped;
  vi.useRealTimers();
});

async function startAgent(world = fakeWorld()): Promise<FakeWorld & { readonly line: () => FakeLine }> {
  stopped = runAgent(world.parts, settings, stop.signal);
  await vi.advanceTimersByTimeAsync(0);
  return { ...world, line: () => world.lines.at(-1) ?? new FakeLine() };
}

const welcome = (controllerEpoch: number, protocol = protocolVersion) => ({ type: 'welcome', protocol, controllerEpoch });
const command = (changes: object = {}) => ({
  type: 'command',
  commandId: 'c1',
  controllerEpoch: 1,
  name: 'vm.find',
  args: { vmId },
  timeoutMs: 1000,
  ...changes,
});
const refused = (code: string, commandId = 'c1') => ({ type: 'reply', commandId, ok: false, refusal: expect.objectContaining({ code }) });

async function deliver(line: FakeLine, ...messages: readonly unknown[]): Promise<readonly unknown[]> {
  for (const message of messages) line.deliver(message);
  await vi.advanceTimersByTimeAsync(0);
  return line.replies();
}

describe("an agent's line", () => {
  it('says in its hello which certificate it has and what time it is', async () => {
    const { line } = await startAgent();
    const sha256 = fakeSha256(new TextEncoder().encode('first'));
    expect(line().sent[0]).toMatchObject({ type: 'hello', certificate: { sha256, notAfterMs: 86_400_000 }, sentAtMs: 10 });
  });

  it('comes after the network settings of an earlier process were put back, or could not be', async () => {
    const world = fakeWorld();
    const restored = Promise.withResolvers<void>();
    world.network.restore = () => restored.promise;
    const { lines, logged } = await startAgent(world);
    expect(lines).toEqual([]);
    restored.reject(new PlimsollError('channel-failed', 'no ip command'));
    await vi.advanceTimersByTimeAsync(0);
    expect(lines).toHaveLength(1);
    expect(logged.join()).toContain('no ip command');
  });

  it('begins with hello, then samples, and obeys a good command', async () => {
    const { line } = await startAgent();
    expect(line().sent.map(({ type }) => type)).toEqual(['hello', 'sample']);
    expect(await deliver(line(), welcome(1), command())).toEqual([
      { type: 'reply', commandId: 'c1', ok: true, value: { vm: runningVm(), image: null } },
    ]);
  });

  const malformed: readonly (readonly [story: string, message: unknown])[] = [
    ['nothing', null],
    ['a word', 'shutdown'],
    ['an unknown type', { type: 'reboot' }],
    ['a command without a deadline', command({ timeoutMs: undefined })],
    ['a command with a deadline of days', command({ timeoutMs: 10 ** 9 })],
    ['a command with more than belongs there', command({ sudo: true })],
    ['a welcome to another protocol', welcome(1, 1)],
    ['a welcome with an epoch that is none', welcome(-1)],
  ];

  it.each(malformed)('is closed with a code on %s, and dialled again', async (_story, message) => {
    const { line, lines } = await startAgent();
    const first = line();
    expect(await deliver(first, message)).toEqual([]);
    expect(first.closedFor).toBe('message-invalid');
    await vi.advanceTimersByTimeAsync(1000);
    expect(lines).toHaveLength(2);
    expect(await deliver(line(), command())).toMatchObject([{ ok: true }]);
  });

  it('answers a command that it does not know or cannot read with a code, and stays', async () => {
    const { line } = await startAgent();
    const replies = await deliver(line(), command({ name: 'vm.explode' }), command({ commandId: 'c2', args: { vmId: 'x' } }));
    expect(replies).toEqual([refused('message-invalid'), refused('message-invalid', 'c2')]);
    expect(line().closedFor).toBeNull();
  });

  it('is closed on a controller that has been replaced, whose commands are refused, also after a restart of the agent', async () => {
    const world = fakeWorld();
    const first = await startAgent(world);
    await deliver(first.line(), welcome(5));
    expect(await deliver(first.line(), command({ controllerEpoch: 4 }))).toEqual([refused('stale-epoch')]);
    stop.abort();
    await vi.advanceTimersByTimeAsync(0);
    stop = new AbortController();
    const second = await startAgent(world);
    expect(await deliver(second.line(), command({ controllerEpoch: 4 }))).toEqual([refused('stale-epoch')]);
    await deliver(second.line(), welcome(4));
    expect(second.line().closedFor).toBe('stale-epoch');
  });

  it('refuses the commands of a controller that it cannot remember', async () => {
    const { line, memory, hypervisor } = await startAgent();
    memory.fault = new PlimsollError('config-invalid', 'disk full');
    expect(await deliver(line(), command({ name: 'vm.resume', args: { vmId, vmEpoch: 1 } }))).toEqual([refused('config-invalid')]);
    expect(hypervisor.done).toEqual([]);
  });

  it('answers a command that takes too long with command-timeout, and one at a disk that hangs too', async () => {
    const { line, hypervisor, memory } = await startAgent();
    hypervisor.findVm = () => new Promise(() => undefined);
    await deliver(line(), welcome(1), command());
    const disk = Promise.withResolvers<void>();
    memory.save = () => disk.promise;
    await deliver(line(), command({ commandId: 'c2', controllerEpoch: 2, name: 'vm.resume', args: { vmId, vmEpoch: 1 } }));
    await vi.advanceTimersByTimeAsync(1001);
    expect(line().replies()).toEqual([refused('command-timeout'), refused('command-timeout', 'c2')]);
    disk.resolve();
    await vi.advanceTimersByTimeAsync(0);
    expect(hypervisor.done).toEqual([]);
  });

  it('is given a bounded number of commands at once, and takes more when those are done', async () => {
    const { line, hypervisor } = await startAgent();
    const { findVm } = hypervisor;
    hypervisor.findVm = () => new Promise(() => undefined);
    const many = Array.from({ length: 33 }, (_, index) => command({ commandId: `c${index}` }));
    expect(await deliver(line(), ...many)).toEqual([refused('migration-limit', 'c32')]);
    await vi.advanceTimersByTimeAsync(1001);
    hypervisor.findVm = findVm;
    expect((await deliver(line(), command({ commandId: 'after' }))).at(-1)).toMatchObject({ commandId: 'after', ok: true });
  });

  it('carries refusals that fit, however long the fault', async () => {
    const { line, hypervisor } = await startAgent();
    hypervisor.findVm = () => Promise.reject(new Error('x'.repeat(10_000)));
    const [reply] = await deliver(line(), command());
    expect(reply).toMatchObject({ refusal: { code: 'internal', message: 'x'.repeat(4096) } });
  });

  it('is dialled again when it is lost during a command, whose answer is dropped', async () => {
    const { line, lines, hypervisor } = await startAgent();
    let answer: (vm: null) => void = () => undefined;
    hypervisor.findVm = () => new Promise((resolve) => (answer = resolve));
    const first = line();
    await deliver(first, command());
    first.close('link-lost');
    answer(null);
    await vi.advanceTimersByTimeAsync(1000);
    expect(first.replies()).toEqual([]);
    expect(lines).toHaveLength(2);
    expect(line().sent[0]).toMatchObject({ type: 'hello' });
  });

  it('is dialled ever less often by an agent whose lines are closed at once, and promptly again after a good one', async () => {
    const world = fakeWorld();
    const { dial } = world.parts.dialer;
    let refusing = true;
    world.parts.dialer.dial = async (signal) => {
      const line = await dial(signal);
      if (refusing) queueMicrotask(() => line.close('message-invalid'));
      return line;
    };
    const { lines, line } = await startAgent(world);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(lines.length).toBeLessThan(25);
    refusing = false;
    await vi.advanceTimersByTimeAsync(20_000);
    const dialled = lines.length;
    line().close('server-closed');
    await vi.advanceTimersByTimeAsync(300);
    expect(lines).toHaveLength(dialled + 1);
  });

  it('says hello and goes on while its daemons are away', async () => {
    const world = fakeWorld();
    world.hypervisor.version = () => Promise.reject(new PlimsollError('hypervisor-unavailable', 'away'));
    world.ipsec.version = () => new Promise(() => undefined);
    world.hypervisor.fault = new PlimsollError('hypervisor-unavailable', 'away');
    const { line } = await startAgent(world);
    await vi.advanceTimersByTimeAsync(3001);
    expect(line().sent).toMatchObject([{ type: 'hello', hypervisor: null, ipsec: null }]);
    world.hypervisor.fault = null;
    await vi.advanceTimersByTimeAsync(3001);
    expect(line().sent.map(({ type }) => type)).toEqual(['hello', 'sample']);
  });

  it('is closed when the agent stops', async () => {
    const { line } = await startAgent();
    stop.abort();
    await vi.advanceTimersByTimeAsync(0);
    expect(line().closedFor).toBe('agent stops');
  });
});
