/** "Why can this VM not go there", and the answer of a dry run. */
import type { MigrateCheck, VmCheckResource } from '#wire/api.ts';
import { printable } from './format.ts';
import { printPrediction } from './measures-printer.ts';
import { type Column, table } from './table.ts';
import { indented, predictionBasis, printDecisions, printPlanOf } from './transfer-printer.ts';

type Row = VmCheckResource['rows'][number];
type Finding = Row['findings'][number];
type Verdict = Finding['verdict'];

/** Read without colour. */
const marks: Readonly<Record<Verdict, string>> = { pass: 'ok', warn: 'warn', refuse: 'NO', unknown: '?' };
const notAsked = '-';

/** One host: every check with its sentence. Several: a matrix that fits into `columns`, then a sentence for each thing that is not well. */
export function printVmCheck(check: VmCheckResource, columns = Number.POSITIVE_INFINITY): string {
  const [first, ...others] = check.rows;
  if (first === undefined) return `${printable(check.vmName)} runs on ${check.hostId}, and there is no other host.`;
  if (others.length === 0) return `${findingsTable(first.findings)}\n\n${verdictLine(check, first)}`;
  const possible = check.rows.filter((row) => row.possible).map(({ hostId }) => hostId);
  return [
    ...matrices(check.rows, columns),
    ...sentenceTable(check.rows),
    possible.length === 0
      ? `${printable(check.vmName)} on ${check.hostId} cannot go anywhere now.`
      : `${printable(check.vmName)} on ${check.hostId} can go to ${possible.join(', ')}.`,
  ].join('\n\n');
}

function verdictLine({ vmName, hostId }: VmCheckResource, row: Row): string {
  const refused = countOf(row.findings, 'refuse');
  if (row.possible) return `${printable(vmName)} can go from ${hostId} to ${row.hostId}.`;
  return `${printable(vmName)} cannot go from ${hostId} to ${row.hostId}: ${refused === 1 ? '1 check refuses' : `${refused} checks refuse`} it.`;
}

function findingsTable(findings: readonly Finding[]): string {
  const columns: readonly Column<Finding>[] = [
    { title: 'CHECK', value: ({ check }) => check },
    { title: '', value: ({ verdict }) => marks[verdict] },
    { title: 'FOUND', value: sentenceOf },
  ];
  return table(columns, findings, 'Nothing was checked.');
}

function sentenceOf({ code, sentence }: Finding): string {
  return code === null ? sentence : `${code}: ${sentence}`;
}

/** Checks in rows, hosts in columns; as many tables as the width asks for. */
function matrices(rows: readonly Row[], columns: number): readonly string[] {
  const checks = [...new Set(rows.flatMap(({ findings }) => findings.map(({ check }) => check)))];
  const firstWidth = Math.max('POSSIBLE'.length, ...checks.map((check) => check.length));
  return groupsThatFit(rows, columns - firstWidth).map((group) => {
    const lines: readonly Line[] = [
      ...checks.map((check) => ({ title: check, cell: (row: Row) => markOf(row, check) })),
      { title: 'POSSIBLE', cell: (row: Row) => (row.possible ? 'yes' : 'NO') },
    ];
    const hostColumns = group.map((row): Column<Line> => ({ title: row.hostId, value: ({ cell }) => cell(row) }));
    return table([{ title: 'CHECK', value: ({ title }) => title }, ...hostColumns], lines, '');
  });
}

interface Line {
  readonly title: string;
  readonly cell: (row: Row) => string;
}

function markOf({ findings }: Row, check: Finding['check']): string {
  const found = findings.find((finding) => finding.check === check);
  return found === undefined ? notAsked : marks[found.verdict];
}

const gapWidth = 2;

function groupsThatFit(rows: readonly Row[], columns: number): readonly (readonly Row[])[] {
  const groups: Row[][] = [];
  let left = 0;
  for (const row of rows) {
    const width = gapWidth + Math.max(row.hostId.length, marks.warn.length);
    const group = groups.at(-1);
    if (group === undefined || width > left) {
      groups.push([row]);
      left = columns - width;
    } else {
      group.push(row);
      left -= width;
    }
  }
  return groups;
}

interface Sentence {
  readonly finding: Finding;
  readonly hostIds: readonly string[];
}

const gravest: readonly Verdict[] = ['refuse', 'warn', 'unknown'];

/** What is said of several hosts in the same words is said once. */
function sentenceTable(rows: readonly Row[]): readonly string[] {
  const sentences = new Map<string, Sentence>();
  for (const { hostId, findings } of rows) {
    for (const finding of findings.filter(({ verdict }) => verdict !== 'pass')) {
      const key = JSON.stringify([finding.verdict, finding.check, finding.code, finding.sentence]);
      sentences.set(key, { finding, hostIds: [...(sentences.get(key)?.hostIds ?? []), hostId] });
    }
  }
  const columns: readonly Column<Sentence>[] = [
    { title: '', value: ({ finding }) => marks[finding.verdict] },
    { title: 'CHECK', value: ({ finding }) => finding.check },
    { title: 'HOST', value: ({ hostIds }) => (hostIds.length === rows.length ? `all ${rows.length}` : hostIds.join(', ')) },
    { title: 'WHY', value: ({ finding }) => sentenceOf(finding) },
  ];
  const checks = rows.flatMap(({ findings }) => findings.map(({ check }) => check));
  const inOrder = [...sentences.values()].toSorted((one, other) => checks.indexOf(one.finding.check) - checks.indexOf(other.finding.check));
  const sorted = gravest.flatMap((verdict) => inOrder.filter(({ finding }) => finding.verdict === verdict));
  return sorted.length === 0 ? [] : [table(columns, sorted, '')];
}

function countOf(findings: readonly Finding[], verdict: Verdict): number {
  return findings.filter((finding) => finding.verdict === verdict).length;
}

/** The answer of a dry run: what speaks against it, how the VM would be moved and why, what that would cost. */
export function printCheck(check: MigrateCheck): string {
  const { plan, decisions, refusal } = check;
  const prediction = plan?.prediction ?? null;
  const others = decisions.filter(({ reason }) => reason !== refusal?.message);
  const decided = printDecisions(others, plan);
  return [
    `${printable(check.vmName)}: ${check.fromHostId} -> ${check.toHostId}\n  ${printable(check.reason)}`,
    ...(check.row === null ? [] : [checksSection(check.row)]),
    ...(plan === null ? [] : [`It would be moved by ${plan.options.method}:\n${printPlanOf(plan)}`]),
    ...(prediction === null
      ? []
      : [`What that would cost (about 9 of 10 lie in the range):\n${printPrediction(prediction, null)}\n  ${predictionBasis(prediction)}`]),
    ...(plan !== null && prediction === null
      ? ['What that would cost is not known now. It is measured again when a migration begins.']
      : []),
    ...(decided === null ? [] : [`How that was chosen:\n${decided}`]),
    refusal === null
      ? `Nothing speaks against it${warnedNote(check.row)}. Nothing was moved.`
      : `It would be refused: ${refusalText(check.row, refusal)}`,
  ].join('\n\n');
}

/** A sentence that stands among the checks above is not said again. */
function refusalText(row: Row | null, { code, message }: NonNullable<MigrateCheck['refusal']>): string {
  const isSaid = row?.findings.some((finding) => finding.code === code && finding.sentence.includes(message)) ?? false;
  return isSaid ? `${code}, see above. Nothing was moved.` : `${code}: ${printable(message)}`;
}

function warnedNote(row: Row | null): string {
  const warned = row === null ? 0 : countOf(row.findings, 'warn');
  if (warned === 0) return '';
  return warned === 1 ? ' but 1 warning' : ` but ${warned} warnings`;
}

function checksSection({ findings }: Row): string {
  const passed = countOf(findings, 'pass');
  const counted = `Checks: ${passed} of ${findings.length} passed`;
  const others = findings.filter(({ verdict }) => verdict !== 'pass');
  return others.length === 0 ? counted : `${counted}\n${indented(findingsTable(others))}`;
}
