import type { IpCommand } from './ip-command.ts';
import { keeperRoutes, ownMtus, routeKey, type RouteFamily, routesIn, type RouteWords } from './route-words.ts';

/**
 * Route protocol numbers (`ip route ... proto`): the mark by which Plimsoll knows its own routes, also those of an earlier process. The
 * kernel leaves numbers above 4 to programs; these are in no list of known ones (linux/rtnetlink.h, iproute2's rt_protos).
 */
export const routeProtocols = { host: '149', keeper: '150' } as const;

/** A host with more routes than this through one device is a router; its interface is not raised. */
const keepersMax = 256;

/** Routes to peers, and routes that keep other traffic at its size. No route of anybody else is changed or removed. */
export class TaggedRoutes {
  readonly #ip: IpCommand;

  constructor(ip: IpCommand) {
    this.#ip = ip;
  }

  async removeAllBut(kind: keyof typeof routeProtocols, wanted: readonly RouteWords[], signal: AbortSignal): Promise<void> {
    const keys = new Set(wanted.map(routeKey));
    for (const route of await this.#present(kind, signal)) {
      if (keys.has(routeKey(route))) continue;
      await this.#ip.run([`-${route.family}`, 'route', 'delete', ...route.words, 'proto', routeProtocols[kind]], signal);
    }
  }

  async addMissing(kind: keyof typeof routeProtocols, wanted: readonly RouteWords[], signal: AbortSignal): Promise<void> {
    const present = new Set((await this.#present(kind, signal)).map(routeKey));
    for (const route of wanted) {
      if (present.has(routeKey(route))) continue;
      // IPv4 takes the first of several equal routes; IPv6 the one with the lower metric, which ours have.
      const verb = route.family === 4 ? 'prepend' : 'add';
      await this.#ip.run([`-${route.family}`, 'route', verb, ...route.words, 'proto', routeProtocols[kind]], signal);
    }
  }

  /** Null when the routes through this device cannot be kept at their size. */
  async keepersFor(device: string, mtuBytes: number, signal: AbortSignal): Promise<readonly RouteWords[] | null> {
    const text = await this.#ip.run(['-o', '-4', 'route', 'show', 'table', 'all'], signal);
    const keepers = keeperRoutes(text, device, mtuBytes, Object.values(routeProtocols));
    return keepers === null || keepers.length > keepersMax ? null : keepers;
  }

  async ownIpv6Mtus(device: string, signal: AbortSignal): Promise<readonly number[]> {
    return ownMtus(await this.#ip.run(['-o', '-6', 'route', 'show', 'table', 'all'], signal), device);
  }

  async #present(kind: keyof typeof routeProtocols, signal: AbortSignal): Promise<readonly RouteWords[]> {
    const of = async (family: RouteFamily): Promise<readonly RouteWords[]> => {
      const words = ['-o', `-${family}`, 'route', 'show', 'table', 'all', 'proto', routeProtocols[kind]];
      return routesIn(await this.#ip.run(words, signal), family);
    };
    return [...(await of(4)), ...(await of(6))];
  }
}
