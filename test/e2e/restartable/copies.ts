/** What the oracle saw of one guest's copies, from a moment on. Times are Unix milliseconds. */
import { waitFor } from '#lab/api.ts';
import type { GuestSight } from '#test/faults/oracle/oracle.ts';
import type { Sample } from '#test/faults/oracle/words.ts';

export interface Seen {
  readonly host: string;
  readonly atMs: number;
}

function runningIn({ copies }: Sample): readonly string[] {
  return Object.keys(copies).filter((host) => copies[host] === 'running');
}

/** Samples in which it ran on more than one host. A start that its lock refuses has a QEMU for a moment, which executes nothing. */
export function doubleSamples({ samples }: GuestSight): readonly Sample[] {
  return samples.filter((sample) => runningIn(sample).length > 1);
}

/** Hosts on which it ran in any sample since then. */
export function ranOnSince({ samples }: GuestSight, sinceMs: number): readonly string[] {
  return [...new Set(samples.filter(({ atMs }) => atMs >= sinceMs).flatMap(runningIn))];
}

/** The first sample since then in which it ran on one of these hosts. */
function runningSince(sight: GuestSight, hosts: readonly string[], sinceMs: number): Seen | undefined {
  return firstSince(sight, runningIn, hosts, sinceMs);
}

/** The same in which it had a QEMU there, whether that ran it yet or not. */
export function begunSince(sight: GuestSight, hosts: readonly string[], sinceMs: number): Seen | undefined {
  return firstSince(sight, ({ copies }) => Object.keys(copies).filter((host) => copies[host] !== 'absent'), hosts, sinceMs);
}

function firstSince(
  { samples }: GuestSight,
  hostsIn: (sample: Sample) => readonly string[],
  hosts: readonly string[],
  sinceMs: number,
): Seen | undefined {
  for (const sample of samples) {
    const host = sample.atMs < sinceMs ? undefined : hostsIn(sample).find((one) => hosts.includes(one));
    if (host !== undefined) return { host, atMs: sample.atMs };
  }
  return undefined;
}

export function untilRunning(sight: GuestSight, hosts: readonly string[], sinceMs: number, timeoutMs: number): Promise<Seen> {
  return waitFor(() => runningSince(sight, hosts, sinceMs), { what: `the guest to run on ${hosts.join(' or ')}`, timeoutMs });
}

/** When its QEMU on that host was gone. */
export function untilGone(sight: GuestSight, host: string, sinceMs: number, timeoutMs: number): Promise<number> {
  const gone = () => sight.samples.find((sample) => sample.atMs >= sinceMs && sample.copies[host] === 'absent')?.atMs;
  return waitFor(gone, { what: `a QEMU on ${host} to be gone`, timeoutMs });
}
