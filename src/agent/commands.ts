import { PlimsollError } from '#core/model/result.ts';
import type { Hypervisor } from '#core/ports.ts';
import { type CommandArgs, type CommandName, type CommandReply, commandSchemas, isCommandName } from '#wire/agent-protocol.ts';
import { parse } from '#wire/validate.ts';
import type { Channels } from './channels.ts';
import { checkDestination } from './destination-check.ts';
import type { Gate } from './gate.ts';
import type { AgentParts } from './parts.ts';
import type { Sampler } from './sampler.ts';
import type { Transfers } from './transfers.ts';

type Handlers = { readonly [Name in CommandName]: (args: CommandArgs<Name>, signal: AbortSignal) => Promise<CommandReply<Name>> };

export interface CommandTable {
  /** Validates the arguments and runs the command. Throws PlimsollError. */
  run(name: string, args: unknown, signal: AbortSignal): Promise<unknown>;
}

/** What an agent obeys, one line per command. */
export function commandTable(
  parts: AgentParts,
  rooms: { readonly gate: Gate; readonly channels: Channels; readonly transfers: Transfers; readonly sampler: Sampler },
): CommandTable {
  const { gate, channels, transfers, sampler } = rooms;
  const { hypervisor, clock } = parts;
  const handlers: Handlers = {
    'vm.find': async ({ vmId }, signal) => ({ vm: await hypervisor.findVm(vmId, signal) }),
    'vm.check-destination': (args, signal) => checkDestination(parts, sampler.newest, args, signal),
    'vm.resume': async ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      await hypervisor.resume(vmId, signal);
      return {};
    },
    'vm.destroy-copy': async ({ vmId, vmEpoch }, signal) => {
      gate.admitVmOrder(vmId, vmEpoch);
      await destroyCopy(hypervisor, vmId, signal);
      return {};
    },
    'ticket.accept': async ({ ticket }) => {
      await gate.accept(ticket, clock.nowMs());
      return {};
    },
    'channel.prepare': async ({ peer }, signal) => ({ backend: await channels.prepare(peer, signal) }),
    'channel.establish': async ({ peer }, signal) => ({ sa: await channels.establish(peer, signal) }),
    'channel.state': ({ peerHostId }, signal) => channels.state(peerHostId, signal),
    'channel.listen': async ({ peer, nonce }, signal) => {
      await channels.listen(peer, nonce, signal);
      return {};
    },
    'channel.probe': async ({ peer, nonce }, signal) => ({ facts: await channels.probe(peer, nonce, signal) }),
    'channel.heard': async ({ nonce }, signal) => ({ facts: await channels.heard(nonce, signal) }),
    'channel.close': async ({ peerHostId }, signal) => {
      await channels.close(peerHostId, signal);
      return {};
    },
    'transfer.start': async (args, signal) => ({ sa: await transfers.start(args, signal) }),
    'transfer.status': async ({ migrationId }) => ({ status: transfers.status(migrationId) }),
    'transfer.abort': async ({ migrationId, vmId }, signal) => {
      await transfers.abort(migrationId, vmId, signal);
      return {};
    },
  };
  return { run: (name, args, signal) => dispatch(handlers, name, args, signal) };
}

/** Whatever the controller has seen a moment ago: a copy that runs, or has a job at work on it, is no orphan. */
async function destroyCopy(hypervisor: Hypervisor, vmId: string, signal: AbortSignal): Promise<void> {
  const copy = await hypervisor.findVm(vmId, signal);
  if (copy === null) return;
  if (copy.state === 'running' || copy.jobActive)
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
