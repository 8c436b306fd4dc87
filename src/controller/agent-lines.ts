import type { HostAddresses, HostId } from '#core/model/host.ts';
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Sample } from '#core/model/sample.ts';
import type { Line } from '#core/ports.ts';
import { withDeadline } from '#core/time.ts';
import {
  type CommandArgs,
  type CommandName,
  type CommandReply,
  commandSchemas,
  type FromAgent,
  FromAgentSchema,
  protocolVersion,
  type ToAgent,
} from '#wire/agent-protocol.ts';
import { parse } from '#wire/validate.ts';
import type { ControllerParts } from './parts.ts';

/** What an agent said of its host when it dialled in. */
export interface AgentFacts {
  readonly addresses: HostAddresses;
  readonly hypervisor: string | null;
  readonly ipsec: string | null;
  /** The certificate that the agent uses. */
  readonly certificate: { readonly sha256: string; readonly notAfterMs: number };
}

export interface AgentListener {
  /** Whether a line of this host may be open; asked as it comes, and again when its certificate is known. */
  admits(hostId: HostId, certificateSha256: string | null): boolean;
  /** `sentAtMs`: by the host's clock. */
  onHello(hostId: HostId, facts: AgentFacts, sentAtMs: number): void;
  onSample(sample: Sample): void;
  onLost(hostId: HostId, reason: string): void;
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

interface OpenLine {
  readonly line: Line;
  readonly waiting: Map<string, Waiting>;
  facts: AgentFacts | null;
}

const commandsWaitingMax = 64;

/** The lines to all agents: validates what comes in, and turns a command into a call with a deadline. */
export class AgentLines {
  readonly #parts: ControllerParts;
  readonly #epoch: number;
  readonly #listener: AgentListener;
  readonly #lines = new Map<HostId, OpenLine>();

  constructor(parts: ControllerParts, epoch: number, listener: AgentListener) {
    this.#parts = parts;
    this.#epoch = epoch;
    this.#listener = listener;
  }

  /** Takes in agents from here on; before, the listener turns them away and they dial again. */
  serve(): void {
    this.#parts.lines.onLine((hostId, line) => this.#accept(hostId, line));
  }

  isUp(hostId: HostId): boolean {
    return this.facts(hostId) !== null;
  }

  facts(hostId: HostId): AgentFacts | null {
    return this.#lines.get(hostId)?.facts ?? null;
  }

  /** All hosts that can be given commands now. */
  get hostIds(): readonly HostId[] {
    return [...this.#lines].flatMap(([hostId, { facts }]) => (facts === null ? [] : [hostId]));
  }

  /** Ends the line of a host, if there is one. */
  close(hostId: HostId, reason: string): void {
    this.#lines.get(hostId)?.line.close(reason);
  }

  closeAll(reason: string): void {
    for (const { line } of Array.from(this.#lines.values())) line.close(reason);
  }

  /** Notes that the agent has taken another certificate into use. */
  renewed(hostId: HostId, certificate: AgentFacts['certificate']): void {
    const open = this.#lines.get(hostId);
    if (open?.facts) open.facts = { ...open.facts, certificate };
  }

  /** Runs one command on a host. Rejects with the agent's own refusal, `host-down`, `link-lost` or `command-timeout`. */
  async command<Name extends CommandName>(
    hostId: HostId,
    name: Name,
    args: CommandArgs<Name>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<CommandReply<Name>> {
    const open = this.#lines.get(hostId);
    if (!open?.facts)
      throw new PlimsollError('host-down', `host ${hostId} is not connected: start its agent (or wait, it dials by itself)`);
    if (open.waiting.size >= commandsWaitingMax)
      throw new PlimsollError('migration-limit', `host ${hostId} has too many commands under way`);
    const commandId = this.#parts.random.id();
    try {
      const value = await withDeadline(this.#parts.clock, timeoutMs, signal, () => {
        const answer = new Promise<unknown>((resolve, reject) => open.waiting.set(commandId, { resolve, reject }));
        // The agent gives up a little earlier than we do, so that its own reason arrives.
        const agentTimeoutMs = Math.max(1, Math.round(timeoutMs * 0.9));
        this.#send(open, { type: 'command', commandId, controllerEpoch: this.#epoch, name, args, timeoutMs: agentTimeoutMs });
        return answer;
      });
      return parse(commandSchemas[name].reply, value, `the answer of ${hostId} to ${name}`) as CommandReply<Name>;
    } finally {
      open.waiting.delete(commandId);
    }
  }

  #accept(hostId: HostId, line: Line): void {
    if (!this.#listener.admits(hostId, null)) {
      this.#parts.log.warn('a revoked host was turned away', { hostId });
      line.close('host-revoked');
      return;
    }
    const open: OpenLine = { line, waiting: new Map(), facts: null };
    const former = this.#lines.get(hostId);
    this.#lines.set(hostId, open);
    if (former) {
      this.#drop(former, 'replaced by a newer line');
      former.line.close('replaced');
    }
    line.onMessage((message) => this.#receive(hostId, open, message));
    line.onClose((reason) => {
      this.#drop(open, reason);
      if (this.#lines.get(hostId) !== open) return;
      this.#lines.delete(hostId);
      this.#listener.onLost(hostId, reason);
    });
    this.#send(open, { type: 'welcome', protocol: protocolVersion, controllerEpoch: this.#epoch });
  }

  #receive(hostId: HostId, open: OpenLine, message: unknown): void {
    // What a line still delivers after its end, or after its successor came, is of the past.
    if (this.#lines.get(hostId) !== open) return;
    try {
      this.#handle(hostId, open, parse(FromAgentSchema, message, `a message from ${hostId}`));
    } catch (error) {
      this.#parts.log.error('message from an agent refused', { hostId, ...refusalOf(error) });
      open.line.close('message-invalid');
    }
  }

  #handle(hostId: HostId, open: OpenLine, message: FromAgent): void {
    if ((message.type === 'hello') !== (open.facts === null))
      throw new PlimsollError('message-invalid', `an agent says hello once, and before anything else; ${hostId} sent: ${message.type}`);
    switch (message.type) {
      case 'hello':
        if (message.protocol !== protocolVersion) {
          throw new PlimsollError(
            'message-invalid',
            `agent speaks protocol ${message.protocol}, this controller ${protocolVersion}: update the older one`,
          );
        }
        this.#greet(hostId, open, message);
        return;
      case 'sample':
        if (message.sample.hostId !== hostId) {
          throw new PlimsollError('message-invalid', `${hostId} sent a sample in the name of ${message.sample.hostId}`);
        }
        this.#listener.onSample(message.sample);
        return;
      case 'reply': {
        const waiting = open.waiting.get(message.commandId);
        if (!waiting) return;
        if (message.ok) waiting.resolve(message.value);
        else waiting.reject(new PlimsollError(message.refusal.code, message.refusal.message));
        return;
      }
      default:
        message satisfies never;
    }
  }

  #greet(hostId: HostId, open: OpenLine, hello: Extract<FromAgent, { type: 'hello' }>): void {
    const { addresses, hypervisor, ipsec, certificate, sentAtMs } = hello;
    if (!this.#listener.admits(hostId, certificate.sha256)) {
      this.#parts.log.warn('a host with a revoked certificate was turned away', { hostId });
      open.line.close('host-revoked');
      return;
    }
    open.facts = { addresses, hypervisor, ipsec, certificate };
    this.#listener.onHello(hostId, open.facts, sentAtMs);
  }

  #drop(open: OpenLine, reason: string): void {
    for (const waiting of open.waiting.values())
      waiting.reject(new PlimsollError('link-lost', `the line to the agent was lost: ${reason}`));
    open.waiting.clear();
  }

  #send(open: OpenLine, message: ToAgent): void {
    open.line.send(message);
  }
}
