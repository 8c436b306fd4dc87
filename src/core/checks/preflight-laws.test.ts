import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkNames } from '#core/model/definition.ts';
import { bytes } from '#core/model/units.ts';
import { fine, image, iscsi, medium, volume } from './preflight-examples.ts';
import { preflightTable } from './preflight-table.ts';
import { firstRefusal, judgePreflight, rowSummary, type PreflightInput } from './preflight.ts';

describe('every row of the matrix', () => {
  const anyDisk = fc.constantFrom(
    iscsi,
    image,
    volume,
    medium,
    { ...medium, source: null },
    { ...image, cache: 'unsafe' },
    { ...image, cache: null },
  );
  const anyInput = fc.array(fc.nat(preflightTable.length - 1), { maxLength: 12 }).chain((picks) =>
    fc.record({ disks: fc.array(anyDisk, { maxLength: 4 }), incoming: fc.nat(2 ** 40) }).map(({ disks, incoming }): PreflightInput => {
      const mixed = picks.reduce<PreflightInput>((input, pick) => ({ ...input, ...preflightTable[pick]?.[4] }), fine);
      const own = mixed.definition === null ? null : { ...mixed.definition, disks: [...mixed.definition.disks, ...disks] };
      return { ...mixed, definition: own, incomingBytes: bytes(incoming) };
    }),
  );

  it('has each check once, in order, and is possible exactly when nothing refuses', () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const row = judgePreflight(input);
        expect(row.findings.map(({ check }) => check)).toEqual([...checkNames]);
        expect(row.possible).toBe(!row.findings.some(({ verdict }) => verdict === 'refuse'));
        expect(firstRefusal(row) === null).toBe(row.possible);
        expect(judgePreflight(input)).toEqual(row);
      }),
    );
  });

  it('has a code exactly where it refuses, and sentences that are whole and name a host', () => {
    fc.assert(
      fc.property(anyInput, (input) => {
        const row = judgePreflight(input);
        for (const { code, verdict, sentence } of row.findings) {
          expect(code !== null).toBe(verdict === 'refuse');
          expect(sentence).toMatch(/\b(?:h1|h2)\b/u);
          expect(sentence).toMatch(/[^\s.;:,]$/u);
          expect(sentence).not.toMatch(/null|undefined|NaN| {2}/u);
        }
        expect(rowSummary(row)).toMatch(new RegExp(`^${input.hostId} is (?:not )?possible`, 'u'));
      }),
    );
  });
});
