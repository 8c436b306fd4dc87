/** Turns what becomes durable, and what the hypervisors do, into lines of the decision log. */
import type { Envelope } from '#core/access/envelope.ts';
import { decodeBase64 } from '#core/access/base64.ts';
import type { ReceiptStatement } from '#core/migration/receipt.ts';
import type { LedgerEntry } from '#core/model/ledger.ts';
import type { Migration } from '#core/model/migration.ts';
import type { Plan } from '#core/model/plan.ts';
import type { StoredReceipt } from '#core/store.ts';
import type { DecisionLog } from './decision-log.ts';
import type { MigrationJob, Stage } from './migration-job.ts';
import type { StoreWatcher } from './store-watcher.ts';

const mebibyte = 2 ** 20;

export class Narrator implements Omit<StoreWatcher, 'onMode' | 'onDrain' | 'onMaintenance' | 'onMigrationLost' | 'onLedgerLost'> {
  readonly #log: DecisionLog;
  readonly #phases = new Map<string, string>();
  readonly #decisionsTold = new Map<string, number>();
  #planTold = '';

  constructor(log: DecisionLog) {
    this.#log = log;
  }

  /** A plan that says what the one before it said is one line. */
  readonly onPlan = (plan: Plan): void => {
    this.#log.note('plan', `${plan.verdict}: ${plan.summary}`);
    const content = JSON.stringify([
      plan.moves.map((move) => [move.vmName, move.fromHostId, move.toHostId]),
      plan.skipped.map((skip) => [skip.hostId, skip.vmName, skip.code]),
    ]);
    if (content === this.#planTold) return;
    this.#planTold = content;
    for (const move of plan.moves) this.#log.note('  move', `${move.vmName} ${move.fromHostId} -> ${move.toHostId}: ${move.reason}`);
    for (const skip of plan.skipped) this.#log.note('  stays', `${skip.vmName ?? `all of ${skip.hostId}`} (${skip.code}): ${skip.reason}`);
  };

  readonly onMigration = (migration: Migration): void => {
    const { request, phase, failure, endedAtMs } = migration;
    this.#tellDecisions(migration);
    const told = this.#phases.get(request.migrationId);
    if (told === phase) return;
    this.#phases.set(request.migrationId, phase);
    const who = `${request.vmName} ${request.fromHostId} -> ${request.toHostId}`;
    if (told === undefined) this.#log.note('migration', `${who}: asked by ${request.askedBy} (${request.cause})`);
    else this.#log.note('migration', `${who}: ${phase}${failure && endedAtMs !== null ? ` (${failure.code}): ${failure.message}` : ''}`);
  };

  #tellDecisions({ request, decisions }: Migration): void {
    // Those of the autopilot are told by its agent, as they are made.
    const chosen = decisions.filter(({ by }) => by === 'choice');
    for (const { action, reason } of chosen.slice(this.#decisionsTold.get(request.migrationId) ?? 0))
      this.#log.note('  decision', `${request.vmName}: ${action}: ${reason}`);
    this.#decisionsTold.set(request.migrationId, chosen.length);
  }

  readonly onReceipt = (receipt: StoredReceipt): void => {
    const statement = statementOf(receipt);
    const { channel, transfer } = statement;
    const parts = [
      `${statement.vmName} ${statement.outcome}`,
      ...(transfer
        ? [
            `${mebibytes(transfer.hypervisorBytes)} in ${(transfer.totalMs / 1000).toFixed(1)} s`,
            `stopped for ${transfer.downtimeMs ?? 'an unknown number of'} ms`,
          ]
        : []),
      ...channelWords(channel),
    ];
    this.#log.note('receipt', `${statement.sequence}: ${parts.join(', ')}`);
  };

  readonly onLedger = (entry: LedgerEntry): void => {
    const failure = entry.failureCode === null ? '' : ` (${entry.failureCode})`;
    this.#log.note('ledger', `${entry.fromHostId} -> ${entry.toHostId}, ${entry.cause}: ${entry.outcome}${failure}`);
  };

  readonly onStage = (job: MigrationJob, stage: Stage): void => {
    const { name } = job.guest;
    const [from, to] = [job.source.hostId, job.destination.hostId];
    switch (stage) {
      case 'transfer':
        this.#log.note('hypervisor', `${name}: transfer begins, ${from} -> ${to}`);
        return;
      case 'switch-over': {
        const what = job.isPostCopy ? 'to go on as post-copy' : 'the rest crosses';
        this.#log.note('hypervisor', `${name}: stopped on ${from} after ${job.progress.iteration} rounds, ${what}`);
        return;
      }
      case 'post-copy':
        this.#log.note('hypervisor', `${name}: runs on ${to}, with parts of its memory on ${from}`);
        return;
      case 'post-copy-failed':
        this.#log.note('hypervisor', `${name}: halted, ${from} and ${to} each have parts of its memory`);
        return;
      case 'confirm':
        this.#log.note('hypervisor', `${name}: ${job.isPostCopy ? 'all of its memory is' : 'runs'} on ${to}`);
        return;
      case 'moved':
        return;
      case 'stayed':
        this.#log.note('hypervisor', `${name}: the job has ended, the copy on ${from} stays`);
        return;
      default:
        stage satisfies never;
    }
  };
}

export function statementOf(receipt: StoredReceipt): ReceiptStatement {
  const envelope = JSON.parse(receipt.envelope) as Envelope;
  return JSON.parse(new TextDecoder().decode(decodeBase64(envelope.payload) ?? new Uint8Array())) as ReceiptStatement;
}

function channelWords({ kind, proof, traffic }: ReceiptStatement['channel']): readonly string[] {
  if (kind !== 'ipsec') return [`by a weaker channel: ${kind}`];
  if (proof === null) return ['no channel was proven'];
  const rekeys = traffic === null || traffic.rekeys === 0 ? [] : [`rekeyed ${traffic.rekeys} times`];
  const inside = traffic === null ? 'ESP bytes unknown' : `${mebibytes(traffic.bytesOut)} inside ESP`;
  return [`${proof.encryption}, SPI ${proof.spiSourceToDestination}`, ...rekeys, inside];
}

function mebibytes(value: number): string {
  return `${(value / mebibyte).toFixed(0)} MiB`;
}
