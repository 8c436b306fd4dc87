/**
 * What a transfer costs by calculation alone: the rounds of a pre-copy as QEMU makes them, and what the other methods send.
 *
 * Sources: Clark et al., "Live Migration of Virtual Machines", NSDI 2005 (pre-copy, writable working set); Hines and Gopalan,
 * "Post-copy based live virtual machine migration", VEE 2009 (every page is sent once); Akoush et al., "Predicting the Performance
 * of Virtual Machine Migration", MASCOTS 2010 (simulation models that predict migration times); QEMU 7.2
 * `migration/migration.c` and `migration/ram.c` for when a round ends and when the VM is stopped. Tamrakar, "Security in Live
 * Migration of Virtual Machine with Automated Load Balancing", tables I and II: over IPsec the same VMs took 52 to 57 s idle and
 * 65 to 69 s under load, so the bandwidth must be that of the encrypted channel, and the load belongs to the forecast.
 */
import type { AutoConverge, Method, TransferOptions } from '#core/model/method.ts';
import { handOverMs } from './downtime-limit.ts';
import { amount, dirtiedBytes, type MemoryLoad } from './forecast-activity.ts';

export interface Cost {
  readonly totalMs: number;
  readonly downtimeMs: number;
  /** In the hypervisor's stream. */
  readonly bytes: number;
  readonly rounds: number;
  /** False only of a pre-copy. Its figures are then those of stopping the VM after `copyTimesMax`. */
  readonly converges: boolean;
}

/** The hand-over when the VM starts without its memory: 335 ms without an answer over a fast plain link, seen from outside. */
export const postCopyHandOverMs = 335;
/**
 * Then the VM waits for the pages that it needs to answer at all. 6 MiB are what an idle one waited for over IPsec (467 to 517 ms
 * where 40 MiB/s were carried). One that writes needs some of its working set too, at random between none and all: half of it is
 * taken; up to 2.9 s were seen over a slow channel. No VM needs all of a large set for an answer, so it is bounded by what was seen.
 */
const answerBytes = 6 * 2 ** 20;
const answerBytesMax = 64 * 2 ** 20;
/**
 * Save and restore beyond the passes over memory: closing one hypervisor process, starting another. Of 5.5 s, measured with 75 MiB,
 * the channel took 3.2 s and the disks, by the figure below, 0.5 s.
 */
export const restoreMs = 1750;
/** Saving to a disk, and as much again for restoring. An assumption: a disk through the page cache; the history knows better. */
export const diskBytesPerSecond = 300e6;

/** What each method takes however fast the channel is. */
export const fixedMs: Readonly<Record<Method, number>> = {
  'pre-copy': handOverMs,
  hybrid: postCopyHandOverMs,
  'post-copy': postCopyHandOverMs,
  'stop-and-copy': handOverMs,
  'save-restore': restoreMs,
};

/** A pre-copy that has sent the memory so often counts as one that does not end: it would with writing at 97 % of the bandwidth. */
export const copyTimesMax = 30;
/** Bounds the calculation; rounds so short that they reach it make no progress. */
const roundsMax = 1000;

const pageBytes = 4096;
/** QEMU's `save_page_header`: offset and flags in 8 bytes before each page (the block's name only where the block changes). */
const pageHeaderBytes = 8;
/** `save_zero_page_to_file`: the header and one byte. */
const zeroPageBytes = 9;
const streamPerPage = (pageBytes + pageHeaderBytes) / pageBytes;
const streamPerZeroPage = zeroPageBytes / pageBytes;

/** `MAX_WAIT` in `ram_save_iterate`: between two looks at what remains QEMU sends for up to 50 ms; so it looks 25 ms late on average. */
const lateSeconds = 0.025;
/** `BUFFER_DELAY`: QEMU knows its bandwidth, and so when to stop, no earlier than this. */
const firstMeasureSeconds = 0.1;
/** `migration_trigger_throttle` judges periods of at least a second: more than half as much written as sent, for the second time. */
const throttlePeriodSeconds = 1;
const throttleTriggerShare = 0.5;
const throttlePercentMax = 99;

/** Any load, any options, any bandwidth: all figures are finite and none is negative. `channel` is without the options' cap. */
export function costOf(options: TransferOptions, load: MemoryLoad, channelBytesPerSecond: number): Cost {
  const channel = Math.max(1, amount(channelBytesPerSecond, 2 ** 60));
  const cap = amount(options.bandwidthBytesPerSecond, channel);
  // Several streams and compression: what they gain depends on the host and on what the VM writes, so that nothing is counted on
  // in their favour; what they gained earlier comes in with the corrections, which are kept apart for each of them.
  const bytesPerSecond = cap > 0 ? Math.max(1, cap) : channel;
  const once = streamOf(load);
  const onceMs = (once / bytesPerSecond) * 1000;
  const { method } = options;
  switch (method) {
    case 'pre-copy':
      return preCopy(options, load, bytesPerSecond);
    case 'hybrid':
      return hybrid(options, load, bytesPerSecond);
    case 'post-copy':
      return postCopied({ bytesPerSecond, bytes: once, missingBytes: load.usedBytes, rounds: 1 }, load);
    case 'stop-and-copy':
      return stopped(onceMs + handOverMs, once);
    case 'save-restore':
      // Written, sent, read.
      return stopped(onceMs + 2 * (once / diskBytesPerSecond) * 1000 + restoreMs, once);
    default:
      return method satisfies never;
  }
}

function stopped(durationMs: number, bytes: number): Cost {
  return { totalMs: durationMs, downtimeMs: durationMs, bytes, rounds: 1, converges: true };
}

interface PostCopied {
  readonly bytesPerSecond: number;
  /** All that is sent, the missing included. */
  readonly bytes: number;
  readonly missingBytes: number;
  readonly rounds: number;
}

/** A client waits for what the VM needs first, of what is missing when it starts. */
function postCopied({ bytesPerSecond, bytes, missingBytes, rounds }: PostCopied, load: MemoryLoad): Cost {
  const needed = Math.min(missingBytes, answerBytes + load.workingSetBytes / 2, answerBytesMax);
  const downtimeMs = (needed / bytesPerSecond) * 1000 + postCopyHandOverMs;
  const totalMs = Math.max(downtimeMs, (bytes / bytesPerSecond) * 1000 + postCopyHandOverMs);
  return { totalMs, downtimeMs, bytes, rounds, converges: true };
}

/** All memory once. */
function streamOf(load: MemoryLoad): number {
  return load.usedBytes * streamPerPage + (load.memoryBytes - load.usedBytes) * streamPerZeroPage;
}

function preCopy(options: TransferOptions, load: MemoryLoad, bytesPerSecond: number): Cost {
  const { sentBytes, restBytes, rounds, ended } = copyRounds(options, load, bytesPerSecond, roundsMax);
  const sent = ended ? sentBytes : copyTimesMax * streamOf(load);
  const downtimeMs = (restBytes / bytesPerSecond) * 1000 + handOverMs;
  return { totalMs: (sent / bytesPerSecond) * 1000 + downtimeMs, downtimeMs, bytes: sent + restBytes, rounds, converges: ended };
}

/** One round; then the VM starts on the other side, and what it had written again follows. */
function hybrid(options: TransferOptions, load: MemoryLoad, bytesPerSecond: number): Cost {
  const { sentBytes, restBytes, ended } = copyRounds(options, load, bytesPerSecond, 1);
  const copyMs = ((sentBytes + restBytes) / bytesPerSecond) * 1000;
  const bytes = sentBytes + restBytes;
  if (!ended) return postCopied({ bytesPerSecond, bytes, missingBytes: restBytes, rounds: 2 }, load);
  const downtimeMs = (restBytes / bytesPerSecond) * 1000 + handOverMs;
  return { totalMs: copyMs + handOverMs, downtimeMs, bytes, rounds: 1, converges: true };
}

interface Rounds {
  readonly sentBytes: number;
  /** What is left for the time when the VM is stopped. Both are bytes of the stream. */
  readonly restBytes: number;
  readonly rounds: number;
  readonly ended: boolean;
}

/**
 * A round ends, and the pages written since the last are looked up, when the bitmap of waiting pages falls below bandwidth x downtime
 * limit (`ram_save_pending`, `migration_update_counters`). If it is still below that with them, the VM is stopped. So the rest is
 * mostly just below the limit, and a VM that writes more than the channel carries ends only if all of its working set is.
 * The bitmap counts pages of zeroes in full, which the stream does not: the end of the first round goes by faster than QEMU expects.
 */
function copyRounds(options: TransferOptions, load: MemoryLoad, bytesPerSecond: number, most: number): Rounds {
  const threshold = bytesPerSecond * (amount(options.downtimeMsMax, 2 ** 40) / 1000);
  const lookedAt = Math.max(0, threshold - bytesPerSecond * lateSeconds);
  const once = streamOf(load);
  const streamPerNew = load.memoryBytes === 0 ? streamPerPage : once / load.memoryBytes;
  const throttle = new Throttle(options.autoConverge);
  let left = Math.min(lookedAt, Math.max(0, load.memoryBytes - (bytesPerSecond * firstMeasureSeconds) / streamPerNew));
  let [fresh, again, sentBytes] = [load.memoryBytes, 0, 0];
  for (let rounds = 1; ; rounds += 1) {
    const send = Math.max(0, fresh + again - left);
    const sendFresh = Math.min(fresh, send);
    const stream = sendFresh * streamPerNew + (send - sendFresh) * streamPerPage;
    fresh -= sendFresh;
    again -= send - sendFresh;
    const seconds = stream / bytesPerSecond;
    const written = notWaiting(load, dirtiedBytes(load, seconds, throttle.share), fresh, again);
    again += written;
    sentBytes += stream;
    left = lookedAt;
    const ended = fresh + again <= threshold;
    const restBytes = fresh * streamPerNew + again * streamPerPage;
    if (ended || rounds >= most || sentBytes > copyTimesMax * once) return { sentBytes, restBytes, rounds, ended };
    throttle.afterRound(seconds, stream, written);
  }
}

/**
 * Of what was written, the part that does not wait for being sent already. A VM that goes on page after page writes what was sent
 * long ago, so none of it counts as waiting before the whole set does; part of it does where the limit is large against the set, and
 * the forecast is too long then (18.1 s instead of 12.9 s with 13 MiB/s into 48 MiB, of which 21 MiB may be left).
 */
function notWaiting(load: MemoryLoad, written: number, fresh: number, again: number): number {
  if (written === 0) return 0;
  return Math.min(written * (1 - fresh / load.memoryBytes), Math.max(0, load.workingSetBytes - again));
}

/** QEMU's auto-converge: takes `initialPercent`, then each time `incrementPercent` more, of the VM's time. */
class Throttle {
  readonly #settings: AutoConverge | null;
  #percent = 0;
  #highPeriods = 0;
  #seconds = 0;
  #sent = 0;
  #written = 0;

  constructor(settings: AutoConverge | null) {
    this.#settings = settings;
  }

  /** Of the VM's speed, what is left to it. */
  get share(): number {
    return 1 - this.#percent / 100;
  }

  afterRound(seconds: number, sent: number, written: number): void {
    if (this.#settings === null) return;
    this.#seconds += seconds;
    this.#sent += sent;
    this.#written += written;
    if (this.#seconds < throttlePeriodSeconds) return;
    if (this.#written > this.#sent * throttleTriggerShare) this.#highPeriods += 1;
    [this.#seconds, this.#sent, this.#written] = [0, 0, 0];
    if (this.#highPeriods < 2) return;
    this.#highPeriods = 0;
    const more = this.#percent === 0 ? this.#settings.initialPercent : this.#settings.incrementPercent;
    this.#percent = Math.min(throttlePercentMax, this.#percent + amount(more, throttlePercentMax));
  }
}
