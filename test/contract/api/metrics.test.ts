import { type Api, createApi } from '#controller/api/api.ts';
import { Metrics } from '#controller/api/metrics.ts';
import type { MigrationFilter } from '#controller/service.ts';
import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import type { MigrationResource } from '#wire/api.ts';
import { afterEach, describe, expect, test } from 'vitest';
import { type Family, readExposition } from './exposition.ts';
import { createFakeService } from './fake-service.ts';
import { balance, done, failed, hostA, nowMs, status } from './resources.ts';
import { measured, predictionErrors } from './transfer-resources.ts';

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const opened: Api[] = [];

afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
});

/** A controller whose store has these migrations that ended, newest first. */
function controllerWith(ended: readonly MigrationResource[]) {
  const kept = [...ended];
  const service = createFakeService({ migrations: ({ limit }: MigrationFilter) => Promise.resolve(kept.slice(0, limit)) });
  return { kept, service, metrics: new Metrics(service, quiet) };
}

const named = (migrationId: string, migration: MigrationResource): MigrationResource => ({
  ...migration,
  request: { ...migration.request, migrationId },
});

type Families = ReadonlyMap<string, Family>;

async function read(metrics: Metrics): Promise<Families> {
  return readExposition(await metrics.text());
}

/** The value of the one series with at least these labels; null where there is none. */
function valueOf(families: Families, name: string, labels: Readonly<Record<string, string>> = {}): number | null {
  const all = [...families.values()].flatMap(({ series }) => series);
  const found = all.filter(
    (one) => one.name === `plimsoll_${name}` && Object.entries(labels).every(([label, value]) => one.labels[label] === value),
  );
  expect(found.length, `${name} ${JSON.stringify(labels)}`).toBeLessThanOrEqual(1);
  return found[0]?.value ?? null;
}

describe('GET /metrics', () => {
  test('is in the text format that Prometheus reads', async () => {
    const api = await createApi(createFakeService(), { log: quiet, version: '0.1.0' });
    opened.push(api);
    const answer = await api.server.inject({ method: 'GET', url: '/metrics' });
    expect(answer).toMatchObject({ statusCode: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } });
    expect(readExposition(answer.body).size).toBeGreaterThan(15);
  });

  test('fails as a whole when the controller does not answer, and says why in the log', async () => {
    const replaced = { hosts: () => Promise.reject(new PlimsollError('internal', 'the store is away')) };
    const api = await createApi(createFakeService(replaced), { log: quiet, version: '0.1.0' });
    opened.push(api);
    const answer = await api.server.inject({ method: 'GET', url: '/metrics' });
    expect(answer.statusCode).toBe(500);
    expect(answer.json()).toEqual({ code: 'internal', message: 'the store is away' });
  });

  test('two controllers in one process have figures of their own', async () => {
    const one = controllerWith([measured]);
    const other = controllerWith([]);
    expect(valueOf(await read(one.metrics), 'migrations_total', { outcome: 'moved', method: 'pre-copy' })).toBe(1);
    expect(valueOf(await read(other.metrics), 'migrations_total', { outcome: 'moved', method: 'pre-copy' })).toBe(0);
  });
});

describe('names and labels', () => {
  test('are as Prometheus asks for: base units, counters end in _total, gauges do not', async () => {
    const families = [...(await read(controllerWith([measured, named('m-2', failed)]).metrics)).values()];
    for (const { name, type, help } of families) {
      expect(name).toMatch(/^plimsoll_[a-z_]+$/);
      expect(name).not.toMatch(/_(ms|milliseconds|minutes|percent|mib|kib)(_|$)/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(help).toMatch(/\.$/);
    }
  });

  test('say nothing of a single host, VM or migration, and are bounded whatever agents and records say', async () => {
    const odd = Array.from({ length: 50 }, (_, index) =>
      named(`odd-${index}`, { ...failed, failure: { code: `made-up-${index}` as RefusalCode, message: 'x' } }),
    );
    const text = await controllerWith([...odd, named('known', failed), measured]).metrics.text();
    expect(text).not.toMatch(/host-[ab]|m-1|db|web1|alice|made-up/);
    const failures = readExposition(text).get('plimsoll_migration_failures_total')?.series;
    expect(failures?.map(({ labels, value }) => [labels['code'], value])).toEqual([
      ['aborted', 1],
      ['other', 50],
    ]);
  });
});

describe('what ended migrations did cost', () => {
  test('is counted in seconds, bytes and packets', async () => {
    const families = await read(controllerWith([measured]).metrics);
    const method = 'pre-copy';
    expect(valueOf(families, 'migration_duration_seconds_sum', { method })).toBe(7.9);
    expect(valueOf(families, 'migration_downtime_seconds_sum', { method })).toBe(0.251);
    expect(valueOf(families, 'migration_outside_downtime_seconds_sum', { method })).toBe(0.262);
    expect(valueOf(families, 'migration_brownout_seconds_sum', { method })).toBe(0.075);
    expect(valueOf(families, 'migration_rounds_sum', { method })).toBe(4);
    expect(valueOf(families, 'migration_memory_sent_bytes_total', { method })).toBe(540 * 1024 ** 2);
    expect(valueOf(families, 'migration_ipsec_bytes_total', { method })).toBe(576 * 1024 ** 2);
    expect(valueOf(families, 'migration_ipsec_packets_total', { method })).toBe(400_000);
    expect(valueOf(families, 'migration_cpu_seconds_total', { role: 'source', part: 'ipsec' })).toBe(6.25);
    expect(valueOf(families, 'migration_cpu_seconds_total', { role: 'destination', part: 'ipsec' })).toBeNull();
  });

  test('downtimes fall into buckets from 10 ms to 60 s', async () => {
    const buckets = (await read(controllerWith([measured]).metrics))
      .get('plimsoll_migration_downtime_seconds')
      ?.series.filter(({ name }) => name.endsWith('_bucket'));
    expect(buckets?.map(({ labels }) => labels['le'])).toEqual([
      '0.01',
      '0.025',
      '0.05',
      '0.1',
      '0.2',
      '0.3',
      '0.5',
      '1',
      '2',
      '5',
      '10',
      '30',
      '60',
      '+Inf',
    ]);
    expect(buckets?.map(({ value }) => value)).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
  });

  test('one that stayed where it was is counted with its failure, and in no time of a move', async () => {
    const families = await read(controllerWith([{ ...measured, phase: 'failed', failure: failed.failure }]).metrics);
    expect(valueOf(families, 'migrations_total', { outcome: 'stayed', method: 'pre-copy' })).toBe(1);
    expect(valueOf(families, 'migration_failures_total', { code: 'aborted' })).toBe(1);
    expect(valueOf(families, 'migration_memory_sent_bytes_total', { method: 'pre-copy' })).toBe(540 * 1024 ** 2);
    expect(valueOf(families, 'migration_duration_seconds_count')).toBeNull();
  });

  test('counters are there with 0 before the first migration, so that it can be seen as an increase', async () => {
    const families = await read(controllerWith([]).metrics);
    expect(valueOf(families, 'migrations_total', { outcome: 'unclear', method: 'post-copy' })).toBe(0);
  });
});

describe('counters', () => {
  const moved = (families: Families) => valueOf(families, 'migrations_total', { outcome: 'moved', method: 'pre-copy' });

  test('count each migration once, however often they are looked at', async () => {
    const { metrics, kept } = controllerWith([measured]);
    expect(moved(await read(metrics))).toBe(1);
    expect(moved(await read(metrics))).toBe(1);
    kept.unshift(named('m-2', measured));
    expect(moved(await read(metrics))).toBe(2);
  });

  test('count each once when two ask at the same time, and the first answer comes last', async () => {
    const waiting: (() => void)[] = [];
    const kept = [measured];
    const service = createFakeService({
      migrations: () => {
        const seen = [...kept];
        return new Promise((resolve) => waiting.push(() => resolve(seen)));
      },
    });
    const metrics = new Metrics(service, quiet);
    const both = [metrics.text(), metrics.text()];
    await expect.poll(() => waiting.length).toBe(1);
    kept.unshift(named('m-2', measured));
    waiting[0]?.();
    await expect.poll(() => waiting.length).toBe(2);
    waiting[1]?.();
    await Promise.all(both);
    const third = metrics.text();
    await expect.poll(() => waiting.length).toBe(3);
    waiting[2]?.();
    expect(moved(readExposition(await third))).toBe(2);
  });

  test('begin at 0 with the controller: what ended before its start is not counted', async () => {
    const earlier = { ...named('m-0', done), endedAtMs: status.startedAtMs - 1 };
    expect(moved(await read(controllerWith([earlier]).metrics))).toBe(0);
    expect(moved(await read(controllerWith([named('m-2', measured), earlier]).metrics))).toBe(1);
  });

  test('go on after a look that failed', async () => {
    const { service } = controllerWith([measured]);
    let fails = true;
    const metrics = new Metrics({ ...service, hosts: () => (fails ? Promise.reject(new Error('away')) : service.hosts()) }, quiet);
    await expect(metrics.text()).rejects.toThrow('away');
    fails = false;
    expect(moved(await read(metrics))).toBe(1);
  });

  test('say in the log that they may have missed some', async () => {
    const warned: string[] = [];
    const service = createFakeService({
      migrations: ({ limit }) => Promise.resolve(Array.from({ length: limit }, (_, index) => named(`m-${index}`, measured))),
    });
    const metrics = new Metrics(service, { warn: (message) => void warned.push(message) });
    await metrics.text();
    await metrics.text();
    expect(warned).toHaveLength(1);
  });
});

describe('what is so now', () => {
  test('hosts, VMs, open migrations, alarms, epoch, start and version', async () => {
    const families = await read(controllerWith([]).metrics);
    expect(valueOf(families, 'hosts', { status: 'up' })).toBe(1);
    expect(valueOf(families, 'hosts', { status: 'revoked' })).toBe(0);
    expect(valueOf(families, 'vms')).toBe(2);
    expect(valueOf(families, 'migrations_open')).toBe(1);
    expect(valueOf(families, 'controller_epoch')).toBe(4);
    expect(valueOf(families, 'controller_start_time_seconds')).toBe((nowMs - 250_000) / 1000);
    expect(valueOf(families, 'build_info', { version: '0.1.0' })).toBe(1);
    expect(valueOf(families, 'alarms', { code: 'clock-skew', severity: 'warning' })).toBe(1);
    expect(valueOf(families, 'alarms', { code: 'guard-missing', severity: 'critical' })).toBe(0);
  });

  test('samples that were not taken, by reason, hosts that are not believed, and what forecasts were worth', async () => {
    let now = balance;
    const metrics = new Metrics(createFakeService({ balance: () => Promise.resolve(now) }), quiet);
    await metrics.text();
    const families = await read(metrics);
    expect(valueOf(families, 'samples_accepted_total')).toBe(240);
    expect(valueOf(families, 'samples_rejected_total', { reason: 'cpu-contradicts' })).toBe(2);
    expect(valueOf(families, 'samples_rejected_total', { reason: 'vm-on-two-hosts' })).toBe(0);
    expect(valueOf(families, 'hosts_quarantined')).toBe(1);
    expect(valueOf(families, 'vms_forecast')).toBe(10);
    expect(valueOf(families, 'forecast_hit_ratio')).toBeCloseTo(0.914);
    expect(valueOf(families, 'forecast_error_ratio')).toBeCloseTo(0.482);
    now = { ...balance, forecast: { ...balance.forecast, hitPercent: null, errorOfNaivePercent: null } };
    expect(await metrics.text()).not.toMatch(/^plimsoll_forecast_(hit|error)_ratio /m);
  });

  test('an alarm and a host that are gone are 0 again', async () => {
    let quietNow = false;
    const metrics = new Metrics(
      createFakeService({
        status: () => Promise.resolve(quietNow ? { ...status, alarms: [] } : status),
        hosts: () => Promise.resolve(quietNow ? [] : [hostA, hostA]),
      }),
      quiet,
    );
    expect(valueOf(await read(metrics), 'alarms', { code: 'clock-skew', severity: 'warning' })).toBe(1);
    quietNow = true;
    const families = await read(metrics);
    expect(valueOf(families, 'alarms', { code: 'clock-skew', severity: 'warning' })).toBe(0);
    expect(valueOf(families, 'hosts', { status: 'up' })).toBe(0);
  });

  test('the prediction error is a ratio, and absent while nothing could be compared', async () => {
    let errors = predictionErrors;
    const metrics = new Metrics(createFakeService({ predictionErrors: () => Promise.resolve(errors) }), quiet);
    const before = await read(metrics);
    expect(valueOf(before, 'migration_prediction_error_ratio', { figure: 'total' })).toBeCloseTo(0.0824);
    expect(valueOf(before, 'migration_prediction_error_ratio', { figure: 'downtime' })).toBeCloseTo(0.216);
    errors = { migrations: 0, totalPercent: null, downtimePercent: null };
    const after = await read(metrics);
    expect(after.get('plimsoll_migration_prediction_error_ratio')?.series).toEqual([]);
    expect(valueOf(after, 'migration_predictions_compared')).toBe(0);
  });
});

describe('the reader of these tests', () => {
  const head = '# HELP a x.\n# TYPE a counter\n';
  test.each([
    ['no end of line', `${head}a 1`],
    ['no TYPE', '# HELP a x.\na 1\n'],
    ['a series of nobody', 'a 1\n'],
    ['another name', `${head}b 1\n`],
    ['a comma as decimal sign', `${head}a 1,5\n`],
    ['a label without quotes', `${head}a{b=c} 1\n`],
    ['a quote in a label', `${head}a{b="c"d"} 1\n`],
    ['a label twice', `${head}a{b="c",b="d"} 1\n`],
    ['a series twice', `${head}a{b="c"} 1\na{b="c"} 2\n`],
    ['a family twice', `${head}a 1\n${head}a 1\n`],
    ['a counter below 0', `${head}a -1\n`],
    ['buckets that fall', '# HELP h x.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'],
    ['no last bucket', '# HELP h x.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_sum 1\nh_count 1\n'],
    ['no sum', '# HELP h x.\n# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 1\nh_count 1\n'],
  ])('refuses %s', (_what, text) => {
    expect(() => readExposition(text)).toThrow();
  });

  test('reads what is right', () => {
    const text = `${head}a{b="c,\\"d\\\\",e=""} 1.5e-7\na +Inf\n`;
    expect(readExposition(text).get('a')?.series).toEqual([
      { name: 'a', labels: { b: 'c,\\"d\\\\', e: '' }, value: 1.5e-7 },
      { name: 'a', labels: {}, value: Number.POSITIVE_INFINITY },
    ]);
  });
});
