/** What the record of a migration says whose hosts had lost each other in post-copy, and which was taken up again. */
import { rekeysBetween } from '#core/channel/watch.ts';
import type { ChannelReading } from '#core/model/channel.ts';
import type { Decision } from '#core/model/method.ts';
import type { JobOutcome, Migration } from '#core/model/migration.ts';

/** Most SAs that a reading names beside the present one, as an agent does. */
const replacedMax = 64;
/** A link that comes and goes may be recovered from for ever: so many are told, the newest. */
const recoveriesMax = 32;

/**
 * Notes that its memory goes over again. `resolution.sinceMs` is when the loss was heard of, which is up to a second after QEMU has
 * halted: the VM stood still for about that long, or ran for as long as it missed nothing.
 */
export function notedRecovery(migration: Migration, nowMs: number): Migration {
  const { progress, resolution, decisions } = migration;
  const lostMs = Math.max(0, nowMs - (resolution?.sinceMs ?? nowMs));
  const before = decisions.findLast(({ by }) => by === 'recovery')?.elapsedMs ?? 0;
  const decision: Decision = {
    by: 'recovery',
    atMs: nowMs,
    elapsedMs: Math.max(before, progress?.elapsedMs ?? 0) + lostMs,
    action: 'recover post-copy',
    reason:
      `the hosts had lost each other for ${(lostMs / 1000).toFixed(1)} s, with parts of the VM's memory on each: nothing was given up, ` +
      'the channel was proven anew, and the same transfer goes on',
  };
  const earlier = decisions.filter(({ by }) => by === 'recovery');
  const kept = earlier.length < recoveriesMax ? decisions : decisions.filter((one) => one !== earlier[0]);
  return { ...migration, decisions: [...kept, decision] };
}

/**
 * QEMU counts time and bytes from the first byte on, over the loss (seen with 7.2). Where its final figures are missing, what is told is
 * of the time since it was taken up again. The agent's CPU time always is: that is the cost of a part only.
 */
export function wholeOutcome({ decisions }: Migration, outcome: JobOutcome): JobOutcome {
  const recovery = decisions.findLast(({ by }) => by === 'recovery');
  if (recovery === undefined) return outcome;
  const isOfPart = outcome.totalMs < recovery.elapsedMs;
  return { ...outcome, totalMs: outcome.totalMs + (isOfPart ? recovery.elapsedMs : 0), sourceCost: null };
}

/**
 * The newer reading stands. A channel that was made anew in between has counted from 0 again: the SAs of the one before it are put
 * before its own, as if it had replaced them by rekeying.
 */
export function joinedReadings(earlier: ChannelReading | null, newer: ChannelReading | null): ChannelReading | null {
  const [before, now] = [earlier?.sa ?? null, newer?.sa ?? null];
  if (newer === null || now === null) return before === null ? (newer ?? earlier) : earlier;
  if (before === null || rekeysBetween(before, now) !== null) return newer;
  const { replaced, spiIn, spiOut, bytesIn, bytesOut, packetsIn, packetsOut } = before;
  const all = [...replaced, { spiIn, spiOut, bytesIn, bytesOut, packetsIn, packetsOut }, ...now.replaced];
  return { ...newer, sa: { ...now, replaced: all.slice(-replacedMax) } };
}
