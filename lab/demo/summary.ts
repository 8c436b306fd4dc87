import type { HostResource, ReceiptResource } from '#wire/api.ts';
import { formatBytes, formatDuration, formatPercent } from '#cli/format.ts';
import { table } from '#cli/table.ts';
import type { DiskLog, GuestBeats, Lab, ScanResult } from '#lab/api.ts';
import type { ControlArm } from './control-arm.ts';
import { story } from './story.ts';
import type { Watched } from './watch.ts';

export interface Findings {
  readonly before: readonly HostResource[];
  readonly after: readonly HostResource[];
  readonly watched: readonly Watched[];
  readonly receipts: readonly ReceiptResource[];
  readonly beats: readonly GuestBeats[];
  readonly disks: readonly { readonly guest: string; readonly log: DiskLog }[];
  readonly wire: ScanResult;
  readonly control: ControlArm;
}

interface Check {
  readonly what: string;
  readonly holds: boolean;
  readonly seen: string;
}

export function loadTable(before: readonly HostResource[], after: readonly HostResource[]): string {
  const was = new Map(before.map((host) => [host.hostId, host]));
  const rows = after.map((host) => ({ now: host, was: was.get(host.hostId) }));
  return table(
    [
      { title: 'HOST', value: ({ now }) => now.hostId },
      { title: 'CPU BEFORE', value: (row) => formatPercent(row.was?.cpuPercent ?? null), align: 'right' },
      { title: 'CPU AFTER', value: ({ now }) => formatPercent(now.cpuPercent), align: 'right' },
      { title: 'VMS BEFORE', value: (row) => String(row.was?.vms ?? 0), align: 'right' },
      { title: 'VMS AFTER', value: ({ now }) => String(now.vms), align: 'right' },
      { title: 'LINE', value: ({ now }) => (now.overLine ? 'OVER' : 'under') },
    ],
    rows,
    'no host',
  );
}

export function migrationTable({ watched, receipts }: Findings): string {
  const rows = watched.map(({ migration, probe }) => ({
    migration,
    probe,
    channel: channelOf(receipts.find((receipt) => receipt.migrationId === migration.request.migrationId)),
  }));
  return table(
    [
      { title: 'VM', value: ({ migration }) => migration.request.vmName },
      { title: 'FROM -> TO', value: ({ migration }) => `${migration.request.fromHostId} -> ${migration.request.toHostId}` },
      { title: 'TOTAL', value: ({ migration }) => formatDuration(migration.outcome?.totalMs ?? null), align: 'right' },
      { title: 'DOWNTIME SEEN OUTSIDE', value: ({ probe }) => `${probe.largestGapMs} ms`, align: 'right' },
      { title: 'MEMORY SENT', value: ({ migration }) => formatBytes(migration.outcome?.memorySentBytes ?? null), align: 'right' },
      { title: 'IN ESP', value: ({ channel }) => formatBytes(channel.espBytes), align: 'right' },
      { title: 'SPI', value: ({ channel }) => channel.spi },
      { title: 'ALGORITHM', value: ({ channel }) => channel.algorithm },
    ],
    rows,
    'no migration',
  );
}

function channelOf(receipt: ReceiptResource | undefined): {
  readonly espBytes: number | null;
  readonly spi: string;
  readonly algorithm: string;
} {
  const channel = field(receipt?.statement, 'channel');
  const bytes = field(field(channel, 'traffic'), 'bytesOut');
  const proof = field(channel, 'proof');
  return {
    espBytes: typeof bytes === 'number' ? bytes : null,
    spi: text(field(proof, 'spiSourceToDestination')),
    algorithm: `${text(field(proof, 'encryption'))} ${text(field(proof, 'keyExchange'))}`,
  };
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '-';
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

/** Everything the demo claims, each as a check that can fail. */
export function checksOf(lab: Lab, found: Findings): readonly Check[] {
  const { after, beats, disks, receipts, watched, wire, control } = found;
  const inClear = Object.values(wire.markers).reduce((total, count) => total + count, 0);
  const covered = receipts.filter(
    (receipt) => receipt.valid && field(field(field(receipt.statement, 'channel'), 'traffic'), 'coversHypervisorBytes') === true,
  );
  return [
    check(
      'every host is under its line',
      after.every((host) => !host.overLine),
      after.map((host) => formatPercent(host.cpuPercent)).join(', '),
    ),
    check(
      'guest markers readable on the wire: 0',
      inClear === 0,
      `${inClear} in ${wire.packets} packets (${wire.kinds['esp-in-udp'] ?? 0} of them ESP)`,
    ),
    check(
      '... and with the protection off: more than 0',
      control.markers > 0,
      `${control.markers} (${control.guest}, plain, ${control.from} -> ${control.to})`,
    ),
    check(
      'each migration has a valid receipt, ESP covers its bytes',
      covered.length === watched.length && covered.length > 0,
      `${covered.length} of ${watched.length}`,
    ),
    check(
      'every guest beats, with no gap beyond its downtime',
      beats.length === lab.guests.length && beats.every((beat) => beatsWell(beat, found)),
      describeBeats(beats),
    ),
    check(
      'no guest saw a memory, disk or kernel error',
      beats.every(isHealthy),
      `${sum(beats, (beat) => beat.pagesChecked)} pages checked`,
    ),
    check(
      'the disk checksum logs are intact',
      disks.every(({ log }) => log.records > 0 && log.firstBadRecord === undefined),
      `${sum(disks, ({ log }) => log.records)} records`,
    ),
  ];
}

function check(what: string, holds: boolean, seen: string): Check {
  return { what, holds, seen };
}

function beatsWell(beat: GuestBeats, { watched, control }: Findings): boolean {
  const downtimes = watched.filter(({ migration }) => migration.request.vmName === beat.guest).map(({ probe }) => probe.largestGapMs);
  // The control arm's own migration is not probed; its guest is judged without the gap.
  const allowedMs = Math.max(0, ...downtimes) + story.beatToleranceMs;
  return beat.duplicates === 0 && beat.boots === 1 && (beat.guest === control.guest || beat.largestGapMs <= allowedMs);
}

function isHealthy(beat: GuestBeats): boolean {
  return beat.memoryErrors === 0 && beat.diskErrors === 0 && beat.kernelTroubles === 0;
}

function describeBeats(beats: readonly GuestBeats[]): string {
  return beats.map((beat) => `${beat.guest} ${beat.received} (max gap ${beat.largestGapMs} ms)`).join(', ');
}

function sum<Item>(items: readonly Item[], figure: (item: Item) => number): number {
  return items.reduce((total, item) => total + figure(item), 0);
}
