import { migrationAddress } from '#core/channel/profiles.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { HostId } from '#core/model/host.ts';
import type { Hypervisor } from '#core/ports.ts';
import { type CommandArgs, type CommandName, type CommandReply, commandSchemas, isCommandName } from '#wire/agent-protocol.ts';
import { parse } from '#wire/validate.ts';
import { closeChannel } from './closing.ts';
import { hostOffer } from './host-offer.ts';
import type { AgentParts } from './parts.ts';
import type { AgentRooms } from './rooms.ts';

type Handlers = { readonly [Name in CommandName]: (args: CommandArgs<Name>, signal: AbortSignal) => Promise<CommandReply<Name>> };

export interface CommandTable {
  /** Validates the arguments and runs the command. Throws PlimsollError. */
  run(name: string, args: unknown, signal: AbortSignal): Promise<unknown>;
}

/** What an agent obeys, one line per command. */
export function commandTable(parts: AgentParts, rooms: AgentRooms, hostId: HostId): CommandTable {
  const handlers: Handlers = {
    ...vmHandlers(parts, rooms, hostId),
    ...witnessHandlers(rooms),
    ...channelHandlers(parts, rooms),
    ...transferHandlers(parts, rooms),
    ...leaseHandlers(rooms),
    ...imageHandlers(rooms),
  };
  return { run: (name, args, signal) => dispatch(handlers, name, args, signal) };
}

type HandlersOf<Family extends string> = Pick<Handlers, Extract<CommandName, `${Family}.${string}`>>;

function vmHandlers(
  parts: AgentParts,
  { gate, sampler, images, lease, memoryWatch }: AgentRooms,
  hostId: HostId,
): HandlersOf<'vm' | 'ticket'> {
  const { hypervisor, clock } = parts;
  return {
    'vm.find': async ({ vmId, leases }, signal) => {
      const image = await images.standing(vmId);
      const [vm, held] = await Promise.all([hypervisor.findVm(vmId, signal), leases && hypervisor.leasesHeld(leases, signal)]);
      return { vm, image, ...(held && { held: [...held] }), ...(gate.mayHaveRun(vmId) && { restarted: true }) };
    },
    'vm.describe': async ({ vmId }, signal) => hypervisor.define(vmId, signal),
    'vm.offer': async (args, signal) => ({ offer: await hostOffer(parts, hostId, sampler.newest, args, signal) }),
    'vm.method-faults': async ({ options }, signal) => ({
      faults: await Promise.all(options.map((one) => hypervisor.methodFault(one, signal))),
    }),
    'vm.measure': async ({ vmId, durationMs }, signal) => ({ activity: await memoryWatch.activity(vmId, durationMs, signal) }),
    'vm.cost': async ({ vmId }, signal) => ({ cost: await parts.costMeter.read(vmId, signal) }),
    'vm.start': (args, signal) => done(lease.start(args, signal)),
    'vm.resume': ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return done(hypervisor.resume(vmId, signal));
    },
    'vm.relock': ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return done(hypervisor.relock(vmId, signal));
    },
    'vm.destroy-copy': ({ vmId, vmEpoch, even }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return done(destroyCopy(hypervisor, vmId, even, signal));
    },
    'ticket.accept': async ({ ticket }, signal) => {
      const { vmId } = await gate.accept(ticket, clock.nowMs());
      await lease.mustLetRun(vmId);
      return done(images.makeWay(vmId, signal));
    },
  };
}

function witnessHandlers({ witnesses }: AgentRooms): HandlersOf<'witness'> {
  return {
    'witness.look': ({ mac }, signal) => witnesses.look(mac, signal),
    'witness.start': async ({ watchId, address, intervalMs }, signal) => ({
      watching: await witnesses.start(watchId, address, intervalMs, signal),
    }),
    'witness.report': async ({ watchId }) => ({ report: witnesses.report(watchId) }),
    'witness.stop': async ({ watchId }) => ({ report: await witnesses.stop(watchId) }),
  };
}

function channelHandlers(parts: AgentParts, rooms: AgentRooms): HandlersOf<'channel' | 'path' | 'guard' | 'identity' | 'trust'> {
  const { channels, proofs, paths, trust } = rooms;
  return {
    'channel.prepare': async ({ peer, secrets }, signal) => ({ backend: await channels.prepare(peer, secrets, signal) }),
    'channel.establish': async ({ peer }, signal) => ({ sa: await channels.establish(peer, signal) }),
    'channel.state': async ({ peerHostId }, signal) => ({ reading: await channels.reading(peerHostId, signal) }),
    'channel.list': (_args, signal) => channels.list(signal),
    'channel.rekey': ({ peerHostId }, signal) => done(channels.rekey(peerHostId, signal)),
    'channel.listen': ({ peer, nonce }, signal) => done(proofs.listen(peer, nonce, signal)),
    'channel.probe': async ({ peer, nonce }, signal) => ({ facts: await proofs.probe(peer, nonce, signal) }),
    'channel.heard': async ({ nonce }, signal) => ({ facts: await proofs.heard(nonce, signal) }),
    'channel.close': ({ peerHostId }, signal) => done(closeChannel(rooms, peerHostId, signal)),
    'path.way': async ({ peer }, signal) => ({ way: await paths.way(peer, signal) }),
    'path.answer': async ({ peer, nonce, stream }, signal) => ({ streamPort: await paths.answer(peer, nonce, stream, signal) }),
    'path.stop': ({ nonce }) => done(paths.stop(nonce)),
    'path.measure': async (args, signal) => ({ pathMtuBytes: await paths.measure(args, signal) }),
    'path.stream': (args, signal) => paths.stream(args, signal),
    'path.tune': ({ tuning }, signal) => done(parts.network.tune(tuning, signal)),
    'path.restore': ({ peerHostId }, signal) => done(parts.network.restore(peerHostId, signal)),
    'guard.exempt': ({ peerUnderlay, lifetimeMs }, signal) => done(parts.guard.exempt(peerUnderlay, lifetimeMs, signal)),
    'identity.request': async () => ({ requestPem: await trust.request() }),
    'identity.install': (args, signal) => done(trust.install(args, signal)),
    'trust.update': (args, signal) => done(trust.update(args, signal)),
  };
}

function transferHandlers({ hypervisor }: AgentParts, { gate, transfers, inherited }: AgentRooms): HandlersOf<'transfer'> {
  return {
    'transfer.start': async (args, signal) => ({ reading: await transfers.start(args, signal) }),
    'transfer.recover': (args, signal) => {
      gate.admitVmOrder(args.vmId, args.vmEpoch);
      return done(transfers.recover(args, signal));
    },
    'transfer.part': async ({ vmId, vmEpoch, peer }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return { ended: await hypervisor.partFromPeer(vmId, migrationAddress(peer.profile, peer.addresses), signal) };
    },
    'transfer.status': async ({ migrationId }) => {
      const status = transfers.status(migrationId);
      if (status.kind === 'unknown') inherited.look();
      return { status };
    },
    'transfer.answer': async ({ migrationId, askId, answer }) => {
      transfers.answer(migrationId, askId, answer);
      return {};
    },
    'transfer.abort': ({ migrationId, vmId }, signal) => done(transfers.abort(migrationId, vmId, signal)),
  };
}

function leaseHandlers({ lease }: AgentRooms): HandlersOf<'lease'> {
  return {
    'lease.renew': (args, signal) => lease.renew(args, signal),
    'lease.look': ({ vmId }, signal) => lease.look(vmId, signal),
  };
}

function imageHandlers({ gate, channels, images, imageDesk }: AgentRooms): HandlersOf<'image'> {
  return {
    'image.call': (args, signal) => {
      const { kind } = args.call;
      gate.admitImageCall(args, kind === 'restore' || kind === 'discard');
      if (kind !== 'discard') channels.mustBeMember(args.peerHostId);
      return imageDesk.call(args, signal);
    },
    'image.take-back': ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return done(images.takeBack(vmId, signal));
    },
    'image.forget': ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return done(images.forget(vmId, signal));
    },
    'image.discard': ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      return done(images.discard(vmId, signal));
    },
  };
}

async function done(work: Promise<unknown>): Promise<CommandReply<'channel.close'>> {
  await work;
  return {};
}

/** Whatever the controller has seen a moment ago: a copy that runs, or has a job at work on it, is no orphan. */
type Even = CommandArgs<'vm.destroy-copy'>['even'];

async function destroyCopy(hypervisor: Hypervisor, vmId: string, even: Even, signal: AbortSignal): Promise<void> {
  const copy = await hypervisor.findVm(vmId, signal);
  if (copy === null) return;
  // The hypervisor calls a post-copy that failed a job at work.
  const isHalf = copy.postCopy === 'failed' && even === 'half';
  const isArriving = copy.postCopy === null && even === 'arriving';
  const isAtWork = copy.jobActive || copy.postCopy !== null;
  if (copy.state === 'running' || (isAtWork && !isHalf && !isArriving))
    throw new PlimsollError('vm-busy', `this host's copy of ${copy.name} is at work, it is not destroyed: look on both hosts`);
  signal.throwIfAborted();
  await hypervisor.destroy(vmId, signal);
}

async function dispatch(handlers: Handlers, name: string, args: unknown, signal: AbortSignal): Promise<unknown> {
  if (!isCommandName(name))
    throw new PlimsollError('message-invalid', `this agent knows no command ${name}: update it to the controller's version`);
  return invoke(handlers, name, args, signal);
}

function invoke<Name extends CommandName>(handlers: Handlers, name: Name, args: unknown, signal: AbortSignal): Promise<CommandReply<Name>> {
  const valid = parse(commandSchemas[name].args, args, `the arguments of ${name}`);
  return handlers[name](valid as CommandArgs<Name>, signal);
}
