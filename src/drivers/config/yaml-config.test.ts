import { PlimsollError } from '#core/model/result.ts';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Type } from 'typebox';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadYamlConfig, parseYamlConfig } from './yaml-config.ts';

const strict = { additionalProperties: false };
const schema = Type.Object(
  {
    dataDir: Type.String({ pattern: '^/' }),
    listen: Type.Optional(Type.Object({ address: Type.String(), port: Type.Integer({ minimum: 0, maximum: 65_535 }) }, strict)),
    mode: Type.Optional(Type.Union([Type.Literal('observe'), Type.Literal('approve')])),
    tags: Type.Optional(Type.Array(Type.String())),
  },
  strict,
);

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function refusalOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof PlimsollError && error.code === 'config-invalid') return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
}

function refused(text: string): string {
  return refusalOf(() => parseYamlConfig(text, 'c.yaml', schema));
}

test('a valid file becomes a typed value', () => {
  const path = join(folder, 'c.yaml');
  writeFileSync(path, '# settings\ndataDir: /var/lib/plimsoll\nlisten: { address: 10.0.0.1, port: 7443 }\nmode: observe\n');
  expect(loadYamlConfig(path, schema)).toEqual({
    dataDir: '/var/lib/plimsoll',
    listen: { address: '10.0.0.1', port: 7443 },
    mode: 'observe',
  });
});

test('a missing file is said to be missing', () => {
  const path = join(folder, 'nowhere.yaml');
  expect(refusalOf(() => loadYamlConfig(path, schema))).toBe(
    `${path}: there is no such file: create it, or name another one with --config`,
  );
});

test('a folder and a huge file are refused', () => {
  const path = join(folder, 'huge.yaml');
  writeFileSync(path, '');
  truncateSync(path, 2 * 1024 * 1024);
  expect(refusalOf(() => loadYamlConfig(path, schema))).toContain('larger than 1048576 bytes');
  expect(refusalOf(() => loadYamlConfig(folder, schema))).toContain('cannot be read');
});

test('an unknown key is shown at the key, with the known one it resembles', () => {
  expect(refused('dataDir: /x\nlisten:\n  adress: a\n  address: a\n  port: 1\n')).toBe(
    'c.yaml:3:3: listen.adress: there is no such key: did you mean address?',
  );
  expect(refused('data_dir: /x\ndataDir: /x\n')).toBe('c.yaml:1:1: data_dir: there is no such key: did you mean dataDir?');
});

test('an unknown key that resembles none is shown with all known ones', () => {
  expect(refused('dataDir: /x\ncolour: red\n')).toBe(
    'c.yaml:2:1: colour: there is no such key: remove it, or use one of dataDir, listen, mode, tags',
  );
});

test('keys that every object inherits are unknown too', () => {
  expect(refused('dataDir: /x\n__proto__: { mode: observe }\n')).toMatch(/^c\.yaml:2:1: __proto__: there is no such key/);
  expect(refused('dataDir: /x\nconstructor: 1\n')).toMatch(/^c\.yaml:2:1: constructor: there is no such key/);
});

test('a wrong type, a wrong range, a wrong form and a wrong choice are shown at the value', () => {
  expect(refused('dataDir: 3\n')).toBe('c.yaml:1:10: dataDir: must be text, not 3');
  expect(refused('dataDir: /x\nlisten: { address: a, port: 70000 }\n')).toBe('c.yaml:2:29: listen.port: must be <= 65535, not 70000');
  expect(refused('dataDir: var\n')).toBe('c.yaml:1:10: dataDir: the text "var" has not the right form: it must match ^/');
  expect(refused('dataDir: /x\nmode: automatc\n')).toBe('c.yaml:2:7: mode: must be observe or approve, not the text "automatc"');
  expect(refused('dataDir: /x\ntags: [a, 2]\n')).toBe('c.yaml:2:11: tags.1: must be text, not 2');
  expect(refused('dataDir: /x\nlisten: [1]\n')).toBe('c.yaml:2:9: listen: must be a section, not a list');
});

test('a missing key is shown at the section that needs it', () => {
  expect(refused('dataDir: /x\nlisten:\n  port: 1\n')).toBe('c.yaml:3:3: listen: needs address: add it');
  expect(refused('mode: observe\n')).toBe('c.yaml:1:1: needs dataDir: add it');
});

test('a key that is set twice is shown at the second', () => {
  expect(refused('dataDir: /x\nmode: observe\ndataDir: /y\n')).toBe('c.yaml:3:1: this key is already set above: keep one of the two');
});

test('several faults are shown in the order of the file, one line each', () => {
  expect(refused('mode: x\ndataDir: 1\n').split('\n')).toEqual([
    'c.yaml:1:7: mode: must be observe or approve, not the text "x"',
    'c.yaml:2:10: dataDir: must be text, not 1',
  ]);
});

test('what is not YAML, empty, more than one document or indented with tabs is refused with its place', () => {
  expect(refused('dataDir: [1\n')).toMatch(/^c\.yaml:\d+:\d+: this is not YAML: /);
  expect(refused('')).toBe('c.yaml:1:1: the file is empty: write the settings into it');
  expect(refused('# only a comment\n')).toBe('c.yaml:1:1: the file is empty: write the settings into it');
  expect(refused('dataDir: /x\n---\nmode: observe\n')).toBe(
    'c.yaml:2:1: the file holds several documents: keep one and remove the line of dashes',
  );
  expect(refused('listen:\n\taddress: a\n')).toMatch(/^c\.yaml:2:\d+: the line is indented with a tab/);
  expect(refused('just text\n')).toBe('c.yaml:1:1: must be a section, not the text "just text"');
});

test('aliases that grow without bound are refused', () => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    ...'bcdefgh'.split('').map((name, index) => `${name}: &${name} [${`*${'abcdefg'[index]},`.repeat(9).slice(0, -1)}]`),
  ];
  expect(refused(bomb.join('\n'))).toBe('c.yaml: the aliases in the file cannot be resolved: write the values out');
});
