import type { LogFields } from '#core/ports.ts';
import { type Breach, breach } from './breach.ts';
import { controllerNode } from './network.ts';
import type { World } from './world.ts';

/** So long after a disk has refused a write somebody may still tell of it. */
const echoMs = 60_000;

/**
 * Listens to what processes say of themselves. A fault of the product's own is caught by whoever calls, and told as `internal`: a broken
 * assumption, a plan that its linter stops. Only a full disk has that code and is nobody's fault.
 */
export class LogWatch {
  readonly #world: World;
  readonly #found: Breach[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  get found(): readonly Breach[] {
    return this.#found;
  }

  said(who: string, message: string, fields: LogFields): void {
    if (fields['code'] !== 'internal' || this.#hasRefused()) return;
    this.#found.push(breach('process-crashed', `${who} is wrong about itself: ${message}: ${String(fields['message'])}`));
  }

  #hasRefused(): boolean {
    const nodes = [controllerNode, ...this.#world.hosts.map(({ hostId }) => hostId)];
    return nodes.some((node) => this.#world.time.elapsedMs - this.#world.disk(node).refusedAtMs <= echoMs);
  }
}
