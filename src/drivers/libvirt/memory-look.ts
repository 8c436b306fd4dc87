import { setTimeout as sleep } from 'node:timers/promises';

import type { MemoryInUse, MemoryLook } from '#core/model/forecast.ts';
import { PlimsollError } from '#core/model/result.ts';

import type { LibvirtClient, Wait } from './client.ts';
import { LibvirtError } from './errors.ts';
import { dirtyRateMode, dirtyRateStatus, statsFlag, statsGroup } from './flags.ts';
import type { DomainRef } from './values.ts';
import { numbers } from './vm-stats.ts';

type SignalWait = Wait & { readonly signal: AbortSignal };
type Client = Pick<LibvirtClient, 'startDirtyRateCalc' | 'allDomainStats'>;

const mebibyte = 1024 * 1024;
const kibibyte = 1024;
/** QEMU takes 1 to 60 s. */
const secondsMax = 60;
const pollMs = 100;
/** DIRTYRATE_DEFAULT_SAMPLE_PAGES: 512 of each GiB. */
const grainMib = 2;
/** Beyond the time that was asked for; QEMU hashes the sampled pages twice. */
const answerDeadlineMs = 10_000;
/** An earlier process of the agent may have begun a look of 4 s just before its end. */
const freeDeadlineMs = 5_000;

/** Looks for `forMs`, in whole seconds, which memory a running VM writes: QEMU samples 512 pages per GiB (virDomainStartDirtyRateCalc). */
export async function lookAtMemory(client: Client, domain: DomainRef, forMs: number, wait: SignalWait): Promise<MemoryLook> {
  const seconds = Math.min(secondsMax, Math.max(1, Math.round(forMs / 1_000)));
  // QEMU refuses a second look beside the first: that of an earlier process of the agent, or of a person.
  await untilRate(client, domain, freeDeadlineMs, wait, ({ isMeasuring }) => !isMeasuring);
  try {
    await client.startDirtyRateCalc(domain, seconds, dirtyRateMode.pageSampling, wait);
  } catch (error) {
    throw error instanceof LibvirtError && error.code === 'unsupported' ? cannot(domain, error) : error;
  }
  const endMs = performance.now() + seconds * 1_000 + answerDeadlineMs;
  await sleep(seconds * 1_000, undefined, { signal: wait.signal }).catch(() => undefined);
  const { mebibytesPerSecond } = await untilRate(
    client,
    domain,
    endMs - performance.now(),
    wait,
    (rate) => rate.mebibytesPerSecond !== null,
  );
  if (wait.signal.aborted) throw new PlimsollError('aborted', `the look at the memory of VM ${domain.name} was given up`);
  if (mebibytesPerSecond === null)
    throw new PlimsollError('hypervisor-failed', `QEMU did not say how fast VM ${domain.name} writes its memory; try again`);
  return { forMs: seconds * 1_000, bytes: writtenBytes(mebibytesPerSecond, seconds) };
}

interface DirtyRate {
  readonly isMeasuring: boolean;
  /** Of the look that has ended; null before. */
  readonly mebibytesPerSecond: number | null;
}

/** Asks, at least once, until the rate is as wanted, `limitMs` are over or the signal aborts; resolves with the last answer. */
async function untilRate(
  client: Client,
  domain: DomainRef,
  limitMs: number,
  wait: SignalWait,
  isWanted: (rate: DirtyRate) => boolean,
): Promise<DirtyRate> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const [record] = await client.allDomainStats({ domains: [domain], stats: statsGroup.dirtyRate, flags: statsFlag.noWait }, wait);
    const values = numbers(record?.params ?? []);
    const status = values.get('dirtyrate.calc_status');
    const told = status === dirtyRateStatus.measured ? values.get('dirtyrate.megabytes_per_second') : undefined;
    const rate = { isMeasuring: status === dirtyRateStatus.measuring, mebibytesPerSecond: told ?? null };
    if (isWanted(rate) || performance.now() > endMs || wait.signal.aborted) return rate;
    await sleep(pollMs, undefined, { signal: wait.signal }).catch(() => undefined);
  }
}

/**
 * What a look of whole seconds found, of the whole MiB/s that QEMU tells of it: every hit stands for 2 MiB, and the rate is rounded down
 * (QEMU 7.2 `update_dirtyrate`), so one of 2 MiB/s after 4 s was 8 or 10 MiB: 9. Without that a VM of 2 MiB/s would seem to write an eighth
 * less. A rate of 0 is a VM that is idle far more often than one with a hit that was rounded away.
 */
export function writtenBytes(mebibytesPerSecond: number, seconds: number): number {
  const rate = Math.max(0, Math.floor(mebibytesPerSecond));
  if (rate === 0) return 0;
  const fewest = Math.ceil((rate * seconds) / grainMib);
  const most = Math.ceil(((rate + 1) * seconds) / grainMib) - 1;
  // No hits give such a rate where QEMU samples otherwise than is known here.
  return (most < fewest ? rate * seconds : ((fewest + most) / 2) * grainMib) * mebibyte;
}

/** Used memory as the balloon driver tells it, and at most all that the VM has. */
export async function memoryInUse(client: Client, domain: DomainRef, wait: Wait): Promise<MemoryInUse> {
  const [record] = await client.allDomainStats({ domains: [domain], stats: statsGroup.balloon, flags: statsFlag.noWait }, wait);
  const balloon = numbers(record?.params ?? []);
  const usedBytes = usedBytesOf(balloon);
  const maximum = balloon.get('balloon.maximum');
  const boundBytes = usedBytes ?? (maximum === undefined ? null : maximum * kibibyte);
  return { usedBytes, boundBytes, grainBytes: grainMib * mebibyte };
}

/**
 * Memory that the guest has in use, from what its balloon driver reports (virDomainMemoryStats): its kernel counts itself in, because
 * only what is free is taken from the whole. Null without balloon driver or statistics period. The process's resident memory would
 * be too much: an emulating QEMU keeps up to 1 GiB of translated code.
 */
export function usedBytesOf(balloon: ReadonlyMap<string, number>): number | null {
  const whole = balloon.get('balloon.current') ?? balloon.get('balloon.maximum');
  const unused = balloon.get('balloon.unused');
  if (whole === undefined || unused === undefined || unused > whole) return null;
  return (whole - unused) * kibibyte;
}

function cannot(domain: DomainRef, cause: unknown): PlimsollError {
  const advice = 'a prediction needs libvirt 7.2 and QEMU 5.2 or newer';
  return new PlimsollError('method-unsupported', `this hypervisor does not measure how VM ${domain.name} writes its memory; ${advice}`, {
    cause,
  });
}
