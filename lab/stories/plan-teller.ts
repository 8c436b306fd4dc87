/** Tells what the planner says, once each time that it says something else. */
import { formatPercent, printable } from '#cli/format.ts';
import type { PlanResource } from '#wire/api.ts';
import type { StoryLog } from './story-log.ts';

const skipsToldMax = 4;

export class PlanTeller {
  readonly #log: StoryLog;
  /** Plans with moves that were told, oldest first. */
  readonly told: PlanResource[] = [];
  #gist = '';

  constructor(log: StoryLog) {
    this.#log = log;
  }

  note(plan: PlanResource): void {
    const gist = gistOf(plan);
    if (gist === this.#gist) return;
    this.#gist = gist;
    this.#log.say('planner', printable(plan.summary));
    if (plan.moves.length === 0) return;
    this.told.push(plan);
    for (const move of plan.moves) {
      this.#log.say('plan', `${move.vmName}: ${move.fromHostId} -> ${move.toHostId}\nbecause ${printable(move.reason)}\n${effectOf(move)}`);
    }
    for (const skip of plan.skipped.slice(0, skipsToldMax))
      this.#log.say('left', `${skip.vmName ?? skip.hostId}: ${printable(skip.reason)}`);
  }
}

function effectOf({ source, destination }: PlanResource['moves'][number]): string {
  const change = (load: typeof source) =>
    `${load.hostId} ${formatPercent(load.cpuBeforePercent)} -> ${formatPercent(load.cpuAfterPercent)} CPU`;
  return `expected: ${change(source)}, ${change(destination)}`;
}

/** Without its figures, which change with each round. */
function gistOf({ verdict, moves, skipped }: PlanResource): string {
  const what = moves.map(({ vmId, toHostId }) => `${vmId} ${toHostId}`);
  return [verdict, ...what, ...new Set(skipped.map(({ code, hostId }) => `${code} ${hostId}`).toSorted())].join(', ');
}
