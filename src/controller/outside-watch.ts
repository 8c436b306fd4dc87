import type { VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import { refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { EchoReport } from '#core/ports.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ControllerParts } from './parts.ts';

/** What an agent is asked here it has at hand: one that takes longer is of no help. */
const quickMs = 2_000;
const intervalMs = 5;
const witnessesTriedMax = 8;
const interfacesTriedMax = 4;
const watchedMax = 256;

export interface Watched {
  readonly witnessHostId: HostId;
  readonly address: string;
}

interface Watch {
  readonly request: MigrationRequest;
  watched: Watched | null;
  /** Another controller had begun it: which host is at it is not known. */
  readonly isInherited: boolean;
  isOver: boolean;
  /** Resolves when somebody watches, or nobody can. */
  found: Promise<void>;
}

/**
 * Has one host look at a VM from outside while it is migrated: one that does not take part, if any can reach the VM. Whatever an agent
 * answers, or does not, no migration waits for it, and what was begun is stopped in the end.
 */
export class OutsideWatch {
  readonly #parts: ControllerParts;
  readonly #lines: AgentLines;
  /** Where the operator says that the VM is reached; null: the hosts' neighbour tables are asked. */
  readonly #addressOf: (vmId: VmId) => string | null;
  readonly #signal: AbortSignal;
  readonly #watches = new Map<string, Watch>();

  constructor(parts: ControllerParts, lines: AgentLines, addressOf: (vmId: VmId) => string | null, signal: AbortSignal) {
    this.#parts = parts;
    this.#lines = lines;
    this.#addressOf = addressOf;
    this.#signal = signal;
  }

  /** Looks for a host that can, and has it begin. Resolves when one has, or none can; nobody has to wait for that. */
  begin(request: MigrationRequest, definition: VmDefinition | null): Promise<void> {
    const { migrationId } = request;
    const known = this.#watches.get(migrationId);
    if (known) return known.found;
    if (this.#watches.size >= watchedMax) return Promise.resolve();
    const watch: Watch = { request, watched: null, isInherited: false, isOver: false, found: Promise.resolve() };
    this.#watches.set(migrationId, watch);
    // It rejects only when the controller stops: the next one finds the migration open, and ends the watch.
    watch.found = this.#find(watch, definition).catch(() => undefined);
    return watch.found;
  }

  /** A controller before this one may have begun to watch. */
  inherit(request: MigrationRequest): void {
    if (this.#watches.size >= watchedMax) return;
    this.#watches.set(request.migrationId, { request, watched: null, isInherited: true, isOver: false, found: Promise.resolve() });
  }

  watched(migrationId: string): Watched | null {
    return this.#watches.get(migrationId)?.watched ?? null;
  }

  /** What was seen so far; null where nobody looks. */
  async report(migrationId: string): Promise<EchoReport | null> {
    const watched = this.watched(migrationId);
    if (watched === null) return null;
    return (await this.#try(watched.witnessHostId, 'witness.report', { watchId: migrationId }))?.report ?? null;
  }

  /** Ends it, whatever became of the migration. A host that is being asked to begin just now is stopped when it has answered. */
  async end(migrationId: string): Promise<void> {
    const watch = this.#watches.get(migrationId);
    if (!watch) return;
    this.#watches.delete(migrationId);
    watch.isOver = true;
    const inherited = watch.isInherited ? this.#witnesses(watch.request).filter((hostId) => this.#lines.isUp(hostId)) : [];
    const hostIds = watch.watched === null ? inherited : [watch.watched.witnessHostId];
    await Promise.all(hostIds.map((hostId) => this.#stop(hostId, migrationId)));
  }

  /** Whether that host has seen the MAC address behind another port than those of its own VMs; null when it does not say. */
  async placeSeenBy(hostId: HostId, mac: string): Promise<'local' | 'elsewhere' | null> {
    return (await this.#try(hostId, 'witness.look', { mac }))?.place ?? null;
  }

  async #find(watch: Watch, definition: VmDefinition | null): Promise<void> {
    const { request } = watch;
    const watchId = request.migrationId;
    const address = this.#addressOf(request.vmId) ?? (await this.#neighbour(request, definition));
    if (address === null) return;
    for (const witnessHostId of this.#witnesses(request)) {
      if (watch.isOver) return;
      const started = await this.#try(witnessHostId, 'witness.start', { watchId, address, intervalMs });
      if (started?.watching === true && !watch.isOver) {
        watch.watched = { witnessHostId, address };
        return;
      }
      // It may have begun although no yes was heard, or is not wanted any more.
      if (started?.watching !== false) await this.#stop(witnessHostId, watchId);
    }
  }

  /** The newest address that any of the hosts has seen behind one of the VM's interfaces. */
  async #neighbour(request: MigrationRequest, definition: VmDefinition | null): Promise<string | null> {
    const macs = definition?.interfaces.map(({ mac }) => mac).slice(0, interfacesTriedMax) ?? [];
    for (const mac of macs) {
      const hostIds = [...new Set([request.fromHostId, ...this.#witnesses(request)])];
      const looks = await Promise.all(hostIds.map((hostId) => this.#try(hostId, 'witness.look', { mac })));
      const [address] = looks.flatMap((look) => look?.addresses ?? []);
      if (address !== undefined) return address;
    }
    return null;
  }

  /** Those that take no part first; then the ends, one of which the VM is on the other side of at any time. */
  #witnesses({ fromHostId, toHostId }: MigrationRequest): readonly HostId[] {
    const others = this.#lines.hostIds.filter((hostId) => hostId !== fromHostId && hostId !== toHostId);
    return [...others.toSorted().slice(0, witnessesTriedMax), toHostId, fromHostId];
  }

  /** What cannot be reached now ends by itself after an hour. */
  async #stop(hostId: HostId, watchId: string): Promise<void> {
    await this.#try(hostId, 'witness.stop', { watchId });
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
