import type { ChannelEndResource, ChannelResource, ProveResource, ResetResource, StreamResource, TuneResource } from '#wire/channel-api.ts';
import { formatAge, formatBytes, formatDuration, formatPercent, formatRate, printable, unknown } from './format.ts';
import { proofFields, tuningText } from './protection-printer.ts';
import { type Column, fields, table } from './table.ts';

/** All channels, one line each. */
export function printChannels(channels: readonly ChannelResource[], nowMs: number): string {
  const columns: readonly Column<ChannelResource>[] = [
    { title: 'HOST', value: (channel) => channel.hostA },
    { title: 'HOST', value: (channel) => channel.hostB },
    { title: 'STATE', value: (channel) => channel.state },
    { title: 'MODE', value: modeOf },
    { title: 'ALGORITHMS', value: algorithmsOf },
    { title: 'BYTES', align: 'right', value: bytesOf },
    { title: 'MSS', align: 'right', value: (channel) => String(channel.ends[0]?.tuned?.mssBytes ?? unknown) },
    { title: 'MIGRATION', value: (channel) => channel.migrationId ?? unknown },
    { title: 'MEASURED', value: ({ tuning }) => formatAge(tuning?.measuredAtMs ?? null, nowMs) },
  ];
  return table(columns, channels, "No channels: one is made for each migration, or with 'plimsoll channel prove HOST HOST --keep'.");
}

/** One channel with both its ends. */
export function printChannel(channel: ChannelResource, nowMs: number): string {
  const { tuning } = channel;
  return [
    fields([
      ['channel', `${channel.hostA} - ${channel.hostB}`],
      ['state', channel.state],
      ['profile of the policy', channel.profile],
      ['migration', channel.migrationId ?? 'none under way'],
      ['packet sizes', tuning === null ? 'not measured' : `${tuningText(tuning)}, ${formatAge(tuning.measuredAtMs, nowMs)}`],
    ]),
    ...channel.ends.flatMap((end) => ['', printEnd(end)]),
  ].join('\n');
}

/** Whether the proof held, and what it showed. */
export function printProve(prove: ProveResource): string {
  const verdict =
    prove.proof === null
      ? `NOT PROVEN: ${prove.refusal?.code ?? 'internal'}: ${printable(prove.refusal?.message ?? 'no reason was given')}`
      : 'proven';
  const after = prove.kept ? "left up: 'plimsoll channel reset' takes it down" : 'taken down again';
  return fields([
    ['from', prove.fromHostId],
    ['to', prove.toHostId],
    ['verdict', verdict],
    ...(prove.proof === null ? [] : proofFields(prove.proof)),
    ['afterwards', after],
    ['took', formatDuration(prove.tookMs)],
  ]);
}

/** Predicted and measured, before and after. */
export function printTune(tune: TuneResource): string {
  const { record } = tune;
  const rows = [
    { what: 'MTU', before: String(record.mtuBeforeBytes), after: String(record.mtuAfterBytes), ratio: '' },
    { what: 'MSS', before: String(record.mssBeforeBytes), after: String(record.mssAfterBytes), ratio: '' },
    {
      what: 'packets for the same bytes, predicted',
      before: '1',
      after: ratioOf(tune.packetRatioPredicted),
      ratio: changeOf(tune.packetRatioPredicted),
    },
    {
      what: 'packets for the same bytes, measured',
      before: packetsOf(tune.before),
      after: packetsOf(tune.after),
      ratio: tune.packetRatioMeasured === null ? unknown : changeOf(tune.packetRatioMeasured),
    },
    { what: 'throughput, measured', before: rateOf(tune.before), after: rateOf(tune.after), ratio: throughputChange(tune) },
  ];
  return [
    fields([
      ['channel', `${tune.fromHostId} -> ${tune.toHostId}, ${tune.profile}`],
      ['path MTU', `${record.pathMtuBytes} bytes both ways, limited by ${record.limitedBy}`],
      ['because', tune.reason],
      ['overhead', `${record.overheadBytes} bytes in a full packet`],
    ]),
    '',
    table(
      [
        { title: '', value: (row: (typeof rows)[number]) => row.what },
        { title: 'BEFORE', align: 'right', value: (row) => row.before },
        { title: 'AFTER', align: 'right', value: (row) => row.after },
        { title: 'CHANGE', align: 'right', value: (row) => row.ratio },
      ],
      rows,
      '',
    ),
    '',
    verdictOf(tune),
  ].join('\n');
}

/** What became of both ends. */
export function printReset(reset: ResetResource): string {
  return reset.ends
    .map(({ hostId, refusal }) =>
      refusal === null
        ? `${hostId}: the channel is closed, network settings are as they were`
        : `${hostId}: NOT RESET: ${refusal.code}: ${printable(refusal.message)}`,
    )
    .join('\n');
}

function printEnd(end: ChannelEndResource): string {
  if (end.refusal !== null) return fields([[end.hostId, `does not say: ${end.refusal.code}: ${end.refusal.message}`]]);
  const { sa, guard, errors, tuned } = end;
  return fields([
    ['host', end.hostId],
    ['IPsec', end.backend ?? 'away'],
    [
      'SA',
      sa === null
        ? 'none'
        : `${sa.protocol} ${sa.state}, ${sa.mode}${sa.udpEncapsulated ? ' in UDP' : ''}${sa.outer === null ? '' : ' inside AH'}`,
    ],
    ...(sa === null ? [] : [['SPIs', `${sa.spiOut} out, ${sa.spiIn} in, ${sa.replaced.length} replaced`] as const]),
    ...(sa === null ? [] : [['carried', `${formatBytes(sa.bytesOut)} out, ${formatBytes(sa.bytesIn)} in`] as const]),
    ['guard', guardText(guard)],
    [
      'refused packets',
      errors === null
        ? unknown
        : `${errors.integrityPackets} integrity, ${errors.replayPackets} replay, ${errors.unknownSpiPackets} unknown SPI, ${errors.plainTextPackets} plain text`,
    ],
    [
      'settings',
      tuned === null
        ? 'none'
        : `MSS ${tuned.mssBytes ?? unknown}, route MTU ${tuned.routeMtuBytes ?? unknown}, interface MTU ${tuned.interfaceMtuBytes ?? unknown}`,
    ],
  ]);
}

function guardText(guard: ChannelEndResource['guard']): string {
  if (guard === null) return unknown;
  if (!guard.installed) return 'NOT INSTALLED';
  const exempt = guard.exemptPeers.length === 0 ? '' : `, PLAIN TEXT ALLOWED with ${guard.exemptPeers.join(', ')}`;
  return `installed, dropped ${guard.droppedOutPackets} out and ${guard.droppedInPackets} in${exempt}`;
}

function modeOf({ ends }: ChannelResource): string {
  const sa = ends[0]?.sa ?? ends[1]?.sa;
  return sa ? `${sa.outer === null ? '' : 'ah+'}${sa.protocol} ${sa.mode}` : unknown;
}

function algorithmsOf({ ends }: ChannelResource): string {
  const sa = ends[0]?.sa ?? ends[1]?.sa;
  return sa ? [sa.encryption, sa.integrity].filter((name) => name !== null && name !== 'none').join(' ') : unknown;
}

function bytesOf({ ends }: ChannelResource): string {
  const sa = ends[0]?.sa;
  return sa ? formatBytes(sa.bytesOut + sa.bytesIn) : unknown;
}

function ratioOf(ratio: number): string {
  return ratio.toFixed(2);
}

/** `-63 %` */
function changeOf(ratio: number): string {
  const percent = (ratio - 1) * 100;
  if (Math.abs(percent) < 0.5) return '0 %';
  return percent < 0 ? `-${formatPercent(-percent)}` : `+${formatPercent(percent)}`;
}

function packetsOf(stream: StreamResource | null): string {
  return stream === null ? unknown : `${stream.packetsOut} for ${formatBytes(stream.bytes)}`;
}

function rateOf(stream: StreamResource | null): string {
  return stream === null ? 'nothing came through' : formatRate(stream.bytesPerSecond);
}

function throughputChange({ before, after }: TuneResource): string {
  return before === null || after === null ? unknown : changeOf(after.bytesPerSecond / before.bytesPerSecond);
}

function verdictOf(tune: TuneResource): string {
  if (tune.record.kept === 'before') return 'The settings before are better: nothing was changed.';
  if (tune.applied) return 'The settings after are better and stay until the channel is closed or reset. Migrations of this pair use them.';
  return 'The settings after are better. Nothing was changed: --apply keeps them. Migrations of this pair use them in any case.';
}
