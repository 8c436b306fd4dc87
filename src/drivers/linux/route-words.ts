/**
 * Routes as the words that `ip route` prints and takes. Words, not a structure: a copy of a route must keep everything that the kernel
 * has for it (window, congestion control, ...), also what this program has never heard of.
 */

export type RouteFamily = 4 | 6;

export interface RouteWords {
  readonly family: RouteFamily;
  /** From the destination on; without the protocol, and without what only the kernel says about a route. */
  readonly words: readonly string[];
}

/** Routes of these types send nothing through a device to others. */
const otherTypes: readonly string[] = ['local', 'anycast', 'unreachable', 'blackhole', 'prohibit', 'throw', 'nat'];

/** The kernel's remarks: one word, or a word and its value. */
const remarks: readonly string[] = ['linkdown', 'dead', 'offload', 'trap', 'rt_offload', 'rt_trap', 'offload_failed', 'unresolved'];
const remarksWithValue: readonly string[] = ['proto', 'nhid', 'expires', 'pref'];

interface Line {
  readonly words: readonly string[];
  readonly protocol: string | null;
}

/** Lines of `ip -o route show`. */
function linesOf(text: string): readonly Line[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const all = line.split(/[\s\\]+/).filter((word) => word !== '');
    const words = all.filter(
      (word, index) => !remarks.includes(word) && !remarksWithValue.includes(word) && !remarksWithValue.includes(all[index - 1] ?? ''),
    );
    return { words, protocol: valueOf(all, 'proto') };
  });
}

function valueOf(words: readonly string[], name: string): string | null {
  const index = words.indexOf(name);
  return index === -1 ? null : (words[index + 1] ?? null);
}

function goesThrough(words: readonly string[], device: string): boolean {
  return words.some((word, index) => word === 'dev' && words[index + 1] === device);
}

/** The routes in a listing that was asked for with a protocol. */
export function routesIn(text: string, family: RouteFamily): readonly RouteWords[] {
  return linesOf(text).map(({ words }) => ({ family, words }));
}

/** The same route has the same key, in whatever order its properties are printed. */
export function routeKey(route: RouteWords): string {
  return `${route.family} ${route.words.toSorted().join(' ')}`;
}

/**
 * Copies of all IPv4 routes through a device, but with this MTU, last one first: each is put before what is there already. Routes that have
 * an MTU of their own need none. `ownProtocols`: routes to leave out. Null when a route cannot be copied so that the copy wins: it spreads
 * over several next hops (its other ways would be changed too), or is a default route of a scope of its own.
 */
export function keeperRoutes(
  text: string,
  device: string,
  mtuBytes: number,
  ownProtocols: readonly string[],
): readonly RouteWords[] | null {
  const lines = linesOf(text).filter(({ words, protocol }) => goesThrough(words, device) && !ownProtocols.includes(protocol ?? ''));
  const relevant = lines.filter(({ words }) => !otherTypes.includes(words[0] ?? '') && !words.includes('mtu'));
  if (relevant.some(({ words }) => words.includes('nexthop') || (isDefault(words) && words.includes('scope')))) return null;
  return relevant.toReversed().map(({ words }) => ({ family: 4, words: [...words, ...aside(words), 'mtu', String(mtuBytes)] }));
}

function isDefault(words: readonly string[]): boolean {
  return words[0] === 'default' && words.includes('via');
}

/**
 * Between default routes of one metric the kernel does not take the first but one whose gateway it believes alive, and while it is not
 * sure (a stale neighbour) it takes turns (fib_select_default in net/ipv4/fib_semantics.c). It only looks at routes of the same scope.
 */
function aside(words: readonly string[]): readonly string[] {
  return isDefault(words) ? ['scope', 'site'] : [];
}

/** MTUs that IPv6 routes through a device have of their own and that follow the device's (ip-route(8): a locked one does not). */
export function ownMtus(text: string, device: string): readonly number[] {
  const values = linesOf(text).flatMap(({ words }) => (goesThrough(words, device) ? [valueOf(words, 'mtu')] : []));
  return values.flatMap((value) => (value !== null && /^\d+$/.test(value) ? [Number(value)] : []));
}

/** A route to one address. `words`: next hop, device and source. */
export function hostRoute(options: {
  readonly address: string;
  readonly table: string;
  readonly gatewayWords: readonly string[];
  readonly device: string;
  readonly source: string | null;
  readonly onLink: boolean;
  readonly mtuBytes: number;
}): RouteWords {
  const family = options.address.includes(':') ? 6 : 4;
  const words = [
    options.address,
    ...options.gatewayWords,
    'dev',
    options.device,
    ...(options.table === 'main' ? [] : ['table', options.table]),
    ...(family === 4 && options.gatewayWords.length === 0 ? ['scope', 'link'] : []),
    ...(options.source === null ? [] : ['src', options.source]),
    // IPv6 takes no second route of the same metric over the same next hop, and 0 stands for 1024.
    ...(family === 6 ? ['metric', '1'] : []),
    // IPv4: no lock, the kernel would send without DF (net/ipv4, ip_dont_fragment). IPv6: locked, or a router's advertisement of an MTU
    // and a change of the device's would overwrite it; what ICMP says still counts (net/ipv6, rt6_mtu_change_route).
    ...(family === 6 ? ['mtu', 'lock'] : ['mtu']),
    String(options.mtuBytes),
    ...(options.onLink ? ['onlink'] : []),
  ];
  return { family, words };
}
