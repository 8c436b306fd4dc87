import { checkNames, type CheckName, type CheckRow, type Finding } from '#core/model/definition.ts';
import type { Refusal } from '#core/model/result.ts';
import { count } from '#core/planner/words.ts';
import { judgeDisks, judgeLocks } from './preflight-disks.ts';
import { judgeCpu, judgeMachine, judgeMethod, judgeVersions } from './preflight-hypervisor.ts';
import type { Pair, PreflightInput } from './preflight-input.ts';
import { findingOf, pass, refuseFor, unknown, type Note } from './preflight-note.ts';
import { judgeDevices, judgeMemory, judgeNetworks } from './preflight-resources.ts';
import {
  judgeCertificate,
  judgeChannel,
  judgeClock,
  judgeCoolDown,
  judgeCopy,
  judgeDowntime,
  judgeHost,
  judgeOtherJob,
  judgeVmState,
} from './preflight-vm.ts';

export type { Fact, HypervisorVersions, PreflightInput } from './preflight-input.ts';

/** Every check of one VM against one host, in the order of `checkNames`: one finding each, with a sentence for the operator. */
export function judgePreflight(input: PreflightInput): CheckRow {
  const findings = checkNames.map((check) => findingOf(check, judges[check](input)));
  return { hostId: input.hostId, possible: findings.every((finding) => finding.verdict !== 'refuse'), findings };
}

/** The refusal that a migration fails with: the first, because the later ones may only follow from it. */
export function firstRefusal(row: CheckRow): Refusal | null {
  const finding = row.findings.find(({ verdict }) => verdict === 'refuse');
  return finding === undefined ? null : { code: finding.code ?? 'internal', message: finding.sentence };
}

/** One line for the matrix of hosts. */
export function rowSummary(row: CheckRow): string {
  const named = (verdict: Finding['verdict']): readonly CheckName[] =>
    row.findings.filter((finding) => finding.verdict === verdict).map((finding) => finding.check);
  const refusal = firstRefusal(row);
  if (refusal !== null) {
    const others = named('refuse').slice(1);
    const more = others.length === 0 ? '' : `; ${count(others.length, 'further refusal')} (${others.join(', ')})`;
    return `${row.hostId} is not possible: ${refusal.message}${more}`;
  }
  const asides = [told(named('warn'), 'warning'), told(named('unknown'), 'unknown')].filter((aside) => aside !== '');
  return `${row.hostId} is possible${asides.length === 0 ? '' : `, with ${asides.join(' and ')}`}`;
}

function told(checks: readonly CheckName[], noun: string): string {
  if (checks.length === 0) return '';
  return `${noun === 'unknown' ? `${checks.length} unknown` : count(checks.length, noun)} (${checks.join(', ')})`;
}

const judges: Readonly<Record<CheckName, (input: PreflightInput) => readonly Note[]>> = {
  host: (input) => [judgeHost(input)],
  certificate: (input) => [judgeCertificate(input)],
  clock: (input) => [judgeClock(input)],
  channel: (input) => [judgeChannel(input)],
  'vm-state': (input) => [judgeVmState(input)],
  'other-job': (input) => [judgeOtherJob(input)],
  versions: (input) => compared(input, judgeVersions),
  method: judgeMethod,
  cpu: (input) => compared(input, (pair) => [judgeCpu(pair)]),
  machine: (input) => compared(input, judgeMachine),
  memory: (input) => compared(input, (pair) => [judgeMemory(pair)]),
  devices: (input) => [judgeDevices(input)],
  networks: (input) => compared(input, judgeNetworks),
  disks: (input) => compared(input, judgeDisks),
  locks: (input) => compared(input, (pair) => [judgeLocks(pair)]),
  copy: (input) => [judgeCopy(input)],
  rules: judgeRules,
  'cool-down': (input) => [judgeCoolDown(input)],
  downtime: (input) => [judgeDowntime(input)],
};

/** What needs both the VM's definition and the host's offer. */
function compared(input: PreflightInput, judgePair: (pair: Pair) => readonly Note[]): readonly Note[] {
  const { definition, offer, sourceHostId, hostId } = input;
  if (definition === null)
    return [unknown(`the VM's definition on ${sourceHostId} could not be read, so it was not compared with ${hostId}`)];
  if (offer === null) return [unknown(`${hostId} has not told what it offers`)];
  return judgePair({ input, definition, offer });
}

/** Rules speak of the VM and the host, and each is told. */
function judgeRules({ rules, hostId }: PreflightInput): readonly Note[] {
  return rules.length === 0 ? [pass(`no rule forbids ${hostId}`)] : rules.map((rule) => refuseFor(hostId, rule));
}
