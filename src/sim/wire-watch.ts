/**
 * Listens to what controllers say to agents and what agents answer, at the agents' end, and judges by that alone: nothing of how an agent
 * decides is used. What an agent has obeyed it has said so itself, so it also binds the agents that come after it on that host.
 */
import { decodeBase64 } from '#core/access/base64.ts';
import type { HostId } from '#core/model/host.ts';
import type { Ticket } from '#core/model/ticket.ts';
import type { Line } from '#core/ports.ts';
import { type CommandArgs, type CommandName, isCommandName, type FromAgent, type ToAgent } from '#wire/agent-protocol.ts';
import { type Breach, breach } from './breach.ts';

type Command = Extract<ToAgent, { type: 'command' }>;

/** What a host has said yes to. */
interface HostWord {
  controllerEpoch: number;
  readonly vmEpochs: Map<string, number>;
  readonly ticketIds: Set<string>;
  /** Watches of VMs that it began, and was not told to stop while it could hear of it. */
  readonly watchIds: Set<string>;
  sampledAtMs: number | null;
}

/** A command, with what its host had said yes to when it came. */
interface Heard {
  readonly command: Command;
  readonly controllerEpochKnown: number;
  readonly vmEpochKnown: number;
}

export class WireWatch {
  readonly #elapsedMs: () => number;
  readonly #words = new Map<HostId, HostWord>();
  readonly #transfersBegun = new Set<string>();
  readonly #found: Breach[] = [];

  constructor(elapsedMs: () => number) {
    this.#elapsedMs = elapsedMs;
  }

  /** The same line, listened to. */
  tap(hostId: HostId, line: Line): Line {
    const heard = new Map<string, Heard>();
    // What was asked for through it may never have been answered, or taken back.
    line.onClose(() => this.#word(hostId).watchIds.clear());
    return {
      send: (message) => {
        this.#said(hostId, message as FromAgent, heard);
        line.send(message);
      },
      onMessage: (listener) =>
        line.onMessage((message) => {
          this.#told(hostId, message as ToAgent, heard);
          listener(message);
        }),
      onClose: (listener) => line.onClose(listener),
      close: (reason) => line.close(reason),
    };
  }

  /** Everything found so far. */
  get found(): readonly Breach[] {
    return this.#found;
  }

  /** When this host last sent a sample, by the simulation's own time; null: never. */
  sampledAtMs(hostId: HostId): number | null {
    return this.#words.get(hostId)?.sampledAtMs ?? null;
  }

  /**
   * Watches of VMs that hosts keep up although whoever began them could have stopped them: a controller that died, or a line that broke,
   * leaves them to the agent, which ends them after an hour.
   */
  get watchesLeft(): readonly { readonly hostId: HostId; readonly watchId: string }[] {
    return [...this.#words].flatMap(([hostId, { watchIds }]) => [...watchIds].map((watchId) => ({ hostId, watchId })));
  }

  #told(hostId: HostId, message: ToAgent, heard: Map<string, Heard>): void {
    if (message.type !== 'command') return;
    const word = this.#word(hostId);
    const vmId = vmIdOf(message);
    const vmEpochKnown = vmId === null ? 0 : (word.vmEpochs.get(vmId) ?? 0);
    heard.set(message.commandId, { command: message, controllerEpochKnown: word.controllerEpoch, vmEpochKnown });
  }

  #said(hostId: HostId, message: FromAgent, heard: Map<string, Heard>): void {
    const word = this.#word(hostId);
    if (message.type === 'sample') word.sampledAtMs = this.#elapsedMs();
    // A process before this one may have left without closing its line.
    if (message.type === 'hello') word.watchIds.clear();
    if (message.type !== 'reply') return;
    const asked = heard.get(message.commandId);
    heard.delete(message.commandId);
    if (asked !== undefined && message.ok) this.#obeyed(hostId, word, asked);
  }

  #obeyed(hostId: HostId, word: HostWord, asked: Heard): void {
    const { command, controllerEpochKnown } = asked;
    const { controllerEpoch, name } = command;
    if (controllerEpoch < controllerEpochKnown)
      this.#find(
        'stale-epoch',
        `${hostId} obeyed ${name} of controller epoch ${controllerEpoch} after it had obeyed ${controllerEpochKnown}`,
      );
    word.controllerEpoch = Math.max(word.controllerEpoch, controllerEpoch);
    if (isCommand(command, 'ticket.accept')) this.#accepted(hostId, word, asked, ticketOf(command.args));
    else if (isCommand(command, 'transfer.start')) this.#began(hostId, command.args.migrationId);
    else if (isCommand(command, 'witness.start')) word.watchIds.add(command.args.watchId);
    else if (isCommand(command, 'witness.stop')) word.watchIds.delete(command.args.watchId);
    else this.#orderedAbout(hostId, word, asked);
  }

  #accepted(hostId: HostId, word: HostWord, { vmEpochKnown }: Heard, ticket: Ticket | null): void {
    if (ticket === null) {
      this.#find('ticket-reused', `${hostId} accepted a ticket that cannot be read`);
      return;
    }
    const { ticketId, vmId, vmEpoch, fromHostId, toHostId } = ticket;
    if (word.ticketIds.has(ticketId)) this.#find('ticket-reused', `${hostId} accepted ticket ${ticketId} a second time`);
    if (hostId !== fromHostId && hostId !== toHostId)
      this.#find('ticket-reused', `${hostId} accepted ticket ${ticketId}, which is for ${fromHostId} and ${toHostId}`);
    if (vmEpoch <= vmEpochKnown)
      this.#find('stale-epoch', `${hostId} accepted a ticket with epoch ${vmEpoch} of VM ${vmId} after epoch ${vmEpochKnown}`);
    word.ticketIds.add(ticketId);
    raise(word, vmId, vmEpoch);
  }

  #began(hostId: HostId, migrationId: string): void {
    if (this.#transfersBegun.has(migrationId))
      this.#find('ticket-reused', `${hostId} began the transfer of migration ${migrationId} again`);
    this.#transfersBegun.add(migrationId);
  }

  /** Orders about a VM carry its epoch: an older one than was obeyed before is stale, and a start is obeyed under a new one only. */
  #orderedAbout(hostId: HostId, word: HostWord, { command, vmEpochKnown }: Heard): void {
    const order = vmOrderOf(command);
    if (order === null) return;
    const least = command.name === 'vm.start' ? vmEpochKnown + 1 : vmEpochKnown;
    if (order.vmEpoch < least)
      this.#find(
        'stale-epoch',
        `${hostId} obeyed ${command.name} with epoch ${order.vmEpoch} of VM ${order.vmId} after epoch ${vmEpochKnown}`,
      );
    raise(word, order.vmId, order.vmEpoch);
  }

  #find(code: 'stale-epoch' | 'ticket-reused', message: string): void {
    this.#found.push(breach(code, message));
  }

  #word(hostId: HostId): HostWord {
    const known = this.#words.get(hostId);
    if (known) return known;
    const word: HostWord = { controllerEpoch: 0, vmEpochs: new Map(), ticketIds: new Set(), watchIds: new Set(), sampledAtMs: null };
    this.#words.set(hostId, word);
    return word;
  }
}

function raise(word: HostWord, vmId: string, vmEpoch: number): void {
  word.vmEpochs.set(vmId, Math.max(word.vmEpochs.get(vmId) ?? 0, vmEpoch));
}

function isCommand<Name extends CommandName>(command: Command, name: Name): command is Command & { readonly args: CommandArgs<Name> } {
  return isCommandName(command.name) && command.name === name;
}

function vmIdOf(command: Command): string | null {
  if (isCommand(command, 'ticket.accept')) return ticketOf(command.args)?.vmId ?? null;
  return vmOrderOf(command)?.vmId ?? null;
}

function vmOrderOf({ args }: Command): { readonly vmId: string; readonly vmEpoch: number } | null {
  if (typeof args !== 'object' || args === null || !('vmId' in args) || !('vmEpoch' in args)) return null;
  const { vmId, vmEpoch } = args;
  return typeof vmId === 'string' && typeof vmEpoch === 'number' ? { vmId, vmEpoch } : null;
}

function ticketOf({ ticket }: CommandArgs<'ticket.accept'>): Ticket | null {
  const payload = decodeBase64(ticket.payload);
  return payload === null ? null : (JSON.parse(new TextDecoder().decode(payload)) as Ticket);
}
