import { sampleRejectionCodes } from '#core/load/rejection.ts';
import type { BalanceResource } from '#wire/balance-api.ts';
import { Counter, Gauge, type Registry } from 'prom-client';

/** What became of the hosts' samples, and of the forecasts. The controller counts them itself, from its start on. */
export class BalanceMetrics {
  readonly #accepted: Counter;
  readonly #rejected: Counter<'reason'>;
  readonly #quarantined: Gauge;
  readonly #forecasts: Gauge;
  readonly #hits: Gauge;
  readonly #error: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    const gauge = (name: string, help: string) => new Gauge({ name: `plimsoll_${name}`, help, registers });
    this.#accepted = new Counter({ name: 'plimsoll_samples_accepted_total', help: 'Samples of hosts that were taken.', registers });
    this.#rejected = new Counter({
      name: 'plimsoll_samples_rejected_total',
      help: 'Samples of hosts that were not taken: late, implausible or contradictory.',
      labelNames: ['reason'],
      registers,
    });
    this.#quarantined = gauge('hosts_quarantined', 'Hosts whose samples are not believed: neither source nor target of a plan.');
    this.#forecasts = gauge('vms_forecast', 'VMs whose CPU is forecast.');
    this.#hits = gauge('forecast_hit_ratio', 'Readings that were not above the high figure of a forecast; 0.9 is promised.');
    this.#error = gauge('forecast_error_ratio', 'Error of the forecast mean, of that of the forecast that nothing changes.');
  }

  set({ samples, quarantined, forecast }: BalanceResource): void {
    setCount(this.#accepted, {}, samples.accepted);
    for (const reason of sampleRejectionCodes) setCount(this.#rejected, { reason }, samples.rejectedBy[reason] ?? 0);
    this.#quarantined.set(quarantined.length);
    this.#forecasts.set(forecast.vms);
    setRatio(this.#hits, forecast.hitPercent);
    setRatio(this.#error, forecast.errorOfNaivePercent);
  }
}

function setCount<Label extends string>(counter: Counter<Label>, labels: Partial<Record<Label, string>>, amount: number): void {
  counter.remove(labels);
  counter.inc(labels, amount);
}

/** What is not known has no value. */
function setRatio(gauge: Gauge, percent: number | null): void {
  if (percent === null) gauge.remove();
  else gauge.set(percent / 100);
}
