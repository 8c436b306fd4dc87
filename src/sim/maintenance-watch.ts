import type { HostId } from '#core/model/host.ts';
import type { Maintenance, MaintenanceHost, MaintenancePhase } from '#core/model/maintenance.ts';
import { type Breach, breach } from './breach.ts';
import type { World } from './world.ts';

const order: readonly MaintenancePhase[] = ['waiting', 'draining', 'empty', 'restoring', 'done'];

/**
 * Follows maintenances by what is durable of them: never more hosts at a time than was asked for, in their order, none goes back, and
 * none is called empty with a VM on it.
 */
export class MaintenanceWatch {
  readonly #world: World;
  readonly #onOpened: (hostId: HostId) => void;
  #before: Maintenance | null = null;
  readonly #found: Breach[] = [];

  /** `onOpened`: it uncordons the host, whoever has cordoned it. */
  constructor(world: World, onOpened: (hostId: HostId) => void = () => undefined) {
    this.#world = world;
    this.#onOpened = onOpened;
  }

  get found(): readonly Breach[] {
    return this.#found;
  }

  /** Each time that it becomes durable. */
  saved(maintenance: Maintenance): void {
    const before = this.#before?.maintenanceId === maintenance.maintenanceId ? this.#before : null;
    if (before === null && this.#before !== null && this.#before.endedAtMs === null) this.#say('one begins while another is under way');
    this.#before = maintenance;
    const { hosts, parallel } = maintenance;
    const away = hosts.filter(({ phase }) => phase !== 'waiting' && phase !== 'done');
    if (away.length > parallel) this.#say(`${away.map(({ hostId }) => hostId).join(', ')} are away at a time, asked for were ${parallel}`);
    const begun = Math.max(
      0,
      hosts.findLastIndex(({ phase }) => phase !== 'waiting'),
    );
    for (const { hostId } of hosts.slice(0, begun).filter(({ phase }) => phase === 'waiting')) this.#say(`${hostId} was passed over`);
    for (const host of hosts)
      this.#judge(
        host,
        before?.hosts.find(({ hostId }) => hostId === host.hostId),
      );
  }

  #judge({ hostId, phase }: MaintenanceHost, before: MaintenanceHost | undefined): void {
    if (phase === 'restoring') this.#onOpened(hostId);
    if (before !== undefined && order.indexOf(phase) < order.indexOf(before.phase))
      this.#say(`${hostId} is ${phase} after ${before.phase}`);
    if (phase !== 'empty' || before?.phase !== 'draining') return;
    for (const { guest, state } of this.#world.host(hostId).copies)
      if (state === 'running') this.#say(`${hostId} is said to be empty, and ${guest.name} runs there`);
  }

  #say(message: string): void {
    this.#found.push(breach('maintenance-untrue', message));
  }
}
