import { describe, expect, test } from 'vitest';
import { until } from '#test/support/until.ts';

import { copying } from './resources.ts';

import { measured, raised, steered, vmCheck } from './transfer-resources.ts';
import { servedCli } from './served.ts';

const served = servedCli();
const { serve, cli } = served;

test('every option of migrate reaches the controller; without any there is no wish', async () => {
  const service = await serve();
  await cli(
    'migrate db host-b --method pre-copy --preset gentle --auto-converge --streams 2 --compression zstd --bandwidth 100MiB --downtime 300ms',
  );
  await cli('migrate db host-b --no-auto-converge --bandwidth none --dry-run');
  await cli('migrate db host-b');
  expect(service.asked.map(([, body]) => body)).toEqual([
    {
      vm: 'db',
      toHostId: 'host-b',
      wish: {
        method: 'pre-copy',
        preset: 'gentle',
        autoConverge: true,
        streams: 2,
        compression: 'zstd',
        bandwidthBytesPerSecond: 100 * 1024 ** 2,
        downtimeMsMax: 300,
      },
      dryRun: false,
    },
    { vm: 'db', toHostId: 'host-b', wish: { method: 'auto', autoConverge: false, bandwidthBytesPerSecond: 0 }, dryRun: true },
    { vm: 'db', toHostId: 'host-b', dryRun: false },
  ]);
});

describe('history', () => {
  test('its filters reach the controller, dates as UTC days', async () => {
    const service = await serve();
    await cli('history --vm web1 --host host-b --outcome stayed --since 2026-11-01 --until 2026-11-30 --limit 7');
    expect(service.asked).toEqual([
      [
        'migrations',
        {
          open: false,
          vm: 'web1',
          hostId: 'host-b',
          outcome: 'stayed',
          sinceMs: Date.UTC(2026, 10, 1),
          untilMs: Date.UTC(2026, 11, 1),
          limit: 7,
        },
      ],
      ['predictionErrors'],
    ]);
  });

  test('as JSON the resources themselves, as CSV a file', async () => {
    await serve({ migrations: ({ open }) => Promise.resolve(open === true ? [] : [measured]) });
    expect(JSON.parse((await cli('history -o json')).out)).toEqual([measured]);
    const { code, out, err } = await cli('history -o csv');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^migration_id,vm_id,vm,[^\r\n]+\r\nm-1,[^\r\n]+\r\n$/);
  });

  test('a time that ends before it begins is wrong usage and asks nothing', async () => {
    const service = await serve();
    const run = await cli('history --since 1h --until 2h');
    expect(run).toMatchObject({ code: 2, out: '', err: expect.stringContaining('nothing lies between') });
    expect(service.asked).toEqual([]);
  });
});

describe('vm check', () => {
  test('exit code 0 for a host it can go to, 1 for one it cannot', async () => {
    await serve();
    expect(await cli('vm check web1 host-b')).toMatchObject({ code: 0, err: '' });
    const refused = await cli('vm check web1 host-c');
    expect(refused).toMatchObject({ code: 1, err: '' });
    expect(refused.out).toContain('no-memory');
    expect(JSON.parse((await cli('vm check web1 -o json')).out)).toEqual(vmCheck);
  });

  test('exit code 1 when it can go nowhere', async () => {
    await serve({ checkVm: () => Promise.resolve({ ...vmCheck, rows: vmCheck.rows.filter(({ possible }) => !possible) }) });
    expect(await cli('vm check web1')).toMatchObject({ code: 1, out: expect.stringContaining('cannot go anywhere now') });
  });

  test('a VM that is not there', async () => {
    await serve();
    expect(await cli('vm check nix')).toMatchObject({ code: 1, out: '', err: expect.stringContaining('vm-unknown') });
  });
});

test('a migration that is followed: plan and prediction once, each decision on a line of its own', async () => {
  const later = { ...raised, action: 'auto-converge', elapsedMs: 9000 };
  const seen = [
    copying,
    { ...steered, decisions: steered.decisions.slice(0, 1) },
    steered,
    { ...measured, decisions: [...steered.decisions, later] },
  ];
  let polls = 0;
  await serve({
    migration: () => {
      polls += 1;
      return Promise.resolve(seen[Math.min(polls, seen.length) - 1] ?? measured);
    },
  });
  const run = await cli('migrate db host-b --watch');
  expect(run.code).toBe(0);
  const lines = run.err.split('\n');
  expect(lines.filter((line) => line.includes('pre-copy ends by itself'))).toHaveLength(1);
  expect(lines.filter((line) => line.startsWith('  predicted: 8.0 s (6.8 s to 9.9 s) in all, downtime 200 ms'))).toHaveLength(1);
  expect(lines.filter((line) => line.includes('autopilot:'))).toEqual([
    '  +2.0 s autopilot: raise downtime to 1000 ms: the rest has not fallen for 15 s',
    '  +9.0 s autopilot: auto-converge: the rest has not fallen for 15 s',
  ]);
  expect(run.out).toContain('downtime 251 ms (262 ms from outside)');
});

test('Ctrl-C before the controller has answered says that the migration may have started', async () => {
  let asked = false;
  const migrate = () => {
    asked = true;
    return new Promise<never>(() => undefined);
  };
  await serve({ migrate });
  const interrupted: Promise<void>[] = [];
  const run = await cli('migrate db host-b --watch', {
    onStart: (signal) => interrupted.push(until('the migration is asked for', () => asked).then(() => signal('SIGINT'))),
  });
  await Promise.all(interrupted);
  expect(run).toMatchObject({ code: 130, out: '', err: expect.stringContaining('may have started, see: plimsoll migration list --open') });
});
