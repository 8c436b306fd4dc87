import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { type CommandTable, commandTable } from './commands.ts';
import { peer, runningVm, settings, signed, startArgs, ticketOf, vmDefinition, vmId, vmMac } from './examples.ts';
import { type FakeWorld, fakeWorld } from './fakes.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';

const going = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

async function newTable(): Promise<FakeWorld & AgentRooms & { readonly table: CommandTable }> {
  const world = fakeWorld();
  const rooms = openRooms(world.parts, settings, await Remembered.load(world.memory), 'boot1');
  return { ...world, ...rooms, table: commandTable(world.parts, rooms, settings.hostId) };
}

describe('a command', () => {
  const malformed: readonly (readonly [story: string, name: string, args: unknown])[] = [
    ['is unknown', 'host.reboot', {}],
    ['is named as something every object has', 'constructor', {}],
    ['has no arguments', 'vm.find', undefined],
    ['has no VM id', 'vm.find', { vmId: 'web1' }],
    ['has more arguments than it knows', 'vm.find', { vmId, force: true }],
    ['has a negative epoch', 'vm.resume', { vmId, vmEpoch: -1 }],
    ['has an epoch that is no integer', 'vm.destroy-copy', { vmId, vmEpoch: 1.5, even: null }],
    ['has a ticket as long as a book', 'ticket.accept', { ticket: { payload: 'A'.repeat(8196), signature: '' } }],
    ['names a peer that is none', 'channel.prepare', { peer: { ...peer, hostId: '../b' } }],
    [
      'has an address that is none',
      'transfer.start',
      { ...startArgs, peer: { ...peer, addresses: { ...peer.addresses, protected: 'b;x' } } },
    ],
    ['has a profile that nobody knows', 'channel.establish', { peer: { ...peer, profile: { ...peer.profile, name: 'wireguard' } } }],
    [
      'has a proposal with more than keywords',
      'channel.establish',
      { peer: { ...peer, profile: { ...peer.profile, ikeProposals: ['a;b c'] } } },
    ],
    ['has a channel of no kind', 'transfer.start', { ...startArgs, channelKind: 'telnet' }],
    [
      'has a bandwidth that is none',
      'transfer.start',
      { ...startArgs, plan: { ...startArgs.plan, options: { ...startArgs.plan.options, bandwidthBytesPerSecond: null } } },
    ],
    ['asks for more methods than anybody has', 'vm.method-faults', { options: Array.from({ length: 33 }, () => startArgs.plan.options) }],
    ['watches somebody at full speed', 'witness.start', { watchId: 'w1', address: '10.9.0.5', intervalMs: 0 }],
  ];

  it.each(malformed)('that %s is refused and touches nothing', async (_story, name, args) => {
    const { table, hypervisor } = await newTable();
    await expect(table.run(name, args, going)).rejects.toMatchObject({ code: 'message-invalid' });
    expect([...hypervisor.done, ...hypervisor.migrations]).toEqual([]);
  });

  it('about an unknown VM is answered, not failed', async () => {
    const { table, hypervisor } = await newTable();
    hypervisor.vm = null;
    expect(await table.run('vm.find', { vmId }, going)).toEqual({ vm: null, image: null });
  });

  it('about a VM that was to come here before the machine was restarted is answered with that', async () => {
    const { table, hypervisor, leaseBook } = await newTable();
    await table.run('ticket.accept', { ticket: signed(ticketOf({ fromHostId: 'b', toHostId: 'a' })) }, going);
    hypervisor.vm = null;
    expect(await table.run('vm.find', { vmId }, going)).toEqual({ vm: null, image: null });
    leaseBook.reboot();
    expect(await table.run('vm.find', { vmId }, going)).toEqual({ vm: null, image: null, restarted: true });
  });

  it('is refused with the reason of the daemon that is away', async () => {
    const { table, hypervisor } = await newTable();
    hypervisor.fault = new PlimsollError('hypervisor-unavailable', 'libvirtd is away');
    await expect(table.run('vm.find', { vmId }, going)).rejects.toMatchObject({ code: 'hypervisor-unavailable' });
  });
});

describe('what a host is asked before a VM comes to it, or leaves it', () => {
  it('is answered in the words of the protocol', async () => {
    const { table, hypervisor } = await newTable();
    hypervisor.faultOf = ({ streams }) => (streams > 1 ? { code: 'method-unsupported', message: 'one stream only' } : null);
    const { options } = startArgs.plan;
    const asked = await table.run('vm.method-faults', { options: [options, { ...options, streams: 4 }] }, going);
    expect(asked).toEqual({ faults: [null, { code: 'method-unsupported', message: 'one stream only' }] });
    expect(await table.run('vm.describe', { vmId }, going)).toEqual({ definition: vmDefinition, text: '<domain/>' });
    const offer = await table.run('vm.offer', { definition: vmDefinition, text: '<domain/>' }, going);
    expect(offer).toMatchObject({ offer: { hostId: 'a', ownCopy: 'running', cpu: 'identical' } });
    expect(await table.run('vm.measure', { vmId, durationMs: 1000 }, going)).toMatchObject({ activity: { measuredForMs: 1000 } });
    expect(await table.run('vm.cost', { vmId }, going)).toEqual({
      cost: { hypervisorCpuSeconds: 1, ipsecCpuSeconds: null, agentCpuSeconds: 0.5 },
    });
  });

  it('where a VM is answers for the locks too that are named', async () => {
    const { table } = await newTable();
    expect(await table.run('vm.find', { vmId }, going)).not.toHaveProperty('held');
    const leases = [{ lockspace: 'locks', key: 'web1', path: '/srv' }];
    expect(await table.run('vm.find', { vmId, leases }, going)).toMatchObject({ vm: { vmId }, held: [true] });
  });

  it('about what witnesses see is answered too', async () => {
    const { table } = await newTable();
    const watch = { watchId: 'w1', address: '10.9.0.5', intervalMs: 5 };
    expect(await table.run('witness.look', { mac: vmMac }, going)).toEqual({ addresses: ['10.9.0.5'], place: 'local' });
    expect(await table.run('witness.start', watch, going)).toEqual({ watching: true });
    expect(await table.run('witness.report', { watchId: 'w1' }, going)).toMatchObject({ report: { answered: 3 } });
    expect(await table.run('witness.stop', { watchId: 'w1' }, going)).toMatchObject({ report: { answered: 3 } });
    expect(await table.run('witness.report', { watchId: 'w1' }, going)).toEqual({ report: null });
  });
});

describe('an order to put a copy right', () => {
  const order = (name: 'vm.resume' | 'vm.destroy-copy', vmEpoch: number, even: 'half' | 'arriving' | null = null) =>
    [name, name === 'vm.resume' ? { vmId, vmEpoch } : { vmId, vmEpoch, even }, going] as const;

  it('is carried out on a halted copy', async () => {
    const { table, hypervisor } = await newTable();
    hypervisor.vm = runningVm({ state: 'paused' });
    await table.run(...order('vm.resume', 1));
    await table.run(...order('vm.destroy-copy', 1));
    expect(hypervisor.done).toEqual(['resume', 'destroy']);
  });

  it('never destroys a copy that runs, has a job at work on it or is half of a VM, and has nothing to do where there is none', async () => {
    const { table, hypervisor } = await newTable();
    await expect(table.run(...order('vm.destroy-copy', 1))).rejects.toMatchObject({ code: 'vm-busy' });
    hypervisor.vm = runningVm({ state: 'incoming', jobActive: true });
    await expect(table.run(...order('vm.destroy-copy', 1))).rejects.toMatchObject({ code: 'vm-busy' });
    for (const postCopy of ['active', 'failed'] as const) {
      hypervisor.vm = runningVm({ state: 'paused', postCopy });
      await expect(table.run(...order('vm.destroy-copy', 1))).rejects.toMatchObject({ code: 'vm-busy' });
    }
    hypervisor.vm = null;
    expect(await table.run(...order('vm.destroy-copy', 1))).toEqual({});
    expect(hypervisor.done).toEqual([]);
  });

  it('destroys what a post-copy has left, when all of the VM runs elsewhere, and only when it is halted', async () => {
    const { table, hypervisor } = await newTable();
    for (const copy of [runningVm({ postCopy: 'failed' }), runningVm({ state: 'paused', jobActive: true, postCopy: 'active' })]) {
      hypervisor.vm = copy;
      await expect(table.run(...order('vm.destroy-copy', 1, 'half'))).rejects.toMatchObject({ code: 'vm-busy' });
    }
    hypervisor.vm = runningVm({ state: 'paused', jobActive: true, postCopy: 'failed' });
    await table.run(...order('vm.destroy-copy', 1, 'half'));
    expect(hypervisor.done).toEqual(['destroy']);
  });

  it('destroys a copy that waits for memory which nobody sends, and nothing that runs or is half of a VM', async () => {
    const { table, hypervisor } = await newTable();
    for (const copy of [runningVm({ jobActive: true }), runningVm({ state: 'paused', jobActive: true, postCopy: 'active' })]) {
      hypervisor.vm = copy;
      await expect(table.run(...order('vm.destroy-copy', 1, 'arriving'))).rejects.toMatchObject({ code: 'vm-busy' });
    }
    hypervisor.vm = runningVm({ state: 'paused', jobActive: true });
    await table.run(...order('vm.destroy-copy', 1, 'arriving'));
    expect(hypervisor.done).toEqual(['destroy']);
  });

  it('of a migration that a newer one has overtaken is refused', async () => {
    const { table, hypervisor } = await newTable();
    await table.run('ticket.accept', { ticket: signed(ticketOf({ vmEpoch: 3 })) }, going);
    hypervisor.vm = runningVm({ state: 'paused' });
    await expect(table.run(...order('vm.resume', 2))).rejects.toMatchObject({ code: 'stale-epoch' });
    await expect(table.run(...order('vm.destroy-copy', 2))).rejects.toMatchObject({ code: 'stale-epoch' });
    expect(hypervisor.done).toEqual([]);
    await table.run(...order('vm.destroy-copy', 3));
    expect(hypervisor.done).toEqual(['destroy']);
  });
});

describe('a command of the channel', () => {
  it('that is refused does not repeat the secret that came with it', async () => {
    const { table, logged } = await newTable();
    const canary = 'canary-of-a-key-that-is-no-base64-at-all-and-43-long';
    const prepare = table.run('channel.prepare', { peer, secrets: { preSharedKey: canary, postQuantumKey: null } }, going);
    const refusal: unknown = await prepare.catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'message-invalid' });
    expect(`${String(refusal)} ${logged.join()}`).not.toContain('canary');
  });

  it('is answered in the words of the protocol', async () => {
    const { table, network, guard, hypervisor, identity } = await newTable();
    const secrets = { preSharedKey: null, postQuantumKey: null };
    const tuning = { ...measured, mssBytes: 1360, routeMtuBytes: null, interfaceMtuBytes: null };
    expect(await table.run('channel.prepare', { peer, secrets }, going)).toEqual({ backend: 'kernel' });
    expect(await table.run('channel.state', { peerHostId: 'b' }, going)).toMatchObject({ reading: { sa: { spiOut: 'aa' }, errors: null } });
    expect(await table.run('channel.list', {}, going)).toMatchObject({ backend: 'kernel', tuned: [] });
    expect(await table.run('channel.rekey', { peerHostId: 'b' }, going)).toEqual({});
    expect(await table.run('path.way', { peer }, going)).toMatchObject({ way: { interfaceMtuBytes: 9000 } });
    expect(await table.run('path.answer', { peer, nonce: 'n1', stream: true }, going)).toEqual({ streamPort: 40_000 });
    expect(await table.run('path.measure', { peer, nonce: 'n1', packetBytesMax: 1500 }, going)).toEqual({ pathMtuBytes: 1500 });
    expect(await table.run('path.stop', { nonce: 'n1' }, going)).toEqual({});
    expect(await table.run('path.tune', { tuning }, going)).toEqual({});
    expect(network.settings).toEqual([tuning]);
    expect(await table.run('guard.exempt', { peerUnderlay: '10.0.0.2', lifetimeMs: 1000 }, going)).toEqual({});
    expect(guard.exemptPeers).toEqual(['10.0.0.2']);
    expect(await table.run('identity.request', {}, going)).toEqual({ requestPem: 'request' });
    expect(await table.run('identity.install', { certificatePem: 'new', intermediatesPem: 'ca' }, going)).toEqual({});
    expect(identity.current().certificatePem).toBe('new');
    expect(hypervisor.done).toEqual(['reload-certificates']);
    expect(await table.run('channel.close', { peerHostId: 'b' }, going)).toEqual({});
    expect(await table.run('path.restore', { peerHostId: null }, going)).toEqual({});
    expect(network.restored).toEqual(['b', null]);
  });
});

const measured = { peerHostId: 'b', peerUnderlay: '10.0.0.2', peerChannelAddress: '10.1.0.2', interface: 'eth0' };
