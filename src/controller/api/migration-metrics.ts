import { methods } from '#core/model/method.ts';
import { Counter, Histogram, type Registry } from 'prom-client';
import { isRefusalCode } from './failures.ts';
import type { MigrationFigures } from './migration-figures.ts';

const methodLabels = [...methods, 'unknown'] as const;
const outcomes = ['moved', 'stayed', 'unclear'] as const;
/** For codes that this version does not know: an agent's words make no series of their own. */
const otherCode = 'other';

/** Around the downtimes that are asked for (300 ms, budgets of 500 ms and 1 s), and up to a VM that is stopped while it is sent. */
const downtimeBuckets = [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60];
const totalBuckets = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const roundsBuckets = [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50];

/** Counters and histograms of ended migrations. They begin at 0 with the process, which is what Prometheus expects of a restart. */
export class MigrationMetrics {
  readonly #ended: Counter<'outcome' | 'method'>;
  readonly #failures: Counter<'code'>;
  readonly #total: Histogram<'method'>;
  readonly #downtime: Histogram<'method'>;
  readonly #outsideDowntime: Histogram<'method'>;
  readonly #brownout: Histogram<'method'>;
  readonly #rounds: Histogram<'method'>;
  readonly #memorySent: Counter<'method'>;
  readonly #espBytes: Counter<'method'>;
  readonly #espPackets: Counter<'method'>;
  readonly #cpu: Counter<'role' | 'part'>;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
      new Counter({ name: `plimsoll_${name}`, help, labelNames, registers });
    const histogram = (name: string, help: string, buckets: readonly number[]) =>
      new Histogram({ name: `plimsoll_migration_${name}`, help, labelNames: ['method'] as const, buckets: [...buckets], registers });
    this.#ended = counter('migrations_total', 'Migrations that ended. stayed: the VM runs on its source; unclear: a person must look.', [
      'outcome',
      'method',
    ]);
    this.#failures = counter('migration_failures_total', 'Migrations that ended with a failure, by its code.', ['code']);
    this.#total = histogram(
      'duration_seconds',
      'From the first byte to the VM running on its destination, of migrations that moved it.',
      totalBuckets,
    );
    this.#downtime = histogram(
      'downtime_seconds',
      'Downtime as the hypervisor says; of a VM stopped before it begins, as seen from outside, or all of the time.',
      downtimeBuckets,
    );
    this.#outsideDowntime = histogram(
      'outside_downtime_seconds',
      'Downtime as another host saw it, where one could ask the VM for answers.',
      downtimeBuckets,
    );
    this.#brownout = histogram('brownout_seconds', 'Further gaps between answers while the VM was copied, added up.', downtimeBuckets);
    this.#rounds = histogram('rounds', 'Rounds in which memory was sent.', roundsBuckets);
    this.#memorySent = counter('migration_memory_sent_bytes_total', 'What the hypervisor sent for ended migrations.', ['method']);
    this.#espBytes = counter('migration_ipsec_bytes_total', 'Bytes that left the sources of ended migrations inside IPsec.', ['method']);
    this.#espPackets = counter('migration_ipsec_packets_total', 'Packets that left the sources of ended migrations inside IPsec.', [
      'method',
    ]);
    this.#cpu = counter('migration_cpu_seconds_total', 'CPU time spent on ended migrations, where a host can tell.', ['role', 'part']);
    // A counter that appears with its first migration has no increase to see.
    for (const outcome of outcomes) for (const method of methodLabels) this.#ended.inc({ outcome, method }, 0);
  }

  /** One migration that ended. What is not known adds nothing. */
  note(figures: MigrationFigures): void {
    const { outcome, failureCode } = figures;
    const method = methodLabels.find((name) => name === figures.method) ?? 'unknown';
    this.#ended.inc({ outcome, method });
    if (failureCode !== null) this.#failures.inc({ code: isRefusalCode(failureCode) ? failureCode : otherCode });
    add(this.#memorySent, { method }, figures.memorySentBytes);
    add(this.#espBytes, { method }, figures.ipsecBytes);
    add(this.#espPackets, { method }, figures.ipsecPackets);
    for (const { end, part, seconds } of figures.cpu) add(this.#cpu, { role: end, part }, seconds);
    // How long one took that did not move its VM says nothing of the next one.
    if (outcome !== 'moved') return;
    observe(this.#total, method, figures.totalSeconds);
    observe(this.#downtime, method, figures.downtimeSeconds);
    observe(this.#outsideDowntime, method, figures.outsideDowntimeSeconds);
    observe(this.#brownout, method, figures.brownoutSeconds);
    observe(this.#rounds, method, figures.rounds);
  }
}

function add<Label extends string>(counter: Counter<Label>, labels: Readonly<Record<Label, string>>, value: number | null): void {
  if (value !== null) counter.inc(labels, value);
}

function observe(histogram: Histogram<'method'>, method: string, value: number | null): void {
  if (value !== null) histogram.observe({ method }, value);
}
