import type { BalanceResource } from '#wire/balance-api.ts';
import { formatAge, formatDuration, formatPercent, printable } from './format.ts';
import { modeMeanings } from './status-printer.ts';
import { fields } from './table.ts';

/** How balancing stands, in a few lines, then each host whose word is not taken. */
export function printBalance(balance: BalanceResource, nowMs: number): string {
  const { mode, hosts, overLine } = balance;
  const head = fields([
    ['mode', `${mode} (${modeMeanings[mode]})`],
    ['plan', planOf(balance, nowMs)],
    [
      'over the line',
      overLine.length === 0 ? `none of ${hosts} hosts` : `${overLine.length} of ${hosts} hosts: ${overLine.map(nameOf).join(', ')}`,
    ],
    ['quarantined', balance.quarantined.length === 0 ? 'none' : String(balance.quarantined.length)],
    ['samples', samplesOf(balance)],
    ...forecastFields(balance),
  ]);
  return [head, ...quarantineLines(balance, nowMs)].join('\n');
}

function planOf({ plan, planIntervalMs }: BalanceResource, nowMs: number): string {
  if (plan === null) return `none yet, one each ${formatDuration(planIntervalMs)}`;
  const moves = plan.moves === 1 ? '1 move' : `${plan.moves} moves`;
  return `${plan.planId}, ${formatAge(plan.createdAtMs, nowMs)}: ${plan.verdict}, ${moves}. ${printable(plan.summary)}`;
}

function nameOf({ hostId, roundsOverLine }: BalanceResource['overLine'][number]): string {
  return `${hostId} (${roundsOverLine} ${roundsOverLine === 1 ? 'round' : 'rounds'})`;
}

function samplesOf({ samples }: BalanceResource): string {
  const reasons = Object.entries(samples.rejectedBy).map(([reason, amount]) => `${amount} ${reason}`);
  return `${samples.accepted} accepted, ${samples.rejected} rejected${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}`;
}

function forecastFields({ forecast }: BalanceResource): readonly (readonly [string, string])[] {
  const { vms, vmsTotal, confidentVms, seasonalVms, horizonMs, hitPercent, errorOfNaivePercent } = forecast;
  const ahead = `${formatDuration(horizonMs)} ahead`;
  return [
    ['forecast', `${vms} of ${vmsTotal} VMs, ${ahead}; ${confidentVms} with a confidence of 50 % or more, ${seasonalVms} with a known day`],
    ['hit rate', hitPercent === null ? 'not known yet' : `${formatPercent(hitPercent)} below the high figure, 90 % promised`],
    ['error', errorOfNaivePercent === null ? 'not known yet' : `${formatPercent(errorOfNaivePercent)} of that of "it stays as it is"`],
  ];
}

function quarantineLines({ quarantined }: BalanceResource, nowMs: number): readonly string[] {
  if (quarantined.length === 0) return [];
  const lines = quarantined.map(({ hostId, quarantine: { code, message, sinceMs, cleanSamplesLeft } }) => {
    const until = `again after ${cleanSamplesLeft} clean samples in a row`;
    return `  ${hostId}: ${printable(message)} (${code}, since ${formatAge(sinceMs, nowMs)}; ${until})`;
  });
  return ['', 'Not believed, neither source nor target:', ...lines];
}
