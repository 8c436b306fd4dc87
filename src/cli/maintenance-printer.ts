import type { MaintenanceHostResource, MaintenancePreviewResource, MaintenanceResource } from '#wire/maintenance-api.ts';
import { printDrainPreview } from './drain-printer.ts';
import { formatAge, printable } from './format.ts';
import { type Column, fields, table } from './table.ts';

/** Each host in its turn, then what is away, then what to do. */
export function printMaintenance(maintenance: MaintenanceResource, nowMs: number, width?: number): string {
  const { hosts, parallel, until, by, reason, outcome } = maintenance;
  const columns: readonly Column<MaintenanceHostResource>[] = [
    { title: '#', align: 'right', value: (host) => String(hosts.indexOf(host) + 1) },
    { title: 'HOST', value: ({ hostId }) => hostId },
    { title: 'PHASE', value: ({ phase }) => phase },
    { title: 'FOR', align: 'right', value: ({ phaseSinceMs }) => ageOf(phaseSinceMs, nowMs) },
    { title: 'VMS', value: vmsOf },
    { title: 'WAITS FOR', value: (host) => waitsFor(host, maintenance) },
  ];
  const done = hosts.filter(({ phase }) => phase === 'done').length;
  return [
    fields([
      ['maintenance', outcome === null ? `under way for ${ageOf(maintenance.startedAtMs, nowMs)}` : outcome],
      [
        'hosts',
        `${done} of ${hosts.length} done, ${parallel} at a time, each until ${until === 'ready' ? 'somebody says that it is ready' : 'it has rebooted'}`,
      ],
      ['asked by', reason === '' ? by : `${by} (${reason})`],
    ]),
    '',
    table(columns, hosts, '', width),
    ...awayBlock(hosts, width),
    ...nextOf(maintenance),
  ].join('\n');
}

/** What each host's drain would do, in their order. */
export function printMaintenancePreview({ refusal, hosts }: MaintenancePreviewResource, width?: number): string {
  const blocks = hosts.map(({ drain, fault }, index) =>
    [
      printable(`${index + 1}. ${drain.hostId}${fault === null ? '' : `: would not be begun now, ${fault}`}`),
      printDrainPreview(drain, width),
    ].join('\n'),
  );
  const last =
    refusal === null ? 'Each is judged as the cluster is now, and again when its turn has come.' : `It would be refused: ${refusal}`;
  return [...blocks, printable(last)].join('\n\n');
}

function ageOf(sinceMs: number, nowMs: number): string {
  return formatAge(sinceMs, nowMs).replace(/ ago$/, '');
}

function vmsOf({ phase, moving, waiting, away, stays }: MaintenanceHostResource): string {
  if (phase === 'waiting') return '';
  const counts = [
    [moving, 'moving'],
    [waiting, 'waiting'],
    [away.length, 'away'],
    [stays.length, 'staying'],
  ] as const;
  return counts.flatMap(([amount, word]) => (amount === 0 ? [] : [`${amount} ${word}`])).join(', ');
}

function waitsFor({ hostId, phase, held }: MaintenanceHostResource, { outcome, until }: MaintenanceResource): string {
  if (outcome !== null) return '';
  if (held !== null) return held;
  if (phase !== 'empty') return '';
  return until === 'ready' ? `plimsoll maintenance ready ${hostId}` : 'its reboot';
}

interface Away {
  readonly home: string;
  readonly vmName: string;
  readonly hostId: string | null;
}

const awayColumns: readonly Column<Away>[] = [
  { title: 'VM', value: ({ vmName }) => vmName },
  { title: 'FROM', value: ({ home }) => home },
  { title: 'NOW ON', value: ({ hostId }) => hostId ?? 'not known' },
];

function awayBlock(hosts: readonly MaintenanceHostResource[], width: number | undefined): readonly string[] {
  const away = hosts.flatMap((host) => host.away.map(({ vmName, hostId }): Away => ({ home: host.hostId, vmName, hostId })));
  return away.length === 0 ? [] : ['', 'Away:', table(awayColumns, away, '', width)];
}

/** A cancelled one leaves hosts closed and VMs elsewhere; somebody has to know which. */
function nextOf({ hosts, outcome }: MaintenanceResource): readonly string[] {
  if (outcome !== 'cancelled') return [];
  const open = hosts.filter(({ phase }) => phase !== 'waiting' && phase !== 'done');
  if (open.length === 0) return ['', printable('No host is left closed by it.')];
  return ['', ...open.map(({ hostId }) => printable(`${hostId}: 'plimsoll host restore ${hostId}' opens it and brings its VMs back.`))];
}
