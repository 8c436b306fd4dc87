import { sampleRejectionCodes } from '#core/load/rejection.ts';
import type { HostResource } from '#wire/api.ts';
import { Counter, Gauge, type Registry } from 'prom-client';

/** What became of the hosts' samples. The hosts count them themselves, from the start of the controller on. */
export class SampleMetrics {
  readonly #accepted: Counter;
  readonly #rejected: Counter<'reason'>;
  readonly #quarantined: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#accepted = new Counter({ name: 'plimsoll_samples_accepted_total', help: 'Samples of hosts that were taken.', registers });
    this.#rejected = new Counter({
      name: 'plimsoll_samples_rejected_total',
      help: 'Samples of hosts that were not taken: late, implausible or contradictory.',
      labelNames: ['reason'],
      registers,
    });
    this.#quarantined = new Gauge({
      name: 'plimsoll_hosts_quarantined',
      help: 'Hosts whose samples are not believed: neither source nor target of a plan.',
      registers,
    });
  }

  set(hosts: readonly HostResource[]): void {
    this.#accepted.reset();
    this.#accepted.inc(hosts.reduce((sum, host) => sum + host.samplesAccepted, 0));
    for (const reason of sampleRejectionCodes) {
      this.#rejected.remove({ reason });
      this.#rejected.inc(
        { reason },
        hosts.reduce((sum, { samplesRejectedBy }) => sum + (samplesRejectedBy[reason] ?? 0), 0),
      );
    }
    this.#quarantined.set(hosts.filter(({ quarantine }) => quarantine !== null).length);
  }
}
