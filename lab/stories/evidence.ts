/** What every story claims of its moves, its guests and the wire. */
import { formatBytes, formatPercent } from '#cli/format.ts';
import { type ScanResult, waitFor } from '#lab/api.ts';
import { judgeSamples } from '#test/faults/oracle/judge.ts';
import type { Moved } from './move-teller.ts';
import type { Stage } from './stage.ts';
import { check, type Check, startLinePercent } from './story.ts';
import { markersRead, plainMigrationPackets } from './wire.ts';

const beatsMore = 20;
const beatMsMax = 60_000;

export async function commonChecks(stage: Stage, scan: ScanResult): Promise<readonly Check[]> {
  return [...receiptChecks(stage.moves.moved), ...wireChecks(scan), ...copyChecks(stage), ...(await guestChecks(stage))];
}

function receiptChecks(moved: readonly Moved[]): readonly Check[] {
  const good = moved.filter(({ valid, statement: { outcome, channel } }) => valid && outcome === 'moved' && channel.kind === 'ipsec');
  const covered = good.filter(({ statement }) => statement.channel.traffic?.coversHypervisorBytes === true);
  const sent = moved.reduce((sum, { statement }) => sum + (statement.channel.traffic?.bytesOut ?? 0), 0);
  const longestMs = Math.max(0, ...moved.map(({ statement }) => statement.transfer?.downtimeMs ?? Number.POSITIVE_INFINITY));
  return [
    check(
      'every move has a receipt with a valid signature, by which IPsec carried all that QEMU sent',
      moved.length > 0 && covered.length === moved.length,
      `${covered.length} of ${moved.length}, ${formatBytes(sent)} in ESP, longest downtime ${Math.round(longestMs)} ms`,
    ),
  ];
}

function wireChecks(scan: ScanResult): readonly Check[] {
  const esp = scan.kinds['esp-in-udp'] ?? 0;
  const [plain, markers] = [plainMigrationPackets(scan), markersRead(scan)];
  return [
    check(
      'on the wire the migrations are ESP only',
      esp > 1000 && plain === 0 && markers === 0,
      `${esp} ESP, ${plain} plain, ${markers} readable`,
    ),
  ];
}

/** By the word of every QEMU, asked each 50 ms since before the load began. */
function copyChecks({ lab, oracle }: Stage): readonly Check[] {
  const silent = { duplicates: 0, largestGapMs: 0 };
  const sights = lab.guests.map(({ name }) => ({ name, sight: judgeSamples(oracle.guest(name).samples, silent, Date.now()) }));
  const twice = sights.filter(({ sight }) => sight.twoCopies).map(({ name }) => name);
  const elsewhere = sights.filter(({ sight }) => sight.runsOn.length !== 1 || sight.otherCopiesOn.length > 0).map(({ name }) => name);
  const samples = lab.guests.reduce((sum, { name }) => sum + oracle.guest(name).samples.length, 0);
  return [
    check(
      'no VM ran twice at any moment, and each has one copy now',
      twice.length === 0 && elsewhere.length === 0,
      [
        `${samples} answers of QEMU`,
        ...twice.map((name) => `${name} ran twice`),
        ...elsewhere.map((name) => `${name} has not one copy`),
      ].join(', '),
    ),
  ];
}

/** By their own beats, memory, kernel logs and disks. */
async function guestChecks({ lab, signal }: Stage): Promise<readonly Check[]> {
  const before = new Map((await lab.client.beats()).map((beats) => [beats.guest, beats.received]));
  const beatOn = async () => {
    const beats = await lab.client.beats();
    return beats.length === lab.guests.length && beats.every(({ guest, received }) => received > (before.get(guest) ?? 0) + beatsMore);
  };
  const alive = await waitFor(beatOn, { what: 'every guest to beat on', timeoutMs: beatMsMax, intervalMs: 250, signal }).catch(() => false);
  const beats = await lab.client.beats();
  const sick = beats.filter(
    (beat) => beat.boots !== 1 || beat.duplicates > 0 || beat.memoryErrors > 0 || beat.diskErrors > 0 || beat.kernelTroubles > 0,
  );
  const disks = await Promise.all(lab.guests.map(async (guest) => ({ name: guest.name, log: await guest.diskLog() })));
  const torn = disks.filter(({ log }) => log.records === 0 || log.firstBadRecord !== undefined);
  const pages = beats.reduce((sum, beat) => sum + beat.pagesChecked, 0);
  const records = disks.reduce((sum, { log }) => sum + log.records, 0);
  return [
    check(
      'every guest beats on, was never started anew, and its memory, kernel and disk are sound',
      alive && sick.length === 0 && torn.length === 0,
      [
        `${pages} pages and ${records} disk records checked`,
        ...sick.map(({ guest }) => `${guest} is not sound`),
        ...torn.map(({ name }) => `the disk of ${name} is torn`),
      ].join(', '),
    ),
  ];
}

/** `vm1 host1 -> host2` */
export function wentText({ migration: { request } }: Moved): string {
  return `${request.vmName} ${request.fromHostId} -> ${request.toHostId}`;
}

/** Every host, by Plimsoll's figures now and by the kernel's account since then. */
export function belowLine({ lab, cpu, hosts }: Stage, sinceMs: number): Check {
  const means = lab.hosts.map(({ name }) => ({ name, percent: cpu.meanPercent(name, sinceMs) }));
  return check(
    `every host is below its line of ${startLinePercent} %, by the kernel's account as well`,
    means.every(({ percent }) => percent > 0 && percent <= startLinePercent) && hosts.every(({ overLine }) => !overLine),
    means.map(({ name, percent }) => `${name} ${formatPercent(percent)}`).join(', '),
  );
}
