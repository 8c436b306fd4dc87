import { setTimeout as sleep } from 'node:timers/promises';

import { activityFrom, type MemoryLook } from '#core/migration/prediction.ts';
import type { MemoryActivity } from '#core/model/forecast.ts';
import { PlimsollError } from '#core/model/result.ts';

import type { LibvirtClient, Wait } from './client.ts';
import { LibvirtError } from './errors.ts';
import { dirtyRateMode, dirtyRateStatus, statsFlag, statsGroup } from './flags.ts';
import type { DomainRef } from './values.ts';
import { numbers } from './vm-stats.ts';

type SignalWait = Wait & { readonly signal: AbortSignal };

const mebibyte = 1024 * 1024;
const kibibyte = 1024;
/** QEMU takes 1 to 60 s. */
const secondsMax = 60;
const pollMs = 100;
/** DIRTYRATE_DEFAULT_SAMPLE_PAGES: 512 of each GiB. */
const grainBytes = 2 * mebibyte;
/** Beyond the time that was asked for; QEMU hashes the sampled pages twice. */
const answerDeadlineMs = 10_000;

/**
 * Looks twice which memory a running VM writes: for a second, and for the rest of `durationMs` in whole seconds; once below 2 s.
 *
 * QEMU samples 512 pages per GiB (virDomainStartDirtyRateCalc, DIRTYRATE_DEFAULT_SAMPLE_PAGES) and answers in whole MiB/s, so a small
 * VM's figure is coarse: one page in a guest of 192 MiB stands for 2 MiB.
 */
export async function lookAtMemory(
  client: LibvirtClient,
  domain: DomainRef,
  durationMs: number,
  wait: SignalWait,
): Promise<MemoryActivity> {
  const long = Math.min(secondsMax, Math.max(0, Math.round((durationMs - 1_000) / 1_000)));
  const short = await look(client, domain, 1, wait);
  const longer = long === 0 ? short : await look(client, domain, long, wait);
  const [record] = await client.allDomainStats({ domains: [domain], stats: statsGroup.balloon, flags: statsFlag.noWait }, wait);
  const balloon = numbers(record?.params ?? []);
  const usedBytes = usedBytesOf(balloon);
  const maximum = balloon.get('balloon.maximum');
  const bound = usedBytes ?? (maximum === undefined ? null : maximum * kibibyte);
  return {
    measuredAtMs: Date.now(),
    measuredForMs: short.forMs + (long === 0 ? 0 : longer.forMs),
    usedBytes,
    ...activityFrom(short, longer, bound, grainBytes),
  };
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

async function look(client: LibvirtClient, domain: DomainRef, seconds: number, wait: SignalWait): Promise<MemoryLook> {
  try {
    await client.startDirtyRateCalc(domain, seconds, dirtyRateMode.pageSampling, wait);
  } catch (error) {
    throw error instanceof LibvirtError && error.code === 'unsupported' ? cannot(domain, error) : error;
  }
  const endMs = performance.now() + seconds * 1_000 + answerDeadlineMs;
  await sleep(seconds * 1_000, undefined, { signal: wait.signal }).catch(() => undefined);
  while (performance.now() < endMs && !wait.signal.aborted) {
    const [record] = await client.allDomainStats({ domains: [domain], stats: statsGroup.dirtyRate, flags: statsFlag.noWait }, wait);
    const values = numbers(record?.params ?? []);
    const rate = values.get('dirtyrate.megabytes_per_second');
    if (values.get('dirtyrate.calc_status') === dirtyRateStatus.measured && rate !== undefined) {
      return { forMs: seconds * 1_000, bytes: Math.max(0, rate) * mebibyte * seconds };
    }
    await sleep(pollMs, undefined, { signal: wait.signal }).catch(() => undefined);
  }
  if (wait.signal.aborted) throw new PlimsollError('aborted', `the look at the memory of VM ${domain.name} was given up`);
  throw new PlimsollError('hypervisor-failed', `QEMU did not say how fast VM ${domain.name} writes its memory; try again`);
}

function cannot(domain: DomainRef, cause: unknown): PlimsollError {
  const advice = 'a prediction needs libvirt 7.2 and QEMU 5.2 or newer';
  return new PlimsollError('method-unsupported', `this hypervisor does not measure how VM ${domain.name} writes its memory; ${advice}`, {
    cause,
  });
}
