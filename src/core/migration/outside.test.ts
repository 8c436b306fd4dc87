import { describe, expect, it } from 'vitest';
import type { EchoReport } from '#core/ports.ts';
import { type MigrationWindow, outsideView } from './outside.ts';

const witness = { hostId: 'c', address: '10.0.0.7' };
const report = (...gaps: readonly (readonly [number, number | null])[]): EchoReport => ({
  intervalMs: 5,
  sent: 2000,
  answered: 1900,
  lastAnswerAtMs: 10_000,
  delayMsP50: 0.3,
  delayMsP99: 2,
  gaps: gaps.map(([fromMs, untilMs]) => ({ fromMs, untilMs })),
});
const window: MigrationWindow = { fromMs: 1000, untilMs: 9000, switchOver: { fromMs: 8000, untilMs: 8500 }, uncertaintyMs: 100 };
const measured = (given: EchoReport, change: Partial<MigrationWindow> = {}) => {
  const view = outsideView(witness, given, { ...window, ...change });
  return [view?.downtimeMs, view?.brownoutMs];
};

describe('what a witness saw of a migration', () => {
  it('is the longest gap around the switch-over, and the sum of further long gaps during the copy', () => {
    expect(outsideView(witness, report([2000, 2060], [4000, 4600], [8100, 8350], [8400, 8455]), window)).toEqual({
      witnessHostId: 'c',
      address: '10.0.0.7',
      intervalMs: 5,
      sent: 2000,
      answered: 1900,
      downtimeMs: 250,
      brownoutMs: 60 + 600 + 55,
      delayMsP50: 0.3,
      delayMsP99: 2,
    });
  });

  it('leaves out gaps before and after, and those of ten intervals or less', () => {
    expect(measured(report([100, 500], [2000, 2050], [3000, 3050.5], [8200, 8220], [9500, 9900]))).toEqual([20, 50.5]);
  });

  it('has no downtime when nothing longer than two intervals was seen at the switch-over', () => {
    expect(measured(report([4000, 4600]))).toEqual([0, 600]);
    expect(measured(report())).toEqual([0, 0]);
  });

  it('looks at the whole copy when the time of the switch-over is not known', () => {
    expect(measured(report([4000, 4600], [8100, 8350]), { switchOver: null })).toEqual([600, 250]);
  });

  it('takes a gap within the uncertainty of the times for one of the switch-over, and none outside of it (control arm)', () => {
    expect(measured(report([7700, 7901]))).toEqual([201, 0]);
    expect(measured(report([7700, 7899]))).toEqual([0, 199]);
  });

  it('counts a gap that has not ended up to the end of the transfer', () => {
    expect(measured(report([8200, null]))).toEqual([800, 0]);
    expect(measured(report([9050, null]), { switchOver: { fromMs: 8000, untilMs: 9000 } })).toEqual([0, 0]);
  });

  it('is nothing when the VM never answered', () => {
    expect(outsideView(witness, { ...report(), answered: 0, lastAnswerAtMs: null, delayMsP50: null, delayMsP99: null }, window)).toBeNull();
  });
});
