import { formatBytes } from '#cli/format.ts';
import { table } from '#cli/table.ts';
import { authenticationOf, type Combination } from './combinations.ts';
import type { Carriage, Plain, Refused } from './measure.ts';

type Row = readonly string[];

const titles = [
  'PROFILE',
  'SUITE',
  'AUTHENTICATION',
  'NEGOTIATED',
  'TOTAL',
  'DOWNTIME',
  'SILENCE',
  'ESP',
  'HYPERVISOR',
  'ESP/HV',
  'PACKETS',
  'SEGMENT',
  'PACKET',
  'MARKERS',
] as const;
const firstFigure = titles.indexOf('TOTAL');

const none = '-';

function chosen(combination: Combination): Row {
  return [combination.profile, combination.suite, authenticationOf(combination)];
}

function carriedRow({ combination, migration, espBytes, hypervisorBytes, silenceMs, scan, markers, ...sizes }: Carriage): Row {
  const { proof, outcome } = migration;
  const negotiated = [proof?.encryption, proof?.integrity, proof?.keyExchange].filter((name) => typeof name === 'string');
  const ratio = espBytes === null || !hypervisorBytes ? none : (espBytes / hypervisorBytes).toFixed(3);
  const times = [outcome?.totalMs, outcome?.downtimeMs, silenceMs].map((ms) => (typeof ms === 'number' ? `${Math.round(ms)} ms` : none));
  const bytes = [espBytes, hypervisorBytes].map((count) => (count === null ? none : formatBytes(count)));
  return [...chosen(combination), negotiated.join(' '), ...times, ...bytes, ratio, `${scan.packets}`, ...sizeCells(sizes), `${markers}`];
}

/** As captured; with the prediction where that is another. */
function sizeCells({ predicted, captured }: Pick<Carriage, 'predicted' | 'captured'>): Row {
  const cell = (is: number, should: number): string => (is === should ? `${is}` : `${is}, NOT ${should}`);
  return [cell(captured.payloadBytes, predicted.payloadBytes), cell(captured.packetBytes, predicted.packetBytes)];
}

function refusedRow({ combination, code }: Refused): Row {
  return [...chosen(combination), `refused: ${code}`];
}

function plainRow({ scan, markers }: Plain): Row {
  const figures = [none, none, none, none, none, none, `${scan.packets}`, none, none, `${markers}`];
  return ['(none: the control arm)', none, none, 'plain text', ...figures];
}

/**
 * One table of everything that was tried. DOWNTIME is the hypervisor's word, SILENCE that of a client of the VM; SEGMENT and PACKET are
 * bytes of user data in a full TCP segment and of the packet on the wire that carries it, as predicted and captured.
 */
export function printRows(carriages: readonly Carriage[], refusals: readonly Refused[], plain: Plain): string {
  const rows = [...carriages.map(carriedRow), ...refusals.map(refusedRow), plainRow(plain)];
  const columns = titles.map((title, index) => ({
    title,
    align: index < firstFigure ? ('left' as const) : ('right' as const),
    value: (row: Row) => row[index] ?? none,
  }));
  return table(columns, rows, 'nothing was tried');
}
