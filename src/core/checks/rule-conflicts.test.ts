import { describe, expect, it } from 'vitest';
import type { Rule } from '#core/model/rule.ts';
import { conflictsOf } from './rule-conflicts.ts';

const facts = {
  vms: ['web-1', 'web-2', 'web-3', 'db'].map((name) => ({ vmId: name, name })),
  hostIds: ['h1', 'h2'],
  labelsOf: (vmId: string) => (vmId === 'db' ? undefined : { tier: 'web' }),
};
const pin = (name: string, vms: readonly string[], ...hosts: readonly string[]): Rule => ({ kind: 'pin', name, vms, hosts });
const together: Rule = { kind: 'affinity', name: 'together', vms: ['web-1', 'db'] };
const apart: Rule = { kind: 'anti-affinity', name: 'apart', vms: ['web-*'] };

describe('rules that cannot be kept', () => {
  it.each<[string, Rule, readonly Rule[], string]>([
    ['means nobody', pin('p', ['mail'], 'h1'), [], 'p means no VM that is known now (mail)'],
    ['means no label', pin('p', ['label:tier=db'], 'h1'), [], 'p means no VM that is known now (label:tier=db)'],
    [
      'too many of a label to keep apart',
      { ...apart, vms: ['label:tier=web'] },
      [],
      'apart keeps 3 VMs apart, there are 2 hosts: it cannot be kept',
    ],
    ['a group of one', { ...together, vms: ['db'] }, [], 'together means one VM only, db: a group needs two'],
    ['too many to keep apart', apart, [], 'apart keeps 3 VMs apart, there are 2 hosts: it cannot be kept'],
    ['two pins', pin('p', ['db'], 'h1'), [pin('q', ['*'], 'h2')], 'p and q pin db to different hosts: one of them is always broken'],
    [
      'a group pinned apart',
      together,
      [pin('p', ['db'], 'h1'), pin('q', ['web-1'], 'h2')],
      'together keeps db and web-1 together, p and q pin them to different hosts: one of them is always broken',
    ],
    [
      'the pin that splits a group',
      pin('q', ['web-1'], 'h2'),
      [together, pin('p', ['db'], 'h1')],
      'together keeps web-1 and db together, q and p pin them to different hosts: one of them is always broken',
    ],
    [
      'together and apart',
      { ...together, vms: ['web-1', 'web-2'] },
      [{ ...apart, vms: ['web-1', 'web-2'] }],
      'together and apart want the opposite of web-1, web-2: one of them is always broken',
    ],
    [
      'apart on one host',
      { ...apart, vms: ['web-1', 'web-2'] },
      [pin('p', ['web-*'], 'h1')],
      'apart keeps 2 VMs apart that p pins to 1 host: one of them is always broken',
    ],
  ])('%s', (_what, rule, others, sentence) => {
    expect(conflictsOf(rule, others, facts)).toEqual([sentence]);
  });

  it('are none where all can be kept', () => {
    const others = [pin('p', ['db'], 'h1'), pin('q', ['web-1'], 'h1', 'h2'), { ...apart, vms: ['web-1', 'web-2'] }];
    expect(conflictsOf(together, others, facts)).toEqual([]);
    expect(conflictsOf(pin('p', ['db'], 'h1'), [together, ...others.slice(1)], facts)).toEqual([]);
  });
});
