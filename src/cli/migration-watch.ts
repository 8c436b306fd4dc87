import type { MigrationResource } from '#wire/api.ts';
import { setTimeout as wait } from 'node:timers/promises';
import type { ControllerClient } from './client.ts';
import { CliError } from './errors.ts';
import { isOver, progressLine } from './migration-progress.ts';
import { isPassing, LiveLine } from './output.ts';
import { type Decision, decisionLine, planLine, predictionLine, type TransferPlan } from './transfer-printer.ts';

const pollIntervalMs = 500;
/** A controller that comes back within this time is waited for: the migration goes on without it. */
const awayMsMax = 120_000;

/**
 * Follows a migration on a live line until it is over; its plan and what the autopilot decides are lines that stay. Throws CliError `interrupted` when `signal` ends the
 * watching: the migration itself goes on.
 */
export async function followMigration(
  client: ControllerClient,
  started: MigrationResource,
  signal: AbortSignal,
): Promise<MigrationResource> {
  const line = new LiveLine();
  const news = new News(line);
  let latest = started;
  let seenAtMs = Date.now();
  try {
    while (!isOver(latest)) {
      news.tell(latest);
      line.update(latest.phase, progressLine(latest, Date.now(), line.columns));
      await wait(pollIntervalMs, undefined, { signal });
      try {
        latest = await client.migration(started.request.migrationId);
        seenAtMs = Date.now();
      } catch (error) {
        if (!isPassing(error) || Date.now() - seenAtMs > awayMsMax) throw error;
        const why = `  (${error.code}, asking again)`;
        line.update(error.code, `${progressLine(latest, Date.now(), line.columns - why.length)}${why}`);
      }
    }
    news.tell(latest);
    line.update(latest.phase, progressLine(latest, Date.now(), line.columns));
    return latest;
  } catch (cause) {
    if (!signal.aborted) throw cause;
    throw new CliError('interrupted', detachedMessage(started.request.migrationId), { cause });
  } finally {
    line.end();
  }
}

/** What is told once: how the VM is moved, and each decision of the autopilot. */
class News {
  readonly #line: LiveLine;
  #planTold = false;
  #decisionsTold = 0;

  constructor(line: LiveLine) {
    this.#line = line;
  }

  tell({ plan, decisions }: MigrationResource): void {
    if (plan !== null && !this.#planTold) this.#tellPlan(plan);
    const told: readonly Decision[] = decisions.filter(({ by }) => by !== 'choice');
    for (const decision of told.slice(this.#decisionsTold)) this.#line.note(decisionLine(decision));
    this.#decisionsTold = Math.max(this.#decisionsTold, told.length);
  }

  #tellPlan(plan: TransferPlan): void {
    this.#planTold = true;
    this.#line.note(`  ${planLine(plan)}`);
    if (plan.prediction !== null) this.#line.note(`  ${predictionLine(plan.prediction)}`);
  }
}

export function abortHint(migrationId: string): string {
  return `abort it with: plimsoll migration abort ${migrationId}`;
}

function detachedMessage(migrationId: string): string {
  return `no longer watching; the migration goes on: ${abortHint(migrationId)}`;
}
