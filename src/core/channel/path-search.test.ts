import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginSearch, nextProbe, pathMtuOf, probed, type SearchBounds } from './path-search.ts';

/** Searches a path whose largest packet is `hidden`; a router that answers tells its MTU by ICMP. */
function search(bounds: SearchBounds, hidden: number, icmp = false): { readonly found: number; readonly tried: readonly number[] } {
  const tried: number[] = [];
  let current = beginSearch(bounds);
  for (let size = nextProbe(current); size !== null; size = nextProbe(current)) {
    tried.push(size);
    if (tried.length > 64) throw new Error(`does not end: ${tried.join(' ')}`);
    const fits = size <= hidden;
    current = probed(current, size, fits, !fits && icmp ? hidden : null);
  }
  return { found: pathMtuOf(current), tried };
}

const ipv4 = (maxBytes: number, hintsBytes: readonly number[] = []): SearchBounds => ({ ipVersion: 4, maxBytes, hintsBytes });

describe('the search for the path MTU', () => {
  it('needs one probe where the path carries what the interfaces do', () => {
    for (const mtu of [1500, 4000, 9000, 65_535]) expect(search(ipv4(mtu), mtu)).toEqual({ found: mtu, tried: [mtu] });
  });

  it.each([
    [9000, 1500, 6],
    [9000, 4000, 6],
    [9000, 1492, 6],
    [1500, 1400, 6],
    [1500, 1480, 6],
    [4000, 1500, 6],
  ])('finds, behind interfaces of %i, a black hole above %i with at most %i probes', (interfaceMtu, hidden, probesMax) => {
    const { found, tried } = search(ipv4(interfaceMtu), hidden);
    expect(found).toBe(hidden);
    expect(tried.length).toBeLessThanOrEqual(probesMax);
  });

  it('takes the size that a router tells by ICMP at once', () => {
    expect(search(ipv4(9000), 1437, true).tried).toEqual([9000, 1437]);
  });

  it('ends with 0, and soon, where nothing comes through', () => {
    const { found, tried } = search(ipv4(9000), 0);
    expect(found).toBe(0);
    expect(tried.length).toBeLessThanOrEqual(6);
    expect(tried.at(-1)).toBe(576);
  });

  it('never goes below the least MTU of IPv6', () => {
    expect(Math.min(...search({ ipVersion: 6, maxBytes: 1500, hintsBytes: [] }, 0).tried)).toBe(1280);
  });

  it('tries a hinted size before it halves', () => {
    expect(search(ipv4(9000, [8123]), 8123).tried.length).toBeLessThan(search(ipv4(9000), 8123).tried.length);
  });

  const anyBounds = fc.record({
    ipVersion: fc.constantFrom(4 as const, 6 as const),
    maxBytes: fc.integer({ min: 576, max: 65_535 }),
    hintsBytes: fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 4 }),
  });

  it('finds any MTU, never probes outside of its bounds or a size twice, with at most 24 probes', () => {
    fc.assert(
      fc.property(anyBounds, fc.integer({ min: 0, max: 65_535 }), fc.boolean(), (bounds, hidden, icmp) => {
        const { found, tried } = search(bounds, hidden, icmp);
        const { minBytes, maxBytes } = beginSearch(bounds);
        expect(found).toBe(hidden < minBytes ? 0 : Math.min(hidden, maxBytes));
        expect(tried.every((size) => size >= minBytes && size <= maxBytes)).toBe(true);
        expect(new Set(tried).size).toBe(tried.length);
        expect(tried.length).toBeLessThanOrEqual(24);
      }),
    );
  });
});
