import { describe, expect, it } from 'vitest';
import { exampleChild, exampleIke } from './examples.ts';
import type { ChildSa, IkeSa } from './sa.ts';
import { SaLedger } from './sa-ledger.ts';

const child = (number: number, changes: Partial<ChildSa> = {}): ChildSa =>
  exampleChild({ uniqueId: String(number), spiIn: `in${number}`, spiOut: `out${number}`, ...changes });

const ike = (children: readonly ChildSa[], name = 'plimsoll-host-b'): IkeSa => exampleIke(children, { name });

const listed = (ledger: SaLedger, sa: ChildSa): readonly (readonly [string, number])[] =>
  ledger.replacedBy(sa).map(({ spiIn, packetsIn }) => [spiIn, packetsIn]);

describe('the ledger of replaced SAs', () => {
  it('keeps the counters of the event, and newer ones while the old SA lingers', () => {
    const ledger = new SaLedger();
    const old = child(1, { state: 'REKEYED', packetsIn: 5 });
    ledger.rekeyed(old, child(2));
    expect(listed(ledger, child(2))).toEqual([['in1', 5]]);
    ledger.seen([ike([{ ...old, packetsIn: 7 }, child(2)])]);
    ledger.seen([ike([{ ...old, state: 'DELETED', packetsIn: 8 }, child(2)])]);
    ledger.seen([ike([child(2)])]);
    expect(listed(ledger, child(2))).toEqual([['in1', 8]]);
  });

  it('takes no smaller count of an SA that charon has half removed', () => {
    const ledger = new SaLedger();
    ledger.rekeyed(child(1, { state: 'REKEYED', packetsIn: 5 }), child(2));
    ledger.seen([ike([child(1, { state: 'DELETED', packetsIn: 0 }), child(2)])]);
    expect(listed(ledger, child(2))).toEqual([['in1', 5]]);
  });

  it('hands the whole line down, oldest first, also while two of it linger', () => {
    const ledger = new SaLedger();
    ledger.rekeyed(child(1, { packetsIn: 1 }), child(2));
    ledger.rekeyed(child(2, { packetsIn: 2 }), child(3));
    ledger.seen([ike([child(1, { state: 'DELETED', packetsIn: 10 }), child(2, { state: 'REKEYED', packetsIn: 20 }), child(3)])]);
    expect(listed(ledger, child(3))).toEqual([
      ['in1', 10],
      ['in2', 20],
    ]);
    expect(ledger.replacedBy(child(2))).toEqual([]);
  });

  it('learns from a listing what it has no event of, when only one SA can be the successor', () => {
    const ledger = new SaLedger();
    ledger.seen([ike([child(1, { state: 'REKEYED', packetsIn: 4 }), child(2)])]);
    expect(listed(ledger, child(2))).toEqual([['in1', 4]]);
    ledger.seen([ike([child(3, { state: 'REKEYED' }), child(4), child(5)])]);
    expect([ledger.replacedBy(child(4)), ledger.replacedBy(child(5))]).toEqual([[], []]);
  });

  it('does not take an SA that was deleted, of another connection or of AH around it for a replaced one', () => {
    const ledger = new SaLedger();
    ledger.seen([ike([child(1, { state: 'DELETING' }), child(2)])]);
    ledger.seen([ike([child(1, { state: 'REKEYED' })], 'site'), ike([child(2)])]);
    ledger.rekeyed(child(1, { name: 'outer.0a1b2c3d' }), child(2, { name: 'outer.0a1b2c3d' }));
    expect(ledger.replacedBy(child(2))).toEqual([]);
  });

  it('forgets with the SA, but not by a listing that began before it was there', () => {
    const ledger = new SaLedger();
    ledger.seen([ike([child(1)])]);
    ledger.rekeyed(child(1, { packetsIn: 3 }), child(2));
    ledger.seen([ike([child(1)])]);
    ledger.seen([ike([child(2)])]);
    expect(listed(ledger, child(2))).toEqual([['in1', 3]]);
    ledger.seen([]);
    ledger.seen([]);
    expect(ledger.replacedBy(child(2))).toEqual([]);
  });

  it('keeps the newest 64', () => {
    const ledger = new SaLedger();
    for (let number = 1; number <= 70; number += 1) ledger.rekeyed(child(number), child(number + 1));
    const replaced = listed(ledger, child(71));
    expect([replaced.length, replaced[0]?.[0], replaced.at(-1)?.[0]]).toEqual([64, 'in7', 'in70']);
  });

  it('says whether an old SA lingers', () => {
    expect(SaLedger.hasLingering([ike([child(1, { state: 'REKEYED' }), child(2)])])).toBe(true);
    expect(SaLedger.hasLingering([ike([child(2)]), ike([child(1, { state: 'REKEYED' })], 'site')])).toBe(false);
  });
});
