import { describe, expect, it } from 'vitest';
import { flowsIn } from './guard-sets.ts';

/** As nft 1.0.6 prints `-j list set`. */
const listing = (elements: string): string =>
  `{"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}, {"set": {"family": "inet", "name": "x", "table": "plimsoll", "type": "ipv4_addr", "handle": 3, "flags": ["timeout"]${elements === '' ? '' : `, "elem": [${elements}]`}}}]}`;

describe('the connections that the guard remembers', () => {
  const flow = (...parts: readonly (string | number)[]) =>
    `{"elem": {"val": {"concat": ${JSON.stringify(parts)}}, "timeout": 604800, "expires": 604000}}`;

  it('are written as nft takes them', () => {
    const text = listing([flow('10.0.0.1', 49_152, '10.0.0.2', 40_000), flow('10.0.0.1', 49_153, '10.0.0.2', 40_001)].join(','));
    expect(flowsIn(text, 4)).toEqual(['10.0.0.1 . 49152 . 10.0.0.2 . 40000', '10.0.0.1 . 49153 . 10.0.0.2 . 40001']);
  });

  it('leave out what is of another family or form, so that a repair cannot fail on it', () => {
    const text = listing([flow('10.0.0.1', 1, '2001:db8::2', 2), flow('10.0.0.1', 'ssh', '10.0.0.2', 2), '"10.0.0.1"'].join(','));
    expect(flowsIn(text, 4)).toEqual([]);
  });

  it('are not guessed from another form', () => {
    for (const text of ['', '{}', '{"nftables": [{"set": {"name": 1}}]}'])
      expect(() => flowsIn(text, 4)).toThrow(expect.objectContaining({ code: 'guard-missing' }));
  });
});
