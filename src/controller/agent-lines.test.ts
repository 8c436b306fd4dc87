import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { protocolVersion } from '#wire/agent-protocol.ts';
import { AgentLines } from './agent-lines.ts';
import { certificateSha256, FakeAgent, FakeLine, fakeParts, hello, refuse, runningVm, sampleOf, silence, vmId } from './fakes.ts';

const going = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers({ now: 1000 }));
afterEach(() => void vi.useRealTimers());

function newLines() {
  const parts = fakeParts();
  const heard: string[] = [];
  const revoked = new Set<string>();
  const lines = new AgentLines(parts, 7, {
    admits: (hostId, sha256) => !revoked.has(hostId) && !revoked.has(sha256 ?? ''),
    onHello: (hostId) => void heard.push(`hello ${hostId}`),
    onSample: ({ hostId }) => void heard.push(`sample ${hostId}`),
    onLost: (hostId, reason) => void heard.push(`lost ${hostId}: ${reason}`),
  });
  lines.serve();
  const find = (timeoutMs = 1000) => lines.command('a', 'vm.find', { vmId }, timeoutMs, going);
  return { parts, heard, lines, find, revoked };
}

describe('a line to an agent', () => {
  it('is welcomed with the epoch, and carries commands once the agent has said hello', async () => {
    const { parts, heard, find } = newLines();
    const agent = new FakeAgent(parts, 'a', runningVm());
    expect(agent.line.sent).toEqual([{ type: 'welcome', protocol: protocolVersion, controllerEpoch: 7 }]);
    agent.line.deliver({ type: 'sample', sample: sampleOf('a', 1) });
    expect(heard).toEqual(['hello a', 'sample a']);
    expect(await find()).toEqual({ vm: runningVm(), image: null });
    expect(agent.line.sent[1]).toMatchObject({ controllerEpoch: 7, timeoutMs: 900 });
  });

  const malformed: readonly (readonly [story: string, message: unknown])[] = [
    ['is nothing', null],
    ['is a list', []],
    ['is of an unknown type', { type: 'welcome', protocol: protocolVersion, controllerEpoch: 9 }],
    ['is a sample in the name of another host', { type: 'sample', sample: sampleOf('b', 1) }],
    ['is a sample with unknown fields', { type: 'sample', sample: { ...sampleOf('a', 1), root: true } }],
    [
      'is a sample with a negative load',
      { type: 'sample', sample: { ...sampleOf('a', 1), host: { ...sampleOf('a', 1).host, cpuUsedCores: -1 } } },
    ],
    ['is a sample of more VMs than there can be', { type: 'sample', sample: { ...sampleOf('a', 1), vms: Array(4097).fill(null) } }],
    ['is a reply without a command', { type: 'reply', ok: true, value: {} }],
    [
      'is a refusal as long as a book',
      { type: 'reply', commandId: 'c', ok: false, refusal: { code: 'internal', message: 'x'.repeat(5000) } },
    ],
    ['is a second hello', hello('a')],
  ];

  it.each(malformed)('is closed with a code when what comes %s; the next line works', async (_story, message) => {
    const { parts, heard, lines, find } = newLines();
    const agent = new FakeAgent(parts, 'a', runningVm());
    agent.line.deliver(message);
    expect(agent.line.closedFor).toBe('message-invalid');
    expect(lines.isUp('a')).toBe(false);
    expect(heard).toEqual(['hello a', 'lost a: message-invalid']);
    expect(parts.logged.at(-1)).toContain('message-invalid');
    agent.dial();
    expect(await find()).toEqual({ vm: runningVm(), image: null });
  });

  const early: readonly (readonly [story: string, message: unknown])[] = [
    ['sends a sample before it has said hello', { type: 'sample', sample: sampleOf('a', 1) }],
    ['replies before it has said hello', { type: 'reply', commandId: 'c1', ok: true, value: {} }],
    ['speaks another protocol', { ...hello('a'), protocol: protocolVersion + 1 }],
    ['gives an address that is none', { ...hello('a'), addresses: { underlay: 'x; reboot', protected: '10.1.0.1', interface: 'eth0' } }],
  ];

  it.each(early)('is closed with a code when the agent %s', (_story, message) => {
    const { parts, heard, lines } = newLines();
    const line = new FakeLine();
    parts.dialIn('a', line);
    line.deliver(message);
    expect(line.closedFor).toBe('message-invalid');
    expect([lines.isUp('a'), lines.facts('a')]).toEqual([false, null]);
    expect(heard).toEqual(['lost a: message-invalid']);
  });

  it('that was replaced by a newer one is closed, and what it still delivers is of the past', async () => {
    const { parts, heard, lines, find } = newLines();
    const agent = new FakeAgent(parts, 'a', runningVm());
    const former = agent.line;
    agent.answers['vm.find'] = () => silence;
    const lost = expect(find()).rejects.toMatchObject({ code: 'link-lost' });
    agent.dial();
    await lost;
    former.deliver({ type: 'sample', sample: sampleOf('a', 1) });
    former.deliver(null);
    expect(former.closedFor).toBe('replaced');
    expect([heard, lines.isUp('a')]).toEqual([['hello a', 'hello a'], true]);
  });
});

describe('a line of a revoked host', () => {
  it.each([
    ['by its name', 'a'],
    ['by its certificate', certificateSha256('a')],
  ])('is closed at once when it is known %s; the control arm is let in', (_story, word) => {
    const { parts, heard, lines, revoked } = newLines();
    new FakeAgent(parts, 'a').line.close('gone');
    revoked.add(word);
    const agent = new FakeAgent(parts, 'a');
    expect([agent.line.closedFor, lines.isUp('a'), lines.hostIds]).toEqual(['host-revoked', false, []]);
    expect(heard.filter((line) => line === 'hello a')).toHaveLength(1);
  });

  it('is closed when it is up, and the commands on it end', async () => {
    const { parts, lines, find } = newLines();
    const agent = new FakeAgent(parts, 'a');
    agent.answers['vm.find'] = () => silence;
    const lost = expect(find()).rejects.toMatchObject({ code: 'link-lost' });
    lines.close('a', 'host-revoked');
    await lost;
    expect(agent.line.closedFor).toBe('host-revoked');
  });
});

describe('a command to an agent', () => {
  it('is refused at once for a host that is not connected, unknown, or has not said hello', async () => {
    const { parts, find } = newLines();
    await expect(find()).rejects.toMatchObject({ code: 'host-down', message: expect.stringContaining('start its agent') });
    parts.dialIn('a', new FakeLine());
    await expect(find()).rejects.toMatchObject({ code: 'host-down' });
  });

  it('ends with the reason of the agent, or as link-lost when the line goes', async () => {
    const { parts, find } = newLines();
    const agent = new FakeAgent(parts, 'a');
    agent.answers['vm.find'] = refuse('hypervisor-unavailable');
    await expect(find()).rejects.toMatchObject({ code: 'hypervisor-unavailable' });
    agent.answers['vm.find'] = () => silence;
    const waiting = expect(find()).rejects.toMatchObject({ code: 'link-lost' });
    agent.line.close('link-lost');
    await waiting;
  });

  it('ends after its time; the answer that comes later, or for nobody, is ignored', async () => {
    const { parts, find, lines } = newLines();
    const agent = new FakeAgent(parts, 'a');
    agent.answers['vm.find'] = () => silence;
    const late = expect(find()).rejects.toMatchObject({ code: 'command-timeout' });
    await vi.advanceTimersByTimeAsync(1001);
    await late;
    for (const commandId of ['id1', 'nobody', 'constructor'])
      agent.line.deliver({ type: 'reply', commandId, ok: true, value: { vm: null, image: null } });
    expect(lines.isUp('a')).toBe(true);
  });

  it.each([['a word'], [{}], [{ vm: { name: 'web1' } }], [undefined]])('fails on the answer %j, and the line stays', async (answer) => {
    const { parts, find, lines } = newLines();
    const agent = new FakeAgent(parts, 'a');
    agent.answers['vm.find'] = () => answer;
    await expect(find()).rejects.toMatchObject({ code: 'message-invalid' });
    expect(lines.isUp('a')).toBe(true);
  });

  it('waits beside a bounded number of others', async () => {
    const { parts, find } = newLines();
    const agent = new FakeAgent(parts, 'a');
    agent.answers['vm.find'] = () => silence;
    const waiting = Promise.allSettled(Array.from({ length: 64 }, () => find()));
    await expect(find()).rejects.toMatchObject({ code: 'migration-limit' });
    await vi.advanceTimersByTimeAsync(1001);
    await waiting;
    agent.answers['vm.find'] = () => ({ vm: null, image: null });
    expect(await find()).toEqual({ vm: null, image: null });
  });

  it('ends when the controller stops', async () => {
    const { parts, lines } = newLines();
    const agent = new FakeAgent(parts, 'a');
    agent.answers['vm.find'] = () => silence;
    const stop = new AbortController();
    const waiting = expect(lines.command('a', 'vm.find', { vmId }, 1000, stop.signal)).rejects.toThrow('aborted');
    stop.abort();
    await waiting;
    expect(vi.getTimerCount()).toBe(0);
  });
});
