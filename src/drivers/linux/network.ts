/**
 * Packet sizes on a real host: routes and interfaces through `ip`, the MSS clamp through `nft`.
 *
 * Settings are made so that nothing of anybody else is changed and everything can be found again by a later process:
 *
 *  - route MTU: a host route of our own to the peer's underlay address, marked by its protocol number;
 *  - raised interface: before it, for each IPv4 route through it a copy that wins and keeps the old MTU, marked too; IPv6 keeps its own
 *    MTU of the interface. Then the peer's host route gets the new MTU and, in tunnel mode, so does one to its protected address: a
 *    packet's size inside the tunnel is bounded by the route of either address. Routes that others add later get no copy until the next
 *    `tune`. The interface's old MTU is in the journal before it is changed.
 *  - MSS clamp: a table of our own.
 *
 * With userspace ESP nothing but the MSS of the protected address matters inside the tunnel: its TUN device has an MTU of its own.
 *
 * One process at a time. A host route does not follow when its next hop changes; channels are short-lived, and `restore` ends it.
 */
import { join } from 'node:path';
import { libipsecDevice } from '#core/channel/guard-rules.ts';
import type { PeerTuning, WayFacts } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Network } from '#core/ports.ts';
import { checkTuning } from './check-tuning.ts';
import { runCommand } from './command.ts';
import { noteRaise, setInterfaceMtu } from './interface-mtu.ts';
import { IpCommand, type IpOptions, ipv6MtuOf } from './ip-command.ts';
import { hostRoute, type RouteWords } from './route-words.ts';
import { TaggedRoutes } from './tagged-routes.ts';
import { tuneRuleset } from './tune-rules.ts';
import { type RaisedInterface, TuningJournal, type TuningState } from './tuning-journal.ts';

export interface LinuxNetworkOptions {
  /** The folder of the journal, `tuning.json`. */
  readonly stateDir: string;
  readonly ip?: IpOptions;
  readonly nftCommand?: readonly [string, ...string[]];
  readonly timeoutMs?: number;
}

/** For putting back what was there when a change fails, whatever the caller's own deadline. */
const undoMsMax = 15_000;

/**
 * Rejects with `channel-failed` when the network cannot be read or changed, `config-invalid` when the journal cannot be read, with the signal's
 * reason when aborted. Calls run one after the other, but for `way`.
 */
export class LinuxNetwork implements Network {
  readonly #ip: IpCommand;
  readonly #routes: TaggedRoutes;
  readonly #journal: TuningJournal;
  readonly #nftCommand: readonly [string, ...string[]];
  readonly #timeoutMs: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: LinuxNetworkOptions) {
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#ip = new IpCommand({ timeoutMs: this.#timeoutMs, ...options.ip });
    this.#routes = new TaggedRoutes(this.#ip);
    this.#journal = new TuningJournal(join(options.stateDir, 'tuning.json'));
    this.#nftCommand = options.nftCommand ?? ['/usr/sbin/nft'];
  }

  async way(peerUnderlay: string, signal: AbortSignal): Promise<WayFacts> {
    const route = await this.#ip.routeTo(peerUnderlay, null, signal);
    const link = await this.#ip.link(route.device, signal);
    if (link === null) throw new PlimsollError('channel-failed', `Interface ${route.device} went away; try again.`);
    const tunnel = await this.#ip.link(libipsecDevice, signal);
    // IPv6 may take less than the interface does, by a router's advertisement or a setting: it acts as an MTU of the route.
    const ofIpv6 = peerUnderlay.includes(':') ? await ipv6MtuOf(route.device, signal) : null;
    return {
      interface: link.name,
      interfaceMtuBytes: link.mtuBytes,
      interfaceMtuBytesMax: link.mtuBytesMax,
      routeMtuBytes: route.mtuBytes ?? (ofIpv6 !== null && ofIpv6 < link.mtuBytes ? ofIpv6 : null),
      tunnelMtuBytes: tunnel?.mtuBytes ?? null,
    };
  }

  tune(tuning: PeerTuning, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      checkTuning(tuning);
      const before = await this.#journal.load();
      const tunings = [...before.tunings.filter((other) => other.peerHostId !== tuning.peerHostId), tuning];
      const noted = await this.#note({ tunings, interfaces: before.interfaces }, tuning, signal);
      await this.#checkRoute(tuning, noted, signal);
      await this.#journal.save(noted);
      try {
        await this.#apply(noted, signal);
        await this.#checkEffect(tuning, noted, signal);
      } catch (error) {
        await this.#settle({ tunings: before.tunings, interfaces: noted.interfaces }, AbortSignal.timeout(undoMsMax));
        throw error;
      }
      await this.#journal.save(pruned(noted));
    });
  }

  restore(peerHostId: HostId | null, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const before = await this.#journal.load();
      const tunings = peerHostId === null ? [] : before.tunings.filter((tuning) => tuning.peerHostId !== peerHostId);
      await this.#settle({ tunings, interfaces: before.interfaces }, signal);
    });
  }

  tuned(_signal: AbortSignal): Promise<readonly PeerTuning[]> {
    return this.#inTurn(async () => (await this.#journal.load()).tunings);
  }

  /** Makes the host as the state says, and only then forgets what is not needed any more to undo it. */
  async #settle(state: TuningState, signal: AbortSignal): Promise<void> {
    await this.#apply(state, signal);
    await this.#journal.save(pruned(state));
  }

  /** The state with everything in it that is needed to undo this tuning. */
  async #note(state: TuningState, tuning: PeerTuning, signal: AbortSignal): Promise<TuningState> {
    if (tuning.interfaceMtuBytes === null) return state;
    const present = state.interfaces.find((entry) => entry.name === tuning.interface);
    const entry = await noteRaise(this.#ip, present, tuning.interface, tuning.interfaceMtuBytes, signal);
    const others = state.interfaces.filter((other) => other.name !== tuning.interface);
    return { ...state, interfaces: entry === null ? others : [...others, entry] };
  }

  /**
   * The order leaves no moment in which other traffic gets larger, or a peer's packets larger than the interface: copies of routes, then
   * the interface, then the routes to peers; and the other way round.
   */
  async #apply(state: TuningState, signal: AbortSignal): Promise<void> {
    const hosts = (await Promise.all(state.tunings.map((tuning) => this.#hostRoutes(tuning, state, signal)))).flat();
    const targets = state.interfaces.map((entry) => ({ entry, mtuBytes: targetOf(entry, state.tunings) }));
    const keepers: RouteWords[] = [];
    for (const { entry, mtuBytes } of targets) {
      if (mtuBytes > entry.mtuBytes) keepers.push(...(await this.#keepersFor(entry, signal)));
    }
    await this.#routes.removeAllBut('host', hosts, signal);
    await this.#routes.addMissing('keeper', keepers, signal);
    for (const { entry, mtuBytes } of targets) await setInterfaceMtu({ ip: this.#ip, routes: this.#routes }, entry, mtuBytes, signal);
    await this.#routes.removeAllBut('keeper', keepers, signal);
    await this.#routes.addMissing('host', hosts, signal);
    await this.#clamp(state.tunings, signal);
  }

  async #keepersFor(entry: RaisedInterface, signal: AbortSignal): Promise<readonly RouteWords[]> {
    const keepers = await this.#routes.keepersFor(entry.name, entry.mtuBytes, signal);
    if (keepers !== null) return keepers;
    const sentence = `Interface ${entry.name} is not raised: its other routes cannot be kept at their size: several next hops, a default route with a scope, or too many.`;
    throw new PlimsollError('channel-failed', sentence);
  }

  /** The routes that this tuning asks for. A peer that cannot be reached at all has none. */
  async #hostRoutes(tuning: PeerTuning, state: TuningState, signal: AbortSignal): Promise<readonly RouteWords[]> {
    const mtuBytes = routeMtuOf(tuning, state);
    if (mtuBytes === null) return [];
    const outer = await this.#hostRoute(tuning, tuning.peerUnderlay, mtuBytes, signal);
    const withInner = tuning.peerChannelAddress !== tuning.peerUnderlay && isRaised(tuning, state);
    const inner = withInner ? await this.#hostRoute(tuning, tuning.peerChannelAddress, mtuBytes, signal) : null;
    return [outer, inner].flatMap((route) => route ?? []);
  }

  /** Null when packets to the address leave by another interface (a TUN device, such as userspace ESP's), or not at all. */
  async #hostRoute(tuning: PeerTuning, address: string, mtuBytes: number, signal: AbortSignal): Promise<RouteWords | null> {
    try {
      const route = await this.#ip.routeTo(address, null, signal);
      if (route.device !== tuning.interface) return null;
      // In the table that the kernel finds it in: strongSwan, for one, has a table of its own before the main one.
      const { table } = await this.#ip.matchOf(address, signal);
      return hostRoute({ ...route, table, mtuBytes });
    } catch (error) {
      if (signal.aborted || !(error instanceof PlimsollError)) throw error;
      return null;
    }
  }

  async #checkRoute(tuning: PeerTuning, noted: TuningState, signal: AbortSignal): Promise<void> {
    if (tuning.routeMtuBytes === null && tuning.interfaceMtuBytes === null) return;
    const { device } = await this.#ip.routeTo(tuning.peerUnderlay, null, signal);
    if (device !== tuning.interface) {
      const sentence = `Packets to ${tuning.peerUnderlay} leave by ${device}, not by ${tuning.interface}; correct the host's interface or its routes.`;
      throw new PlimsollError('channel-failed', sentence);
    }
    const entry = noted.interfaces.find((other) => other.name === device);
    const bytesMax = entry === undefined ? ((await this.#ip.link(device, signal))?.mtuBytes ?? 0) : targetOf(entry, noted.tunings);
    if (tuning.routeMtuBytes === null || tuning.routeMtuBytes <= bytesMax) return;
    const sentence = `A route MTU of ${tuning.routeMtuBytes} is more than the ${bytesMax} that ${device} takes; raise the interface too.`;
    throw new PlimsollError('channel-failed', sentence);
  }

  async #checkEffect(tuning: PeerTuning, state: TuningState, signal: AbortSignal): Promise<void> {
    const wanted = routeMtuOf(tuning, state);
    if (wanted === null) return;
    const { mtuBytes } = await this.#ip.matchOf(tuning.peerUnderlay, signal);
    if (mtuBytes === wanted) return;
    const sentence = `The route to ${tuning.peerUnderlay} has an MTU of ${mtuBytes ?? 'none'} instead of ${wanted}; find the program that changes routes.`;
    throw new PlimsollError('channel-failed', sentence);
  }

  async #clamp(tunings: readonly PeerTuning[], signal: AbortSignal): Promise<void> {
    const argv: readonly [string, ...string[]] = [...this.#nftCommand, '-f', '-'];
    const outcome = await runCommand(argv, { input: tuneRuleset(tunings), timeoutMs: this.#timeoutMs, signal });
    if (outcome.exitCode === 0) return;
    const detail = outcome.problem ?? outcome.stderr.trim().slice(0, 500);
    throw new PlimsollError('channel-failed', `The MSS clamp needs nft and root: \`${argv.join(' ')}\` failed: ${detail}`, {
      cause: outcome,
    });
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** The largest MTU that a tuning asks for, never less than what was there. */
function targetOf(entry: RaisedInterface, tunings: readonly PeerTuning[]): number {
  const asked = tunings.flatMap((tuning) => (tuning.interface === entry.name ? [tuning.interfaceMtuBytes ?? 0] : []));
  return Math.max(entry.mtuBytes, ...asked);
}

function isRaised(tuning: PeerTuning, state: TuningState): boolean {
  return state.interfaces.some((entry) => entry.name === tuning.interface && targetOf(entry, state.tunings) > entry.mtuBytes);
}

/** On an interface that is raised, the other routes keep the old MTU: a peer that is to have more needs a route of its own. */
function routeMtuOf(tuning: PeerTuning, state: TuningState): number | null {
  return tuning.routeMtuBytes ?? (isRaised(tuning, state) ? tuning.interfaceMtuBytes : null);
}

function pruned(state: TuningState): TuningState {
  return { ...state, interfaces: state.interfaces.filter((entry) => targetOf(entry, state.tunings) > entry.mtuBytes) };
}
