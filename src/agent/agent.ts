/**
 * The process on each host: dials the controller, sends samples, runs commands. It decides nothing, refuses
 * what is stale or unproven, and goes on with a running transfer when its line to the controller is lost.
 */
import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { Line } from '#core/ports.ts';
import { pause, withDeadline } from '#core/time.ts';
import { type FromAgent, protocolVersion, type ToAgent, ToAgentSchema } from '#wire/agent-protocol.ts';
import { parse } from '#wire/validate.ts';
import { certificateSha256 } from './certificate.ts';
import { type CommandTable, commandTable } from './commands.ts';
import type { AgentParts, AgentSettings } from './parts.ts';
import { Remembered } from './remembered.ts';
import { type AgentRooms, openRooms } from './rooms.ts';
import { shortRefusalOf } from './short-refusal.ts';

const redialMsMin = 250;
const redialMsMax = 5000;
const guardIntervalMs = 10_000;
const commandsAtOnceMax = 32;
const helloTimeoutMs = 3000;
const restoreTimeoutMs = 10_000;

type Welcome = Extract<ToAgent, { type: 'welcome' }>;
type Command = Extract<ToAgent, { type: 'command' }>;

export async function runAgent(parts: AgentParts, settings: AgentSettings, signal: AbortSignal): Promise<void> {
  const agent = new Agent(parts, settings, await Remembered.load(parts.memory));
  await Promise.all([agent.keepGuard(signal), agent.keepWatch(signal), agent.keepLine(signal)]);
}

class Agent {
  readonly #parts: AgentParts;
  readonly #settings: AgentSettings;
  readonly #bootId: string;
  readonly #rooms: AgentRooms;
  readonly #commands: CommandTable;
  #commandsRunning = 0;

  constructor(parts: AgentParts, settings: AgentSettings, remembered: Remembered) {
    this.#parts = parts;
    this.#settings = settings;
    this.#bootId = parts.random.id();
    this.#rooms = openRooms(parts, settings, remembered, this.#bootId);
    this.#commands = commandTable(parts, this.#rooms, settings.hostId);
  }

  /** The guard is in place before any channel, whatever else is down, and put right when somebody has tampered with it. */
  async keepGuard(signal: AbortSignal): Promise<void> {
    let waitMs = redialMsMin;
    let good: boolean | null = null;
    while (!signal.aborted) {
      try {
        await this.#rooms.channels.installGuard(signal);
        if (good !== true) this.#parts.log.info('guard is in place');
        good = true;
      } catch (error) {
        if (signal.aborted) return;
        if (good !== false) this.#parts.log.warn('guard is not in place: nothing can migrate', { ...refusalOf(error) });
        good = false;
      }
      waitMs = good ? guardIntervalMs : Math.min(waitMs * 2, redialMsMax);
      await pause(this.#parts.clock, waitMs, signal);
    }
  }

  async keepWatch(signal: AbortSignal): Promise<void> {
    const { inherited, trust, images, lease, memoryWatch } = this.#rooms;
    await Promise.all([inherited.keep(signal), trust.keep(signal), images.keep(signal), lease.keep(signal), memoryWatch.keep(signal)]);
  }

  async keepLine(signal: AbortSignal): Promise<void> {
    await this.#restoreNetwork(signal);
    await this.#rooms.images.ready(signal);
    const { clock } = this.#parts;
    let waitMs = redialMsMin;
    while (!signal.aborted) {
      try {
        const line = await this.#parts.dialer.dial(signal);
        const openedAtMs = clock.monotonicMs();
        const reason = await this.#serve(line, signal);
        // One that is closed at once is refused: dialling on at full speed would not help.
        if (clock.monotonicMs() - openedAtMs > redialMsMax) waitMs = redialMsMin;
        this.#parts.log.warn('line to the controller closed', { reason });
      } catch (error) {
        if (signal.aborted) return;
        this.#parts.log.warn('controller not reached', { ...refusalOf(error) });
      }
      await pause(clock, waitMs * (0.5 + this.#parts.random.fraction() / 2), signal);
      waitMs = Math.min(waitMs * 2, redialMsMax);
    }
  }

  /** What an earlier process of this agent has tuned. Before any command, which may tune anew. */
  async #restoreNetwork(signal: AbortSignal): Promise<void> {
    const { clock, network, log } = this.#parts;
    try {
      await withDeadline(clock, restoreTimeoutMs, signal, (limited) => network.restore(null, limited));
    } catch (error) {
      if (!signal.aborted) log.warn('network settings of an earlier process were not put back', { ...refusalOf(error) });
    }
  }

  /** Works on one line until it closes; resolves with the reason. */
  async #serve(line: Line, signal: AbortSignal): Promise<string> {
    const closed = new AbortController();
    const whileOpen = AbortSignal.any([signal, closed.signal]);
    const reason = new Promise<string>((resolve) => {
      line.onClose((why) => {
        closed.abort(new PlimsollError('link-lost', why));
        resolve(why);
      });
    });
    line.onMessage((message) => void this.#receive(line, message, signal));
    const stop = () => line.close('agent stops');
    signal.addEventListener('abort', stop, { once: true });
    try {
      this.#send(line, await this.#hello(whileOpen));
      await this.#sendSamples(line, whileOpen);
    } finally {
      signal.removeEventListener('abort', stop);
      stop();
    }
    return reason;
  }

  async #hello(signal: AbortSignal): Promise<FromAgent> {
    const { clock, hypervisor: vms, ipsec: channels } = this.#parts;
    const ask = (version: (limited: AbortSignal) => Promise<string>) =>
      withDeadline(clock, helloTimeoutMs, signal, version).catch(() => null);
    const { certificatePem, notAfterMs } = this.#parts.identity.current();
    const [hypervisor, ipsec] = await Promise.all([ask((limited) => vms.version(limited)), ask((limited) => channels.version(limited))]);
    return {
      type: 'hello',
      protocol: protocolVersion,
      agentVersion: this.#settings.version,
      bootId: this.#bootId,
      addresses: this.#settings.addresses,
      hypervisor,
      ipsec,
      certificate: { sha256: certificateSha256(certificatePem, this.#parts.sha256), notAfterMs },
      sentAtMs: clock.nowMs(),
    };
  }

  async #sendSamples(line: Line, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#send(line, { type: 'sample', sample: await this.#rooms.sampler.take(signal) });
      } catch (error) {
        if (!signal.aborted) this.#parts.log.warn('no sample taken', { ...refusalOf(error) });
      }
      await pause(this.#parts.clock, this.#settings.sampleIntervalMs, signal);
    }
  }

  async #receive(line: Line, message: unknown, signal: AbortSignal): Promise<void> {
    try {
      const order = parse(ToAgentSchema, message, 'a message from the controller');
      if (order.type === 'welcome') await this.#meet(order);
      else await this.#obey(line, order, signal);
    } catch (error) {
      const refusal = refusalOf(error);
      this.#parts.log.error('message from the controller refused', { ...refusal });
      // Neither side can use such a line; the next dial may reach the controller that has taken over.
      if (refusal.code === 'stale-epoch' || refusal.code === 'message-invalid') line.close(refusal.code);
    }
  }

  async #meet({ protocol, controllerEpoch }: Welcome): Promise<void> {
    if (protocol !== protocolVersion)
      throw new PlimsollError(
        'message-invalid',
        `the controller speaks protocol ${protocol}, this agent ${protocolVersion}: update the older one`,
      );
    await this.#rooms.gate.admitController(controllerEpoch);
    this.#parts.log.info('line to the controller is up');
  }

  async #obey(line: Line, command: Command, signal: AbortSignal): Promise<void> {
    const { commandId } = command;
    try {
      if (this.#commandsRunning >= commandsAtOnceMax)
        throw new PlimsollError('migration-limit', 'this agent has too many commands under way');
      this.#commandsRunning += 1;
      try {
        const value = await withDeadline(this.#parts.clock, command.timeoutMs, signal, async (limited) => {
          await this.#rooms.gate.admitController(command.controllerEpoch);
          limited.throwIfAborted();
          return this.#commands.run(command.name, command.args, limited);
        });
        this.#send(line, { type: 'reply', commandId, ok: true, value });
      } finally {
        this.#commandsRunning -= 1;
      }
    } catch (error) {
      const refusal = shortRefusalOf(error);
      this.#parts.log.warn('command refused', { command: command.name, ...refusal });
      this.#send(line, { type: 'reply', commandId, ok: false, refusal });
    }
  }

  #send(line: Line, message: FromAgent): void {
    line.send(message);
  }
}
