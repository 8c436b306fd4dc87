import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allocations, type HbalCluster, roles, statuses, templates } from './hbal-cluster.ts';
import { exampleData, exampleUtil } from './hbal-examples.ts';
import { readHbalCluster, readHbalUtilisation } from './hbal-reader.ts';
import { writeHbalCluster, writeHbalUtilisation } from './hbal-writer.ts';

/** A busy machine may take its time over a property. */
const wallMsMax = 60_000;

function read(text: string): HbalCluster {
  const reading = readHbalCluster(text);
  if (!reading.ok) throw new Error(JSON.stringify(reading.faults));
  return reading.cluster;
}

/** The faults of the example with one piece of it replaced, as `line:column reason`. */
function faultsWith(piece: string, other: string): readonly string[] {
  expect(exampleData).toContain(piece);
  const reading = readHbalCluster(exampleData.replace(piece, other));
  return reading.ok ? [] : reading.faults.map(({ line, column, reason }) => `${line}:${column} ${reason}`);
}

describe('the text of hbal', () => {
  test('is read column by column', () => {
    const { groups, nodes, instances, tags, policies } = read(exampleData);
    expect(groups).toEqual([{ name: 'g', uuid: 'u-1', allocation: 'preferred', tags: [], networks: [] }]);
    expect(nodes[1]).toEqual({
      name: 'h2',
      memoryMib: 65_536,
      ownMemoryMib: 4096,
      freeMemoryMib: 45_056,
      diskMib: 1_048_576,
      freeDiskMib: 1_048_576,
      cpus: 16,
      role: 'N',
      groupUuid: 'u-1',
      spindles: 1,
      tags: ['rack:a', 'rack:b'],
      exclusiveStorage: false,
      freeSpindles: 0,
      ownCpus: 1,
      cpuSpeed: 0.85,
    });
    expect(instances[2]).toMatchObject({ name: 'db', primary: 'h2', secondary: 'h1', autoBalance: false, spindles: '-' });
    expect(tags).toEqual(['htools:iextags:tier']);
    expect(policies?.[1]).toMatchObject({ owner: 'g', vcpuRatio: 4, spindleRatio: 0.01, bounds: [{ length: 6 }, { length: 6 }] });
  });

  test('is written as it was read', () => {
    expect(writeHbalCluster(read(exampleData))).toBe(exampleData);
  });

  test('is written as it was read when it is of an older hbal, with fewer columns and without policies', () => {
    const old =
      'g|u-1|preferred|\n\nh1|1024|0|896|95367|94343|4|N|u-1\nh2|1024|0|1024|95367|95367|4|Y|u-1|1|\n\nnew-0|128|1024|1|running|Y|h1|h2|drbd|\n\n';
    expect(writeHbalCluster(read(old))).toBe(old);
  });

  test('a node that tells nothing is offline and has nothing, as hbal takes it', () => {
    const [node] = read(exampleData.replace('h1|65536|4096|20480', 'h1|?|?|?')).nodes;
    expect(node).toMatchObject({ role: 'Y', memoryMib: 0, ownMemoryMib: 0, freeMemoryMib: 0, cpus: 0 });
  });

  test('an empty cluster is text too', () => {
    const empty: HbalCluster = { groups: [], nodes: [], instances: [], tags: [], policies: [] };
    expect(read(writeHbalCluster(empty))).toEqual(empty);
    expect(read(writeHbalCluster({ ...empty, policies: null }))).toEqual({ ...empty, policies: null });
  });
});

describe('a fault is named with its line and column', () => {
  test.each([
    ['h1|65536|', 'h1|lots|', '3:4 number'],
    ['h1|65536|4096|', 'h1|65536|4096.5|', '3:10 number'],
    ['||ext|tier:web|1|-|N', '', '7:1 columns'],
    ['|running|Y|h1||ext|tier:web', '|walking|Y|h1||ext|tier:web', '7:18 word'],
    ['web|8192|20480|4|running|Y|h1|', 'web|8192|20480|4|running|Y|h9|', '7:28 name-unknown'],
    ['|h2|h1|drbd', '|h2|h2|drbd', '9:32 secondary-same'],
    ['h2|65536', 'h1|65536', '4:1 name-repeated'],
    ['|16|M|u-1|', '|16|M|u-2|', '3:42 name-unknown'],
    ['|16.0|1000.0', '|16.0', '14:1 columns'],
    ['|16.0|1000.0', '|x|1000.0', '14:108 number'],
    ['128,1,1024,1,1,1|1,1', '128,1,1024,1,1,one|1,1', '14:17 number'],
    ['8,12|diskless', '8,12|driftless', '14:55 word'],
    ['g|u-1|preferred||\n', 'g|u-1|preferred||\r\n', '1:18 line-end'],
    ['\n\nh1', '\nh1', '2:1 columns'],
    ['\n\nh1', '\n\n\nh1', '1:1 sections'],
  ])('%j instead of %j: %j', (piece, other, expected) => {
    expect(faultsWith(piece, other)).toContain(expected);
  });

  test('and is a sentence that says what is there and what has to be', () => {
    const reading = readHbalCluster(exampleData.replace('|running|Y|h1||ext||1|2|N', '|running|perhaps|h1||ext||1|2|N'));
    expect(reading).toEqual({
      ok: false,
      faults: [{ reason: 'word', line: 8, column: 28, message: "'perhaps': auto-balance has to be one of N, Y" }],
    });
  });

  test('several are told at once, no more than twenty', () => {
    const lines = Array.from({ length: 50 }, (_, index) => `v${index}|x|0|1|running|Y|h1||ext||1|-|N`).join('\n');
    const reading = readHbalCluster(exampleData.replace('web|', `${lines}\nweb|`));
    expect(reading.ok ? [] : reading.faults).toHaveLength(20);
  });

  test('whatever the text, reading ends with a value', { timeout: wallMsMax }, () => {
    const piece = fc.constantFrom(
      'g|u-1|preferred||',
      'h1|1|1|1|1|1|1|N|u-1',
      'v|1|1|1|running|Y|h1||ext|',
      '',
      '|',
      '\r',
      '128,1',
      ';',
      '?',
    );
    fc.assert(
      fc.property(fc.array(piece), (lines) => {
        const reading = readHbalCluster(lines.join('\n'));
        if (reading.ok) expect(read(writeHbalCluster(reading.cluster))).toEqual(reading.cluster);
        else expect(reading.faults.length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('the utilisation file', () => {
  test('is read and written', () => {
    const reading = readHbalUtilisation(exampleUtil);
    if (!reading.ok) throw new Error('not read');
    expect(reading.uses[1]).toEqual({ name: 'mail', cpu: 0.4375, memory: 0.5, disk: 0.01, network: 0.002 });
    expect(writeHbalUtilisation(reading.uses)).toBe(exampleUtil);
  });

  test('a fault has its line and column', () => {
    const reading = readHbalUtilisation('web 0.1 0.1 0 0\nmail 0.1  0.1 0\ndb 0.1 much 0 0\nx 1 1\n');
    expect(reading.ok ? [] : reading.faults.map(({ line, column, reason }) => `${line}:${column} ${reason}`)).toEqual([
      '2:10 number',
      '3:8 number',
      '4:1 columns',
    ]);
  });
});

describe('law', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/);
  const tag = fc.stringMatching(/^[a-z:_]{1,8}$/);
  const mib = fc.nat(2 ** 40);
  const ratio = fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.nat(1000)).filter((value) => !Object.is(value, -0));
  const spec = fc.array(mib, { minLength: 6, maxLength: 6 });
  const clusters = fc
    .record({ nodeNames: fc.uniqueArray(name, { minLength: 2, maxLength: 5 }), size: fc.nat(8) })
    .chain(({ nodeNames, size }) =>
      fc.record<HbalCluster>({
        groups: fc.constant([{ name: 'g', uuid: 'u', allocation: allocations[1], tags: ['a', 'b'], networks: [] }]),
        nodes: fc.tuple(
          ...nodeNames.map((node) =>
            fc.record({
              name: fc.constant(node),
              memoryMib: mib,
              ownMemoryMib: mib,
              freeMemoryMib: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
              diskMib: mib,
              freeDiskMib: mib,
              cpus: fc.nat(512),
              role: fc.constantFrom(...roles),
              groupUuid: fc.constant('u'),
              spindles: fc.nat(64),
              tags: fc.array(tag, { maxLength: 3 }),
              exclusiveStorage: fc.boolean(),
              freeSpindles: fc.integer({ min: -8, max: 64 }),
              ownCpus: fc.nat(8),
              cpuSpeed: fc.double({ min: 0.01, max: 10, noNaN: true }),
            }),
          ),
        ),
        instances: fc.array(
          fc.record({
            name,
            memoryMib: mib,
            diskMib: mib,
            vcpus: fc.nat(512),
            status: fc.constantFrom(...statuses),
            autoBalance: fc.boolean(),
            primary: fc.constant(nodeNames[0] ?? ''),
            secondary: fc.constantFrom(null, nodeNames[1] ?? null),
            template: fc.constantFrom(...templates),
            tags: fc.array(tag, { maxLength: 3 }),
            spindleUse: fc.nat(64),
            spindles: fc.oneof(fc.constant('-' as const), fc.nat(64)),
            forthcoming: fc.boolean(),
          }),
          { maxLength: size },
        ),
        tags: fc.array(tag, { maxLength: 3 }),
        policies: fc.tuple(
          fc.record({
            owner: fc.constant(''),
            standard: spec,
            bounds: fc.tuple(spec, spec),
            templates: fc.uniqueArray(fc.constantFrom(...templates)),
            vcpuRatio: ratio,
            spindleRatio: ratio,
          }),
        ),
      }),
    );

  test('a cluster that was written is read as it was, and written the same again', { timeout: wallMsMax }, () => {
    fc.assert(
      fc.property(clusters, (cluster) => {
        const text = writeHbalCluster(cluster);
        expect(read(text)).toEqual(cluster);
        expect(writeHbalCluster(read(text))).toBe(text);
      }),
      { numRuns: 60 },
    );
  });
});
