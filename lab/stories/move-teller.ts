/** Tells of each migration how far it is, and when it is over what its clients saw and what its receipt says. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatBytes, formatDuration, printable } from '#cli/format.ts';
import { isOver, progressLine } from '#cli/migration-printer.ts';
import { verifyReceipt } from '#drivers/pki/verify-receipt.ts';
import type { MigrationResource } from '#wire/api.ts';
import { ReceiptStatementSchema } from '#wire/receipt-schema.ts';
import { parse } from '#wire/validate.ts';
import type { Static } from 'typebox';
import { type Lab, LabError, type ProbeReport, waitFor } from '#lab/api.ts';
import type { ControllerClient } from '#cli/client.ts';
import type { StoryLog } from './story-log.ts';

export type Statement = Static<typeof ReceiptStatementSchema>;

/** A migration that is over. */
export interface Moved {
  readonly migration: MigrationResource;
  /** What a client of the VM saw meanwhile; null when it was over before it could be asked. */
  readonly probe: ProbeReport | null;
  readonly statement: Statement;
  /** Checked with nothing but the cluster's root certificate. */
  readonly valid: boolean;
}

/** Between two lines of the same copy. */
const tellMs = 3000;
const migrationsMax = 100;

export class MoveTeller {
  readonly #lab: Lab;
  readonly #client: ControllerClient;
  readonly #log: StoryLog;
  readonly moved: Moved[] = [];
  readonly #open = new Map<string, { phase: string; toldAtMs: number; probed: boolean }>();

  constructor(lab: Lab, client: ControllerClient, log: StoryLog) {
    this.#lab = lab;
    this.#client = client;
    this.#log = log;
  }

  get idle(): boolean {
    return this.#open.size === 0;
  }

  async look(): Promise<void> {
    for (const migration of (await this.#client.migrations({ limit: migrationsMax })).toReversed()) {
      const { migrationId } = migration.request;
      if (this.moved.some((other) => other.migration.request.migrationId === migrationId)) continue;
      if (!this.#open.has(migrationId)) await this.#begin(migration);
      if (isOver(migration)) await this.#end(migration);
      else this.#go(migration);
    }
  }

  async #begin(migration: MigrationResource): Promise<void> {
    const { migrationId, vmName, fromHostId, toHostId, cause, askedBy } = migration.request;
    const probed = !isOver(migration);
    this.#open.set(migrationId, { phase: '', toldAtMs: 0, probed });
    this.#log.say('move', `${vmName}: ${fromHostId} -> ${toHostId}, migration ${migrationId}, asked by ${askedBy} (${cause})`);
    if (probed) await this.#lab.guest(vmName).startProbe();
  }

  #go(migration: MigrationResource): void {
    const open = this.#open.get(migration.request.migrationId);
    if (open === undefined) return;
    const nowMs = performance.now();
    if (migration.phase === open.phase && (migration.phase !== 'copying' || nowMs - open.toldAtMs < tellMs)) return;
    open.phase = migration.phase;
    open.toldAtMs = nowMs;
    this.#log.say('', progressLine(migration, Date.now(), this.#log.textColumns));
  }

  async #end(migration: MigrationResource): Promise<void> {
    const { migrationId, vmName, fromHostId, toHostId } = migration.request;
    const probed = this.#open.get(migrationId)?.probed ?? false;
    const probe = probed ? await this.#lab.guest(vmName).stopProbe() : null;
    this.#open.delete(migrationId);
    const { statement, valid } = await this.#receipt(migrationId);
    const moved: Moved = { migration, probe, statement, valid };
    this.moved.push(moved);
    if (migration.phase !== 'done') {
      const { code, message } = migration.failure ?? { code: 'internal', message: 'no reason was recorded' };
      this.#log.say('FAILED', `${vmName}: ${fromHostId} -> ${toHostId}: ${code}: ${printable(message)}`);
      return;
    }
    this.#log.say('moved', `${vmName} runs on ${toHostId}: ${tookText(moved)}`);
    this.#log.say('receipt', receiptText(moved));
  }

  /** Read from the controller, and then judged without it. */
  async #receipt(migrationId: string): Promise<{ readonly statement: Statement; readonly valid: boolean }> {
    const receipt = await waitFor(() => this.#client.receipt(migrationId).catch(() => undefined), {
      what: `the receipt of migration ${migrationId}`,
      timeoutMs: 20_000,
      intervalMs: 250,
    });
    const verdict = verifyReceipt(JSON.stringify(receipt.envelope), await this.#root());
    if (!verdict.valid) return { statement: parse(ReceiptStatementSchema, receipt.statement, 'a receipt'), valid: false };
    return { statement: parse(ReceiptStatementSchema, verdict.statement, 'a receipt'), valid: receipt.valid };
  }

  async #root(): Promise<string> {
    const [host] = this.#lab.hosts;
    if (host === undefined) throw new LabError('lab-unknown-host', 'this lab has no hosts');
    return readFile(join(host.directory, 'etc-plimsoll/pki/ca.crt'), 'utf8');
  }
}

function tookText({ statement, probe }: Moved): string {
  const { transfer } = statement;
  const downtime = formatDuration(transfer?.downtimeMs ?? null);
  const outside = probe === null ? '' : ` (its clients waited ${formatDuration(probe.largestGapMs)})`;
  return `copied in ${formatDuration(transfer?.totalMs ?? null)}, downtime ${downtime}${outside}, ${formatBytes(transfer?.hypervisorBytes ?? null)} sent`;
}

function receiptText({ statement, valid }: Moved): string {
  const { proof, traffic } = statement.channel;
  const signature = valid ? 'signature valid, checked with the root certificate alone' : 'signature NOT VALID';
  const channel =
    proof === null
      ? 'no proof of a channel'
      : `${proof.encryption} ${proof.keyExchange}, SPI ${proof.spiSourceToDestination}; ${proof.protectedProbes} probes crossed inside it, ${proof.plainProbesDropped} in plain text were dropped`;
  const bytes =
    traffic === null
      ? 'nothing counted'
      : `${formatBytes(traffic.bytesOut)} in ${traffic.packetsOut} ESP packets ${traffic.coversHypervisorBytes === true ? 'cover' : 'DO NOT COVER'} what QEMU sent`;
  return `${signature}\n${channel}\n${bytes}`;
}
