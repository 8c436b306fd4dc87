import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlimsollError } from '#core/model/result.ts';
import { CostWatch } from './cost-watch.ts';
import { vmId } from './examples.ts';
import { FakeCostMeter } from './fake-meters.ts';
import { timerClock } from './fakes.ts';

beforeEach(() => void vi.useFakeTimers({ now: 10 }));
afterEach(() => void vi.useRealTimers());

function newWatch(): { readonly costMeter: FakeCostMeter; readonly over: AbortController; readonly watch: CostWatch } {
  const costMeter = new FakeCostMeter();
  const over = new AbortController();
  return { costMeter, over, watch: new CostWatch({ clock: timerClock, costMeter }, vmId, over.signal) };
}

describe('the cost of a transfer', () => {
  it('is what was spent between its first reading and its last', async () => {
    const { watch } = newWatch();
    await vi.advanceTimersByTimeAsync(0);
    expect(await watch.spent()).toEqual({ hypervisorCpuSeconds: 1, ipsecCpuSeconds: null, agentCpuSeconds: 0.5 });
  });

  it('is read once a second during the job, for the VM’s process is gone at its end, and not afterwards', async () => {
    const { costMeter, over, watch } = newWatch();
    await vi.advanceTimersByTimeAsync(5000);
    expect(costMeter.reads).toBe(6);
    over.abort();
    await vi.advanceTimersByTimeAsync(5000);
    expect([costMeter.reads, vi.getTimerCount()]).toEqual([6, 0]);
    costMeter.fault = new PlimsollError('vm-unknown', 'it has left');
    expect(await watch.spent()).toEqual({ hypervisorCpuSeconds: 5, ipsecCpuSeconds: null, agentCpuSeconds: 2.5 });
  });

  it('is not known where nothing could be read, and counts from the first reading that came', async () => {
    const { costMeter, watch } = newWatch();
    costMeter.fault = new PlimsollError('hypervisor-failed', 'no /proc');
    await vi.advanceTimersByTimeAsync(500);
    const blind = new CostWatch({ clock: timerClock, costMeter }, vmId, new AbortController().signal);
    expect(await blind.spent()).toBeNull();
    costMeter.fault = null;
    costMeter.reads = 100;
    await vi.advanceTimersByTimeAsync(500);
    costMeter.reads = 110;
    expect(await watch.spent()).toMatchObject({ hypervisorCpuSeconds: 110 });
  });

  it('by a meter that hangs holds nobody up for longer than one reading may take', async () => {
    const { costMeter, watch } = newWatch();
    await vi.advanceTimersByTimeAsync(2000);
    costMeter.hangs = true;
    const spent = watch.spent();
    const told = vi.fn<() => void>();
    void spent.then(told);
    await vi.advanceTimersByTimeAsync(1999);
    expect(told).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toHaveBeenCalled();
    expect(await spent).toMatchObject({ hypervisorCpuSeconds: 2 });
  });
});
