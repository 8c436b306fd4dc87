/** What looks at a migration from beside it, for the agent's own tests. */
import type { PlimsollError } from '#core/model/result.ts';
import type { CostMeter, Echo, EchoReport, Witness } from '#core/ports.ts';
import { vmMac } from './examples.ts';

/** CPU time that grows by one second with each reading. */
export class FakeCostMeter implements CostMeter {
  reads = 0;
  fault: PlimsollError | null = null;
  hangs = false;

  read = async () => {
    this.reads += 1;
    if (this.hangs) await new Promise(() => undefined);
    if (this.fault) throw this.fault;
    return { hypervisorCpuSeconds: this.reads, ipsecCpuSeconds: null, agentCpuSeconds: this.reads / 2 };
  };
}

/** A VM that answers at once, as long as somebody watches. */
export class FakeWitness implements Witness {
  canReach = true;
  /** Addresses that are watched at this moment, and those that were. */
  readonly watched: string[] = [];
  readonly stopped: string[] = [];
  /** The beginning of a watch waits for it. */
  beginning: Promise<void> = Promise.resolve();
  stopFault: Error | null = null;

  addressesOf = async (mac: string) => (mac === vmMac ? ['10.9.0.5'] : []);
  seenAt = async (mac: string) => (mac === vmMac ? ('local' as const) : null);
  watch = async (address: string, intervalMs: number): Promise<Echo | null> => {
    await this.beginning;
    if (!this.canReach) return null;
    this.watched.push(address);
    const report = (): EchoReport => ({
      intervalMs,
      sent: 3,
      answered: 3,
      lastAnswerAtMs: 10,
      delayMsP50: 1,
      delayMsP99: 2,
      gaps: [],
    });
    const stop = async (): Promise<EchoReport> => {
      this.watched.splice(this.watched.indexOf(address), 1);
      this.stopped.push(address);
      if (this.stopFault) throw this.stopFault;
      return report();
    };
    return { report, stop };
  };
}
