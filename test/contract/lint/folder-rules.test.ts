/** The folder rules of docs/architecture.md are lint rules: each one is broken in a scratch copy, and the linter must complain. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'plimsoll-lint-'));

/** Lints one file that holds nothing but these lines; returns the linter's words, empty when it is content. */
function complaints(file: string, ...lines: readonly string[]): string {
  const path = join(scratch, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${lines.join('\n')}\n`);
  const { status, stdout } = spawnSync(join(checkout, 'node_modules/.bin/oxlint'), ['--deny-warnings', file], {
    cwd: scratch,
    encoding: 'utf8',
  });
  rmSync(path);
  return status === 0 ? '' : stdout;
}

const importing = (from: string) => [`import { thing } from '${from}';`, 'export const used = thing;'];

describe('the folder rules', () => {
  beforeAll(() => cpSync(join(checkout, '.oxlintrc.json'), join(scratch, '.oxlintrc.json')));
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const forbidden: readonly (readonly [file: string, from: string])[] = [
    ['src/core/planner/x.ts', 'node:fs'],
    ['src/core/planner/x.ts', 'yaml'],
    ['src/core/planner/x.ts', '#wire/api.ts'],
    ['src/core/planner/x.ts', '#drivers/libvirt/client.ts'],
    ['src/wire/x.ts', '#drivers/libvirt/client.ts'],
    ['src/wire/x.ts', 'node:fs'],
    ['src/drivers/libvirt/x.ts', '#drivers/strongswan/client.ts'],
    ['src/drivers/libvirt/x.ts', '#controller/controller.ts'],
    ['src/drivers/transports/x.ts', '#drivers/libvirt/client.ts'],
    ['src/agent/x.ts', '#drivers/libvirt/client.ts'],
    ['src/agent/x.ts', '#controller/controller.ts'],
    ['src/agent/x.ts', 'node:fs'],
    ['src/agent/main.ts', '#controller/controller.ts'],
    ['src/controller/x.ts', '#drivers/store/sqlite-store.ts'],
    ['src/controller/x.ts', '#agent/agent.ts'],
    ['src/cli/x.ts', '#core/model/result.ts'],
    ['src/cli/x.ts', '#controller/controller.ts'],
    ['src/cli/x.ts', '#sim/cluster.ts'],
    ['src/cli/processes.ts', '#sim/cluster.ts'],
    ['src/cli/simulations.ts', '#controller/controller.ts'],
    ['src/cli/simulations.ts', '#drivers/libvirt/client.ts'],
    ['src/cli/snapshot-files.ts', '#sim/cluster.ts'],
    ['src/sim/surroundings.ts', 'node:fs'],
    ['src/sim/x.ts', 'node:crypto'],
    ['src/sim/x.ts', '#drivers/libvirt/client.ts'],
    ['src/sim/x.ts', 'node:timers'],
    ['src/agent/x.ts', '#lab/api.ts'],
    ['src/agent/x.ts', '#test/e2e/cluster.ts'],
    ['src/agent/x.ts', '../core/model/result.ts'],
  ];

  it.each(forbidden)('%s may not import %s', (file, from) => {
    expect(complaints(file, ...importing(from))).toContain('no-restricted-imports');
  });

  const allowed: readonly (readonly [file: string, from: string])[] = [
    ['src/core/planner/x.ts', '#core/model/result.ts'],
    ['src/core/planner/x.ts', './score.ts'],
    ['src/wire/x.ts', 'typebox'],
    ['src/drivers/libvirt/x.ts', 'node:net'],
    ['src/drivers/libvirt/x.ts', '#drivers/libvirt/client.ts'],
    ['src/agent/main.ts', '#drivers/libvirt/hypervisor.ts'],
    ['src/agent/x.ts', '#wire/agent-protocol.ts'],
    ['src/cli/x.ts', '#wire/api.ts'],
    ['src/cli/simulations.ts', '#sim/cluster.ts'],
    ['src/cli/simulations.ts', '#drivers/config/yaml-config.ts'],
    ['src/cli/snapshot-files.ts', '#core/exchange/hbal-reader.ts'],
    ['src/sim/surroundings.ts', 'node:crypto'],
    ['src/sim/x.ts', '#agent/agent.ts'],
    ['lab/x.ts', '#cli/client.ts'],
  ];

  it.each(allowed)('%s may import %s', (file, from) => {
    expect(complaints(file, ...importing(from))).toBe('');
  });

  it.each([
    ['the clock', 'export const now = Date.now();'],
    ['randomness', 'export const dice = Math.random();'],
    ['timers', "export const later = setTimeout(() => 'x', 1);"],
    ['the process', 'export const env = process.env;'],
  ])('the core may not use %s', (_what, line) => {
    expect(complaints('src/core/model/x.ts', line)).toContain('core is pure');
    expect(complaints('src/controller/api/x.ts', line)).toBe('');
  });

  it.each([
    ['any', 'export const loose = (value: any): void => console.log(value);'],
    ['non-null assertions', 'export const sure = (value: string | null): string => value!;'],
  ])('nobody may use %s', (_what, line) => {
    expect(complaints('src/agent/x.ts', line)).not.toBe('');
  });
});
