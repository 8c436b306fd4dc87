import type { ControllerService } from '#controller/service.ts';
import type { Log } from '#core/ports.ts';
import { AlarmSchema, HostSchema, type PredictionErrorsResource, type StatusResource } from '#wire/api.ts';
import { Gauge, Registry } from 'prom-client';
import { BalanceMetrics } from './balance-metrics.ts';
import { figuresOf, NewlyEnded } from './migration-figures.ts';
import { MigrationMetrics } from './migration-metrics.ts';

/** The service gives no more at once. Were more to end between two looks, the oldest would be missed, and the log says so. */
const endedMax = 1000;

const hostStatuses = HostSchema.properties.status.anyOf.map((status) => status.const);
const alarmCodes = AlarmSchema.properties.code.anyOf.map((code) => code.const);
const alarmSeverities = AlarmSchema.properties.severity.anyOf.map((severity) => severity.const);

export type MetricsService = Pick<ControllerService, 'balance' | 'hosts' | 'migrations' | 'predictionErrors' | 'status'>;

/**
 * What a monitoring system wants to know of the controller, in Prometheus' text format 0.0.4. Label values come from fixed lists: no name or
 * id of a host, a VM or a migration is one.
 */
export class Metrics {
  readonly #service: MetricsService;
  readonly #log: Pick<Log, 'warn'>;
  readonly #registry = new Registry();
  readonly #cluster = new ClusterMetrics(this.#registry);
  readonly #migrations = new MigrationMetrics(this.#registry);
  readonly #balance = new BalanceMetrics(this.#registry);
  #ended: NewlyEnded | null = null;
  /** One look at a time: an older answer that comes after a newer one would have migrations counted twice. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(service: MetricsService, log: Pick<Log, 'warn'>) {
    this.#service = service;
    this.#log = log;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Looks at the controller, and says all there is. Throws what the service throws. */
  text(): Promise<string> {
    const text = this.#tail.then(() => this.#text());
    this.#tail = text.catch(() => null);
    return text;
  }

  async #text(): Promise<string> {
    const status = await this.#service.status();
    const hosts = await this.#service.hosts();
    const errors = await this.#service.predictionErrors();
    await this.#countEnded(status.startedAtMs);
    this.#cluster.set(status, errors, (wanted) => hosts.filter((host) => host.status === wanted).length);
    this.#balance.set(await this.#service.balance());
    return this.#registry.metrics();
  }

  async #countEnded(startedAtMs: number): Promise<void> {
    this.#ended ??= new NewlyEnded(startedAtMs);
    const told = this.#ended.take(await this.#service.migrations({ open: false, limit: endedMax }));
    for (const migration of told) this.#migrations.note(figuresOf(migration));
    if (told.length >= endedMax)
      this.#log.warn('more migrations ended since the last look at /metrics than are told at once: ask for it more often', {
        told: told.length,
      });
  }
}

type HostStatus = (typeof hostStatuses)[number];

/** What is so now. */
class ClusterMetrics {
  readonly #build: Gauge<'version'>;
  readonly #epoch: Gauge;
  readonly #started: Gauge;
  readonly #hosts: Gauge<'status'>;
  readonly #vms: Gauge;
  readonly #open: Gauge;
  readonly #alarms: Gauge<'code' | 'severity'>;
  readonly #errors: Gauge<'figure'>;
  readonly #compared: Gauge;

  constructor(registry: Registry) {
    const gauge = <Label extends string = never>(name: string, help: string, labelNames: readonly Label[] = []) =>
      new Gauge({ name: `plimsoll_${name}`, help, labelNames, registers: [registry] });
    this.#build = gauge('build_info', 'Always 1; its label is the version of the controller.', ['version']);
    this.#epoch = gauge('controller_epoch', "The controller's fencing epoch: grows by one with each start.");
    this.#started = gauge('controller_start_time_seconds', 'When the controller started, since the Unix epoch.');
    this.#hosts = gauge('hosts', 'Hosts of the cluster; up: connected, and its load is known.', ['status']);
    this.#vms = gauge('vms', 'VMs that hosts have reported.');
    this.#open = gauge('migrations_open', 'Migrations under way.');
    this.#alarms = gauge('alarms', 'What a person should look at.', ['code', 'severity']);
    this.#errors = gauge(
      'migration_prediction_error_ratio',
      'How far predictions were off, of what happened: median over the newest migrations.',
      ['figure'],
    );
    this.#compared = gauge('migration_predictions_compared', 'Migrations that the prediction error is the median of.');
  }

  set(status: StatusResource, errors: PredictionErrorsResource, hostsThatAre: (status: HostStatus) => number): void {
    this.#build.set({ version: status.version }, 1);
    this.#epoch.set(status.controllerEpoch);
    this.#started.set(status.startedAtMs / 1000);
    this.#vms.set(status.vms);
    this.#open.set(status.migrationsOpen);
    for (const hostStatus of hostStatuses) this.#hosts.set({ status: hostStatus }, hostsThatAre(hostStatus));
    this.#setAlarms(status.alarms);
    this.#compared.set(errors.migrations);
    this.#setError('total', errors.totalPercent);
    this.#setError('downtime', errors.downtimePercent);
  }

  #setAlarms(alarms: StatusResource['alarms']): void {
    for (const code of alarmCodes) for (const severity of alarmSeverities) this.#alarms.set({ code, severity }, 0);
    for (const { code, severity } of alarms) this.#alarms.inc({ code, severity });
  }

  /** What is not known has no value. */
  #setError(figure: 'total' | 'downtime', percent: number | null): void {
    if (percent === null) this.#errors.remove({ figure });
    else this.#errors.set({ figure }, percent / 100);
  }
}
