import { printable } from './format.ts';
import type { OfflinePlan, OfflineStep } from './offline-plan.ts';
import { termLines } from './plan-life-printer.ts';
import { type Column, table } from './table.ts';

type Skip = OfflinePlan['skipped'][number];

const skipColumns: readonly Column<Skip>[] = [
  { title: 'HOST', value: (skip) => skip.hostId },
  { title: 'VM', value: (skip) => skip.vmName ?? '(whole host)' },
  { title: 'BECAUSE', value: (skip) => skip.code },
  { title: 'REASON', value: (skip) => skip.reason },
];

/** Numbered steps with the score after each, as hbal prints them, and the sums at the end. */
export function printOfflinePlan(plan: OfflinePlan): string {
  const { steps, objective, strategy, direction, scoreBefore, scoreAfter, cpuSeconds, savedTo, summary, skipped, lost } = plan;
  const width = (value: (step: OfflineStep) => string) => Math.max(0, ...steps.map((step) => value(step).length));
  const [vm, from, to] = [width((step) => printable(step.vm)), width((step) => step.from), width((step) => step.to)];
  const line = (step: OfflineStep, index: number) =>
    `${String(index + 1).padStart(5)}. ${printable(step.vm).padEnd(vm)} ${step.from.padEnd(from)} => ${step.to.padEnd(to)}  ${step.score.toFixed(8)}`;
  const moves = `${steps.length} ${steps.length === 1 ? 'move' : 'moves'}`;
  return [
    `${plan.hosts} hosts, ${plan.vms} VMs, score ${scoreBefore.toFixed(8)} by ${objective === 'hbal' ? "hbal's weights" : `the policy (${strategy}, ${direction})`}`,
    ...(summary === null ? [] : [printable(summary)]),
    ...steps.flatMap((step, index) => [line(step, index), ...(step.reason === null ? [] : [`       ${printable(step.reason)}`])]),
    ...(skipped.length === 0 ? [] : ['', 'Skipped:', table(skipColumns, skipped, '')]),
    '',
    `${moves}, score ${scoreBefore.toFixed(8)} -> ${scoreAfter.toFixed(8)}, ${cpuSeconds.toFixed(3)} CPU seconds`,
    ...(plan.terms.length === 0 ? [] : ['', ...termLines(plan.terms, '')]),
    ...(savedTo === null ? [] : [`Saved. Let hbal judge it with: hbal -t ${printable(savedTo)} -U FILE.util -l 0`]),
    ...(lost.length === 0 ? [] : ['', 'Lost or assumed:', ...lost.map((sentence) => `  ${printable(sentence)}`)]),
  ].join('\n');
}
