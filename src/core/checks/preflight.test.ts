import { describe, expect, it } from 'vitest';
import { checkNames } from '#core/model/definition.ts';
import { bytes } from '#core/model/units.ts';
import { defined, fault, fine, gibibyte, image, iscsi, offered, viewed, volume } from './preflight-examples.ts';
import { processOverheadBytes } from './preflight-resources.ts';
import { preflightTable } from './preflight-table.ts';
import { firstRefusal, judgePreflight, rowSummary } from './preflight.ts';

describe('what keeps a VM from going to a host', () => {
  it('is nothing when all is well', () => {
    const row = judgePreflight(fine);
    expect(row.findings.map(({ verdict }) => verdict)).toEqual(checkNames.map(() => 'pass'));
    expect([row.possible, firstRefusal(row), rowSummary(row)]).toEqual([true, null, 'h2 is possible']);
  });

  it.each(preflightTable)('%s: %s %s: %s', (check, verdict, code, words, more) => {
    const row = judgePreflight({ ...fine, ...more });
    const finding = row.findings.find((candidate) => candidate.check === check);
    expect(finding).toMatchObject({ check, verdict, code });
    expect(finding?.sentence).toContain(words);
    expect(row.possible).toBe(row.findings.every((candidate) => candidate.verdict !== 'refuse'));
  });

  it('has an example of every check, passing and not', () => {
    const seen = (isPass: boolean) =>
      new Set(preflightTable.filter(([, verdict]) => (verdict === 'pass') === isPass).map(([check]) => check));
    expect([seen(true), seen(false)]).toEqual([new Set(checkNames), new Set(checkNames)]);
  });

  it('is told of every disk and interface, the worst first', () => {
    const disks = [volume, { ...iscsi, target: 'vdc' }, iscsi];
    const row = judgePreflight({
      ...fine,
      ...defined({ disks }),
      ...offered({
        disks: [
          { target: 'vdc', reachable: false, why: null },
          { target: 'vdb', reachable: true, why: null },
        ],
      }),
    });
    const sentence = row.findings.find(({ check }) => check === 'disks')?.sentence ?? '';
    expect(sentence.split('; ')).toEqual([expect.stringContaining('vdc'), expect.stringContaining('vdb')]);
  });

  it('stays short when a hundred disks have the same fault', () => {
    const disks = Array.from({ length: 100 }, (_, index) => ({ ...image, target: `vd${index}` }));
    const row = judgePreflight({
      ...fine,
      ...defined({ disks }),
      ...offered({ disks: disks.map(({ target }) => ({ target, reachable: false, why: null })) }),
    });
    const sentence = row.findings.find(({ check }) => check === 'disks')?.sentence ?? '';
    expect(sentence).toMatch(/; and 94 more of this kind$/u);
    expect(sentence.length).toBeLessThan(1500);
  });

  it('stays short when paths are as long as paths can be, and many devices are bound', () => {
    const path = `/${'x'.repeat(4094)}`;
    const disks = Array.from({ length: 100 }, (_, index) => ({ ...image, target: `vd${index}`, source: path }));
    const hostOnly = Array.from({ length: 100 }, (_, index) => `PCI device ${index}`);
    const row = judgePreflight({ ...fine, ...defined({ disks, leases: [], hostOnly }), ...offered({ leasesMissing: [path, path] }) });
    for (const { sentence } of row.findings) expect(sentence.length).toBeLessThan(4096);
    expect(row.findings.find(({ check }) => check === 'devices')?.sentence).toContain('PCI device 5 and 94 more: detach');
  });

  it('is judged as far as possible for a host that is down', () => {
    const row = judgePreflight({ ...fine, host: fault('host-down'), offer: null, ...defined({ hostOnly: ['USB device 046d:c52b'] }) });
    const verdicts = Object.fromEntries(row.findings.map(({ check, verdict }) => [check, verdict]));
    expect(verdicts).toMatchObject({
      host: 'refuse',
      devices: 'refuse',
      cpu: 'unknown',
      memory: 'unknown',
      disks: 'unknown',
      rules: 'pass',
    });
  });

  it('is not refused for what could not be looked at', () => {
    const row = judgePreflight({ ...fine, definition: null, offer: null, sourceVersions: null });
    expect(row.possible).toBe(true);
    expect(rowSummary(row)).toBe('h2 is possible, with 9 unknown (versions, cpu, machine, memory, devices, networks, disks, locks, copy)');
  });

  it('does not name the host a second time, and finds it only as a whole word', () => {
    const sentenceOf = (message: string) => judgePreflight({ ...fine, clock: { code: 'clock-skew', message } }).findings[2]?.sentence;
    expect(sentenceOf('the clock of h2 is 9 s ahead: set it')).toBe('the clock of h2 is 9 s ahead: set it');
    expect(sentenceOf('set the clock of h2.')).toBe('set the clock of h2');
    expect(sentenceOf('the clock of h21 is ahead')).toBe('h2: the clock of h21 is ahead');
  });
});

describe('one line for a host', () => {
  it('says the first refusal and names the further ones', () => {
    const row = judgePreflight({ ...fine, ...viewed({ state: 'shut-off' }), ...offered({ networks: [], memoryFreeBytes: bytes(0) }) });
    expect(firstRefusal(row)?.code).toBe('vm-not-running');
    expect(rowSummary(row)).toBe(
      'h2 is not possible: web is shut off on h1, and only a running VM can move live: start it first; 2 further refusals (memory, networks)',
    );
  });

  it('names warnings and what is not known', () => {
    const row = judgePreflight({ ...fine, ...defined({ leases: [] }), channel: 'not-looked-at' });
    expect(rowSummary(row)).toBe('h2 is possible, with 1 warning (locks) and 1 unknown (channel)');
  });
});

describe('memory of the VM process', () => {
  it('is page tables, virtual CPUs and a fixed part', () => {
    expect(processOverheadBytes({ memoryBytes: bytes(4 * gibibyte), vcpus: 2 })).toBe((8 + 16 + 128) * 2 ** 20);
  });
});
