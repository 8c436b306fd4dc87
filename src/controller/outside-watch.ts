import type { VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import { refusalOf } from '#core/model/result.ts';
import type { EchoReport } from '#core/ports.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';

const quickMs = 5_000;
const intervalMs = 5;
const witnessesTriedMax = 8;
const watchedMax = 256;

export interface Watched {
  readonly witnessHostId: HostId;
  readonly address: string;
  readonly mac: string;
}

/** Has one host look at a VM from outside while it is migrated: one that does not take part, if any can reach the VM. */
export class OutsideWatch {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  readonly #signal: AbortSignal;
  readonly #watched = new Map<string, Watched>();

  constructor(parts: ControllerParts, lines: AgentLines, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#signal = signal;
  }

  /** That nobody can look is no reason not to migrate. */
  async begin(request: MigrationRequest, definition: VmDefinition | null): Promise<void> {
    const [mac] = definition?.interfaces.map((one) => one.mac) ?? [];
    if (mac === undefined || this.#watched.size >= watchedMax) return;
    const hosts = this.#witnesses(request);
    const found = await Promise.all([request.fromHostId, ...hosts].map((hostId) => this.#try(hostId, 'witness.look', { mac })));
    const address = found.flatMap((look) => look?.addresses ?? [])[0];
    if (address === undefined) return;
    for (const witnessHostId of hosts) {
      const watchId = request.migrationId;
      const started = await this.#try(witnessHostId, 'witness.start', { watchId, address, intervalMs });
      if (started?.watching !== true) continue;
      this.#watched.set(watchId, { witnessHostId, address, mac });
      return;
    }
  }

  watched(migrationId: string): Watched | null {
    return this.#watched.get(migrationId) ?? null;
  }

  /** What was seen so far; null where nobody looks. */
  async report(migrationId: string): Promise<EchoReport | null> {
    const watched = this.#watched.get(migrationId);
    if (!watched) return null;
    return (await this.#try(watched.witnessHostId, 'witness.report', { watchId: migrationId }))?.report ?? null;
  }

  async end(migrationId: string): Promise<void> {
    const watched = this.#watched.get(migrationId);
    this.#watched.delete(migrationId);
    if (watched) await this.#try(watched.witnessHostId, 'witness.stop', { watchId: migrationId });
  }

  /** Whether that host has seen the MAC address behind another port than those of its own VMs; null when it does not say. */
  async hasHeardOf(hostId: HostId, mac: string): Promise<'local' | 'elsewhere' | null> {
    return (await this.#try(hostId, 'witness.look', { mac }))?.place ?? null;
  }

  /** Those that take no part first; then the ends, one of which the VM is on the other side of at any time. */
  #witnesses({ fromHostId, toHostId }: MigrationRequest): readonly HostId[] {
    const others = this.#lines.hostIds.filter((hostId) => hostId !== fromHostId && hostId !== toHostId);
    return [...others.toSorted().slice(0, witnessesTriedMax), toHostId, fromHostId];
  }

  async #try<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>): Promise<CommandReply<Name> | null> {
    try {
      return await this.#lines.command(hostId, name, args, quickMs, this.#signal);
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warn('a host does not look at a VM from outside', { hostId, command: name, ...refusalOf(error) });
      return null;
    }
  }
}
