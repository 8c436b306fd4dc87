import type { CordonResource, DrainPreviewResource, DrainResource } from '#wire/placement-api.ts';
import { formatAge, printable } from './format.ts';
import { type Column, fields, table } from './table.ts';

type Stay = DrainResource['stays'][number];
type Step = DrainPreviewResource['steps'][number];

export function printCordon({ hostId, reason }: CordonResource): string {
  const why = reason === '' ? '' : ` (${reason})`;
  return printable(`${hostId} is cordoned${why}: it takes no new VMs, those that run there stay.`);
}

/** Where a drain stands: one line, and then the VMs. */
export function printDrain(drain: DrainResource, nowMs: number, width?: number): string {
  const { hostId, phase, by, reason, moving, waiting, away, stays } = drain;
  const isBack = phase === 'restoring' || phase === 'restored';
  // What only has to wait for the next samples, or for its next try, is not stuck.
  const [later, stuck] = [stays.filter(({ passing }) => passing), stays.filter(({ passing }) => !passing)];
  const awayLine = isBack ? `${away.length} not back yet` : `${away.length} moved away`;
  return [
    fields([
      ['host', hostId],
      ['phase', `${phase} for ${formatAge(drain.phaseSinceMs, nowMs).replace(/ ago$/, '')}`],
      ['asked by', reason === '' ? by : `${by} (${reason})`],
      ['VMs', `${moving.length} moving, ${waiting + later.length} waiting, ${awayLine}, ${stuck.length} staying`],
    ]),
    ...block('Moving', table(movingColumns, moving, '', width), moving.length),
    ...block(isBack ? 'Not back' : 'Moved away', table(awayColumns, away, '', width), away.length),
    ...block('Waits', table(stayColumns, later, '', width), later.length),
    ...block('Cannot be moved', table(stayColumns, stuck, '', width), stuck.length),
    ...unseenLine(drain),
    ...nextOf(drain),
  ].join('\n');
}

/** What a drain would do. */
export function printDrainPreview(preview: DrainPreviewResource, width?: number): string {
  const { hostId, steps, stays } = preview;
  const columns: readonly Column<Step>[] = [
    { title: '#', align: 'right', value: (step) => String(steps.indexOf(step) + 1) },
    { title: 'VM', value: ({ vmName }) => vmName },
    { title: 'TO', value: ({ toHostId }) => toHostId },
    { title: 'BECAUSE', value: ({ reason }) => reason },
  ];
  return [
    table(columns, steps, printable(`No VM would be moved off ${hostId}.`), width),
    ...block('Cannot be moved', table(stayColumns, stays, '', width), stays.length),
    ...unseenLine(preview),
  ].join('\n');
}

/** Said where an empty list could be taken for an empty host. */
function unseenLine(drain: Pick<DrainPreviewResource, 'unseen'> & Partial<Pick<DrainResource, 'phase'>>): readonly string[] {
  if (drain.unseen === null || (drain.phase !== undefined && drain.phase !== 'draining')) return [];
  return ['', printable(`What runs there now is not known: ${drain.unseen}.`)];
}

function block(title: string, lines: string, rows: number): readonly string[] {
  return rows === 0 ? [] : ['', `${title}:`, lines];
}

const movingColumns: readonly Column<DrainResource['moving'][number]>[] = [
  { title: 'VM', value: ({ vmName }) => vmName },
  { title: 'FROM', value: ({ fromHostId }) => fromHostId },
  { title: 'TO', value: ({ toHostId }) => toHostId },
  { title: 'MIGRATION', value: ({ migrationId }) => migrationId },
];

const awayColumns: readonly Column<DrainResource['away'][number]>[] = [
  { title: 'VM', value: ({ vmName }) => vmName },
  { title: 'NOW ON', value: ({ hostId }) => hostId ?? 'not known' },
];

const stayColumns: readonly Column<Stay>[] = [
  { title: 'VM', value: ({ vmName }) => vmName },
  { title: 'CODE', value: ({ code }) => code },
  { title: 'WHY', value: ({ reason }) => reason },
];

function nextOf({ hostId, phase, settled, away, stays }: DrainResource): readonly string[] {
  if (phase === 'drained') return ['', printable(`${hostId} is empty. When it is back: plimsoll host restore ${hostId}`)];
  if (phase === 'cancelled')
    return [
      '',
      printable(
        `Nothing more is moved; ${hostId} is still cordoned: 'plimsoll host uncordon ${hostId}' opens it, 'plimsoll host restore ${hostId}' also brings its VMs back.`,
      ),
    ];
  if (phase === 'restored' && away.length > 0)
    return ['', printable(`What did not fit stays where it is; it can be moved with 'plimsoll migrate VM ${hostId}'.`)];
  if (phase === 'draining' && settled && stays.length > 0)
    return ['', printable(`It goes on as soon as one of them can leave; 'plimsoll host drain ${hostId} --cancel' ends it.`)];
  return [];
}
