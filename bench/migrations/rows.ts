import { formatBytes } from '#cli/format.ts';
import { type Column, table } from '#cli/table.ts';
import type { HostCost } from '#core/model/measures.ts';
import type { Move, Refusal } from './move.ts';

const none = '-';
const ms = (value: number | null | undefined): string => (typeof value === 'number' ? `${Math.round(value)} ms` : none);

const columns: readonly Column<Move>[] = [
  { title: 'ASKED FOR', value: ({ name }) => name },
  { title: 'WENT BY', value: ({ migration }) => migration.measures?.method ?? migration.failure?.code ?? none },
  { title: 'TOTAL', value: ({ migration }) => ms(migration.measures?.totalMs), align: 'right' },
  { title: 'SAID', value: ({ migration }) => ms(migration.plan?.prediction?.totalMs.expected), align: 'right' },
  { title: 'DOWNTIME', value: ({ migration }) => ms(migration.measures?.hypervisorDowntimeMs), align: 'right' },
  { title: 'SAID', value: ({ migration }) => ms(migration.plan?.prediction?.downtimeMs.expected), align: 'right' },
  { title: 'OUTSIDE', value: ({ migration }) => ms(migration.measures?.outside?.downtimeMs), align: 'right' },
  { title: 'CLIENT', value: ({ probe }) => ms(probe.largestGapMs), align: 'right' },
  { title: 'BYTES', value: ({ migration }) => formatBytes(migration.measures?.memorySentBytes ?? null), align: 'right' },
  { title: 'IN ESP', value: ({ migration }) => formatBytes(migration.measures?.espBytes ?? null), align: 'right' },
  { title: 'ROUNDS', value: ({ migration }) => `${migration.measures?.rounds ?? none}`, align: 'right' },
  { title: 'CPU FROM', value: ({ migration }) => seconds(migration.measures?.source ?? null), align: 'right' },
  { title: 'CPU TO', value: ({ migration }) => seconds(migration.measures?.destination ?? null), align: 'right' },
  { title: 'GUEST', value: ({ beats }) => `${beats.lost} lost, ${beats.memoryErrors + beats.diskErrors} errors` },
];

function seconds(cost: HostCost | null): string {
  if (cost === null) return none;
  const parts = [cost.hypervisorCpuSeconds, cost.ipsecCpuSeconds, cost.agentCpuSeconds];
  return parts.map((part) => (part === null ? none : part.toFixed(1))).join('/');
}

/**
 * DOWNTIME is the hypervisor's word, OUTSIDE that of a third host's agent, CLIENT that of a client of the guest that Plimsoll knows nothing
 * of; SAID is what was predicted of the figure before it. CPU is of hypervisor/IPsec/agent, in seconds.
 */
export function printMoves(moves: readonly Move[]): string {
  return table(columns, moves, 'nothing was moved');
}

export function printRefusals(refusals: readonly Refusal[]): string {
  const shown: readonly Column<Refusal>[] = [
    { title: 'ASKED FOR', value: ({ name }) => name },
    { title: 'REFUSED', value: ({ code }) => code },
    { title: 'WHY', value: ({ message }) => message },
  ];
  return table(shown, refusals, 'nothing was refused');
}
