import { exampleSnapshot } from '#core/planner/examples.ts';
import { snapshotFileOf } from '#wire/snapshot-file.ts';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { runCli } from './run-cli.ts';

// Each command loads the controller, the agent and the simulator; a busy machine may take its time over that.
vi.setConfig({ testTimeout: 180_000 });

const cluster = `seed: 7
runForSeconds: 30
mode: observe
hosts:
  host1: { cpuCores: 4, memoryGiB: 8 }
vms:
  web: { host: host1, vcpus: 2, memoryGiB: 1, demandCores: 1 }
`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-sim-'));
  writeFileSync(join(folder, 'cluster.yaml'), cluster);
  writeFileSync(join(folder, 'events.yaml'), '- { at: 10, do: demand, vm: web, cores: 2 }\n');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('sim run prints the log, which is then the expected one', async () => {
  const played = await runCli(['sim', 'run', folder]);
  expect(played).toMatchObject({ code: 0, err: '' });
  expect(played.out).toContain('web now asks for 2 cores');

  writeFileSync(join(folder, 'expected.log'), played.out);
  expect(await runCli(['sim', 'run', folder, '--expect'])).toEqual({ code: 0, out: 'The log is that of expected.log.\n', err: '' });
});

test('sim run ends with 1 when the log is another one, and says where', async () => {
  writeFileSync(join(folder, 'expected.log'), 'something else\n');
  const compared = await runCli(['sim', 'run', folder, '--expect']);
  expect(compared.code).toBe(1);
  expect(compared.out).toMatch(/^The log differs from expected.log from line 1 on:\n- 1 {2}something else\n\+ 1 {2}.*start.*\n$/);
  const told = await runCli(['sim', 'run', folder]);
  expect(told.code).toBe(1);
  expect(told.out).toContain('web now asks for 2 cores');
  expect(told.err).toBe(compared.out);
});

test('sim run with -o json tells what became of it', async () => {
  const { code, out } = await runCli(['sim', 'run', folder, '--seed', '8', '-o', 'json']);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ seed: 8, virtualSeconds: 30, breaches: [], expected: null });
});

test('Ctrl-C ends sim run with 130', async () => {
  writeFileSync(join(folder, 'cluster.yaml'), cluster.replace('30', '10000000'));
  const events = join(folder, 'events.yaml');
  rmSync(events);
  execFileSync('mkfifo', [events]);
  let interrupt = (): void => undefined;
  const run = runCli(['sim', 'run', folder], { onStart: (signal) => (interrupt = () => signal('SIGINT')) });
  // Written as soon as the command reads it; by then it listens to signals.
  await writeFile(events, '[]\n');
  interrupt();
  const { code, out, err } = await run;
  expect({ code, out }).toEqual({ code: 130, out: '' });
  expect(err).toMatch(/^plimsoll: interrupted: stopped after \d+ of 10000000 virtual seconds/);
});

test('sim snapshot plays a saved cluster, says what it assumes, and goes on in the mode of the file unless it is told another', async () => {
  const hosts = [
    {
      id: 'host-a',
      vms: [
        { id: '00000000-0000-4000-8000-000000000001', cores: 3.6 },
        { id: '00000000-0000-4000-8000-000000000002', cores: 3.6 },
      ],
    },
  ];
  const snapshot = exampleSnapshot([...hosts, { id: 'host-b' }]);
  const path = join(folder, 'monday.json');
  writeFileSync(path, JSON.stringify(snapshotFileOf(snapshot, 'observe')));
  const observed = await runCli(['sim', 'snapshot', path, '--for', '2m', '-o', 'json']);
  expect(observed.code).toBe(0);
  expect(JSON.parse(observed.out)).toMatchObject({ seed: 1, virtualSeconds: 120, breaches: [] });
  expect(observed.out).not.toContain('asked by planner');

  const moved = await runCli(['sim', 'snapshot', path, '--for', '2m', '--mode', 'automatic']);
  expect(moved.code).toBe(0);
  expect(moved.out).toContain('asked by planner');
  expect(moved.err).toMatch(/^assumed: every VM goes on asking/);
});
