/** What a watch of a VM says about one migration. */
import type { OutsideView } from '#core/model/measures.ts';
import type { EchoReport } from '#core/ports.ts';

/** Times of one migration, since the Unix epoch. */
export interface MigrationWindow {
  /** The first byte, and the end of the transfer. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** When the VM was switched over, as narrow as it is known; null when it is not: then it may have been at any time of the transfer. */
  readonly switchOver: { readonly fromMs: number; readonly untilMs: number } | null;
  /** How far the clocks of the witness and of whoever noted these times may be apart, and how late the times may have been noted. */
  readonly uncertaintyMs: number;
}

interface Gap {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Gaps during the copy that are no longer count as normal. */
const brownoutIntervals = 10;

/**
 * Null when the VM never answered. A gap counts for the switch-over or the copy when it overlaps it. `downtimeMs` is the whole length of the
 * longest one around the switch-over, 0 when there is none: then the VM was away for two intervals at most. A gap that has not ended counts up to the
 * end of the transfer at least. `sent`, `answered` and the delays are of the whole watch, which should not be much longer than the copy.
 */
export function outsideView(
  witness: { readonly hostId: string; readonly address: string },
  report: EchoReport,
  window: MigrationWindow,
): OutsideView | null {
  const { intervalMs, sent, answered, lastAnswerAtMs, delayMsP50, delayMsP99 } = report;
  if (lastAnswerAtMs === null || delayMsP50 === null || delayMsP99 === null) return null;
  const { uncertaintyMs } = window;
  const copy = widened(window, uncertaintyMs);
  const switchOver = window.switchOver === null ? copy : widened(window.switchOver, uncertaintyMs);
  const gaps = report.gaps.map(({ fromMs, untilMs }) => ({ fromMs, untilMs: untilMs ?? Math.max(fromMs, window.untilMs) }));
  const downtime = gaps.filter((gap) => overlap(gap, switchOver)).reduce<Gap | null>(longer, null);
  const others = gaps.filter((gap) => gap !== downtime && overlap(gap, copy) && lengthMs(gap) > brownoutIntervals * intervalMs);
  return {
    witnessHostId: witness.hostId,
    address: witness.address,
    intervalMs,
    sent,
    answered,
    downtimeMs: downtime === null ? 0 : lengthMs(downtime),
    brownoutMs: others.reduce((sum, gap) => sum + lengthMs(gap), 0),
    delayMsP50,
    delayMsP99,
  };
}

function widened({ fromMs, untilMs }: Gap, byMs: number): Gap {
  return { fromMs: fromMs - byMs, untilMs: untilMs + byMs };
}

function overlap(one: Gap, other: Gap): boolean {
  return one.fromMs <= other.untilMs && one.untilMs >= other.fromMs;
}

function lengthMs({ fromMs, untilMs }: Gap): number {
  return untilMs - fromMs;
}

function longer(longest: Gap | null, gap: Gap): Gap {
  return longest === null || lengthMs(gap) > lengthMs(longest) ? gap : longest;
}
