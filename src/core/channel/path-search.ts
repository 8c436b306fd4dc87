/**
 * Finds the largest packet that a path carries, with few probes. It executes nothing:
 *
 *   search = beginSearch(...); while ((size = nextProbe(search)) !== null) search = probed(search, size, fits, routeMtu)
 *
 *   the upper bound -> the expected sizes, halving their list -> one byte above the one that fits -> halving what is left
 *
 * A probe that does not fit is often silent (a router that sends no ICMP, or a firewall that drops it), so it costs its whole
 * time-out; a path almost always has one of the expected sizes, which is then settled by one probe above it.
 */
export interface PathSearch {
  readonly minBytes: number;
  readonly maxBytes: number;
  /** The largest that is known to fit; below `minBytes` as long as nothing is. */
  readonly fits: number;
  /** The smallest that is known not to fit; above `maxBytes` as long as nothing is. */
  readonly tooLarge: number;
  readonly expected: readonly number[];
  readonly probes: number;
}

/**
 * Ethernet with jumbo frames, half jumbo (and the MTU of some cloud and InfiniBand networks), plain Ethernet, PPPoE (RFC 2516),
 * one IP or GRE header less, VXLAN over Ethernet, common VPNs, and the least of IPv6 (RFC 8200 section 5) and IPv4 (RFC 791).
 */
const usualMtuBytes: readonly number[] = [9216, 9000, 8950, 4352, 4000, 2044, 1500, 1492, 1480, 1476, 1450, 1420, 1400, 1280, 576];

export interface SearchBounds {
  readonly ipVersion: 4 | 6;
  /** No larger packet is of use: the interface's MTU, or what policy allows. */
  readonly maxBytes: number;
  /** Sizes to try first beside the usual ones: MTUs of the interfaces, the route and the TUN device at either end. */
  readonly hintsBytes: readonly number[];
}

export function beginSearch(bounds: SearchBounds): PathSearch {
  const maxBytes = Math.floor(bounds.maxBytes);
  const minBytes = Math.min(bounds.ipVersion === 6 ? 1280 : 576, maxBytes);
  const sizes = [...usualMtuBytes, ...bounds.hintsBytes, minBytes, maxBytes].filter((size) => size >= minBytes && size <= maxBytes);
  const expected = [...new Set(sizes.map(Math.floor))].toSorted((a, b) => a - b);
  return { minBytes, maxBytes, fits: minBytes - 1, tooLarge: maxBytes + 1, expected, probes: 0 };
}

/** The size of the next probe; null when the search is over. */
export function nextProbe(search: PathSearch): number | null {
  const { fits, tooLarge, minBytes } = search;
  if (tooLarge - fits <= 1) return null;
  // At first the interfaces' MTU, which is what most paths carry, and later what a router has told: then one probe tells all.
  if (search.expected.includes(tooLarge - 1)) return tooLarge - 1;
  const open = search.expected.filter((size) => size > fits && size < tooLarge);
  const middle = open[Math.floor((open.length - 1) / 2)];
  if (middle !== undefined) return middle;
  if (fits < minBytes) return minBytes;
  return search.expected.includes(fits) ? fits + 1 : Math.floor((fits + tooLarge) / 2);
}

/**
 * Takes in how a probe went. `routeMtuBytes` is the MTU that the host's route to the peer has now, if any: a router's ICMP message
 * has lowered it then, nothing larger leaves in one piece any more, and it is the likeliest size.
 */
export function probed(search: PathSearch, sizeBytes: number, fits: boolean, routeMtuBytes: number | null): PathSearch {
  const known = fits
    ? { ...search, fits: Math.max(search.fits, sizeBytes) }
    : { ...search, tooLarge: Math.min(search.tooLarge, sizeBytes) };
  const counted = { ...known, probes: search.probes + 1 };
  if (fits || routeMtuBytes === null || routeMtuBytes >= sizeBytes || routeMtuBytes <= counted.fits) return counted;
  const expected = [...new Set([...counted.expected, routeMtuBytes])].toSorted((a, b) => a - b);
  return { ...counted, tooLarge: Math.min(counted.tooLarge, routeMtuBytes + 1), expected };
}

/** The largest packet that came through; 0 when not even the smallest did. */
export function pathMtuOf(search: PathSearch): number {
  return search.fits < search.minBytes ? 0 : search.fits;
}
