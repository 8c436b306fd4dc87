import { Metrics } from '#controller/api/metrics.ts';
import { checkNames } from '#core/model/definition.ts';
import { compressions, methods, presetNames } from '#core/model/method.ts';
import { defaultPolicy, pilotPolicyOf } from '#core/model/policy.ts';
import { MigrationSectionSchema, migrationPolicyOf } from '#wire/controller-config.ts';
import { parse } from '#wire/validate.ts';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { readExposition } from './exposition.ts';
import { createFakeService } from './fake-service.ts';

const root = join(dirname(createRequire(import.meta.url).resolve('#cli/main.ts')), '..', '..');
const page = readFileSync(join(root, 'docs', 'migrations.md'), 'utf8');
const section = (title: string) => page.split(/^## /m).find((part) => part.startsWith(`${title}\n`)) ?? '';

describe('docs/migrations.md', () => {
  test.each(checkNames)('has check %s', (name) => expect(section('Can it go there, and why not')).toContain(`\`${name}\``));

  test.each([...methods, ...presetNames])('has %s', (name) => expect(section('Move it')).toContain(`| \`${name}\``));

  test.each(Object.keys(MigrationSectionSchema.properties))('has key %s of section migration', (name) =>
    expect(section('Configuration')).toContain(`| \`${name}\` |`),
  );

  test.each(compressions.filter((name) => name !== 'none'))('has compression %s', (name) =>
    expect(section('Configuration')).toContain(name),
  );

  test('has every metric, and no other', async () => {
    const families = readExposition(await new Metrics(createFakeService(), { warn: () => undefined }).text());
    const table = section('Monitoring').split('The API is a Unix socket')[0] ?? '';
    const named = [...table.matchAll(/`(plimsoll_\w+)`/g)].map(([, name]) => name);
    expect(new Set(named)).toEqual(new Set(families.keys()));
    expect(named).toHaveLength(families.size);
  });

  test('has an example of the section that is valid', () => {
    const [, yaml = ''] = /```yaml\n([^`]+)```/.exec(section('Configuration')) ?? [];
    const example: unknown = parseYaml(yaml);
    const given = typeof example === 'object' && example !== null && 'migration' in example ? example.migration : null;
    const policy = migrationPolicyOf(parse(MigrationSectionSchema, given, 'the example'));
    expect(policy.pilot.ladder.map(({ kind }) => kind)).toEqual([
      'raise-downtime',
      'streams',
      'compress',
      'auto-converge',
      'post-copy',
      'stop-and-copy',
    ]);
  });

  test('has the defaults that hold', () => {
    const { pilot, streams, compression, predictionMarginPercent } = defaultPolicy.migration;
    const defaults = { ...pilot, streams, compression, predictionMarginPercent };
    for (const key of [
      'preset',
      'patienceMs',
      'switchOverMsMax',
      'streams',
      'compression',
      'predictionMarginPercent',
      'allowPostCopy',
    ] as const)
      expect(section('Configuration')).toMatch(new RegExp(`\\| \`${key}\` \\| \`?${String(defaults[key])}\`? \\|`));
    expect(section('Configuration')).toContain(`| ${pilot.downtimeMsBudget} (\`gentle\`: ${pilotPolicyOf('gentle').downtimeMsBudget}) |`);
    expect(section('Configuration')).toContain(`| ${pilot.stopMsMax} (\`must-move\`: ${pilotPolicyOf('must-move').stopMsMax}) |`);
  });
});
