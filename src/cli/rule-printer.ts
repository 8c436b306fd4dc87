import type { Rule } from '#wire/rule-schemas.ts';
import type { StoredRuleResource } from '#wire/placement-api.ts';
import { formatTime, printable } from './format.ts';
import { printedWhen } from './rule-arguments.ts';
import { type Column, table } from './table.ts';

/** All rules, one line each, and below them what cannot be kept. */
export function printRules(rules: readonly StoredRuleResource[], _nowMs: number, width?: number): string {
  const columns: readonly Column<StoredRuleResource>[] = [
    { title: 'RULE', value: ({ rule }) => rule.name },
    { title: 'KIND', value: ({ rule }) => rule.kind },
    { title: 'VMS', value: ({ rule }) => rule.vms.join(',') },
    { title: 'WHERE OR WHEN', value: ({ rule }) => detailOf(rule) },
    { title: 'BY', value: ({ by }) => by, rank: 2 },
    { title: 'SINCE', value: ({ atMs }) => formatTime(atMs), rank: 1 },
  ];
  const warnings = rules.flatMap((stored) => stored.warnings);
  const lines = table(columns, rules, "There are no rules: 'plimsoll rule add --help' shows what there can be.", width);
  return [lines, ...(warnings.length === 0 ? [] : ['', ...warned(warnings)])].join('\n');
}

/** One rule in a line, and what of it cannot be kept. */
export function printRule({ rule, warnings }: StoredRuleResource): string {
  const detail = detailOf(rule);
  return [`${rule.name}: ${rule.kind} of ${rule.vms.join(', ')}${detail === '' ? '' : `, ${detail}`}`, ...warned(warnings)]
    .map(printable)
    .join('\n');
}

/** A warning concerns two rules as often as one: each is said once. */
function warned(warnings: readonly string[]): readonly string[] {
  return [...new Set(warnings)].map((warning) => printable(`warning: ${warning}`));
}

function detailOf(rule: Rule): string {
  if (rule.kind === 'pin') return rule.hosts.join(',');
  return rule.kind === 'blackout' || rule.kind === 'window' ? printedWhen(rule.when) : '';
}
