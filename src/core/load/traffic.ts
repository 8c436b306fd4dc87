/** What goes through the cards and disks of a host and its VMs, both directions together: a busy card is busy whichever way. */
import type { HostRates } from '#core/model/sample.ts';
import type { VmSample } from '#core/model/vm.ts';

/** In bytes per second; null where it is not known. */
export interface Traffic<Value = number | null> {
  readonly network: Value;
  readonly disk: Value;
}

export function trafficIn(
  rates: Pick<
    HostRates & VmSample,
    'netReceivedBytesPerSecond' | 'netSentBytesPerSecond' | 'diskReadBytesPerSecond' | 'diskWrittenBytesPerSecond'
  >,
): Traffic {
  return {
    network: sum(rates.netReceivedBytesPerSecond, rates.netSentBytesPerSecond),
    disk: sum(rates.diskReadBytesPerSecond, rates.diskWrittenBytesPerSecond),
  };
}

function sum(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}
