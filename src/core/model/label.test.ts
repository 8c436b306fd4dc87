import { describe, expect, it } from 'vitest';
import { labelFault, matchesLabel, selectorFault } from './label.ts';

const labels = { tier: 'web', 'example.org/team': 'Shop-1' };

describe('a selector of labels', () => {
  it('means VMs by key and value, or by the key alone', () => {
    expect(matchesLabel('label:tier=web', labels)).toBe(true);
    expect(matchesLabel('label:tier', labels)).toBe(true);
    expect(matchesLabel('label:example.org/team=Shop-1', labels)).toBe(true);
    expect(matchesLabel('label:tier=db', labels)).toBe(false);
    expect(matchesLabel('label:tier=we', labels)).toBe(false);
    expect(matchesLabel('label:team', labels)).toBe(false);
    expect(matchesLabel('tier=web', labels)).toBe(false);
    expect(matchesLabel('label:tier', undefined)).toBe(false);
  });

  it('finds nothing in what every object has', () => {
    for (const key of ['constructor', 'toString', '__proto__']) expect(matchesLabel(`label:${key}`, {})).toBe(false);
  });

  it.each(['label:', 'label:=web', 'label:Tier=web', 'label:tier=', 'label:tier=web*', 'label:tier=a=b', 'label:tier-', 'label:a b'])(
    '%s is refused with what to write',
    (selector) => {
      expect(selectorFault(selector)).toContain('label:key=value, such as label:tier=web');
    },
  );

  it.each(['label:tier', 'label:tier=web', 'web-*', 'web', 'labels'])('%s is well', (selector) => {
    expect(selectorFault(selector)).toBeNull();
  });

  it('has a length that is bounded', () => {
    expect(labelFault('k'.repeat(63), 'v'.repeat(63))).toBeNull();
    expect(labelFault('k'.repeat(64), null)).toContain('key has up to 63');
    expect(labelFault('k', 'v'.repeat(64))).toContain('value has up to 63');
  });
});
