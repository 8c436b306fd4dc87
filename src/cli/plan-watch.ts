import type { ExplainedMoveResource, PlanExplanationResource } from '#wire/plan-api.ts';
import { setTimeout as wait } from 'node:timers/promises';
import type { ControllerClient } from './client.ts';
import { CliError } from './errors.ts';
import { printable } from './format.ts';
import { outcomeLine } from './migration-printer.ts';
import { progressLine } from './migration-progress.ts';
import { isPassing, LiveLine } from './output.ts';

const pollIntervalMs = 1000;
/** A controller that comes back within this time is waited for: its migrations go on without it. */
const awayMsMax = 120_000;

type State = ExplainedMoveResource['standing']['state'];

/**
 * Follows the moves of a plan that were applied until none of them moves or waits; each end is a line that stays. Throws CliError
 * `interrupted` when `signal` ends the watching: the moves go on.
 */
export async function followPlan(client: ControllerClient, planId: string, signal: AbortSignal): Promise<PlanExplanationResource> {
  const line = new LiveLine();
  const told = new Set<string>();
  let seenAtMs = Date.now();
  try {
    for (;;) {
      try {
        const plan = await client.plans.explain(planId, null);
        seenAtMs = Date.now();
        for (const move of plan.moves) await tellEnd(client, line, told, move);
        const open = plan.moves.filter(({ standing }) => isUnderWay(standing.state));
        if (open.length === 0) return plan;
        await tellProgress(client, line, plan, open);
      } catch (error) {
        if (!isPassing(error) || Date.now() - seenAtMs > awayMsMax) throw error;
        line.update(error.code, `${planId}: ${error.code}, asking again`);
      }
      await wait(pollIntervalMs, undefined, { signal });
    }
  } catch (cause) {
    if (!signal.aborted) throw cause;
    const hint = `no longer watching; the moves go on: 'plimsoll plan explain ${planId}' shows them, 'plimsoll plan reject ${planId}' cancels what has not started`;
    throw new CliError('interrupted', hint, { cause });
  } finally {
    line.end();
  }
}

function isUnderWay(state: State): boolean {
  return state === 'moving' || state === 'waiting';
}

/** A move that has failed, or was to be started and was not. */
export function isUnmade({ standing }: ExplainedMoveResource): boolean {
  return standing.state === 'failed' || standing.state === 'not-started';
}

async function tellEnd(client: ControllerClient, line: LiveLine, told: Set<string>, move: ExplainedMoveResource): Promise<void> {
  const { vmId, vmName, standing } = move;
  const hasEnded = standing.state === 'moved' || isUnmade(move) || standing.state === 'rejected';
  if (!hasEnded || told.has(vmId)) return;
  const text =
    standing.migrationId === null
      ? printable(`${vmName} was not started: ${standing.code ?? standing.state}${standing.reason === null ? '' : `: ${standing.reason}`}`)
      : outcomeLine(await client.migration(standing.migrationId), Date.now());
  told.add(vmId);
  line.note(text);
}

async function tellProgress(
  client: ControllerClient,
  line: LiveLine,
  plan: PlanExplanationResource,
  open: readonly ExplainedMoveResource[],
): Promise<void> {
  const count = `${open.length} of ${plan.moves.length} ${plan.moves.length === 1 ? 'move' : 'moves'} under way or waiting`;
  const moving = open.find(({ standing }) => standing.migrationId !== null)?.standing.migrationId ?? null;
  if (moving === null) return line.update(count, count);
  const migration = await client.migration(moving);
  line.update(`${count} ${migration.phase}`, `${count}  ${progressLine(migration, Date.now(), line.columns - count.length - 2)}`);
}
