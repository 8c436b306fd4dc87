import type { Move } from '#core/model/plan.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';

/**
 * The moves with how well it is known what their hosts will do: the confidence that the forecasts of the VMs on both hosts have earned, the
 * VM that moves among them, weighed by the cores that each uses. Null where neither host has a forecast, so that a young cluster does not
 * look like one that cannot be foretold.
 */
export function withConfidence(moves: readonly Move[], { vms }: Pick<Snapshot, 'vms'>): readonly Move[] {
  if (moves.length === 0) return moves;
  const onHost = Map.groupBy(
    vms.filter(({ state }) => state === 'running'),
    ({ hostId }) => hostId,
  );
  return moves.map((move) => {
    const around = [...(onHost.get(move.fromHostId) ?? []), ...(onHost.get(move.toHostId) ?? [])];
    return { ...move, confidencePercent: confidenceOf(around) };
  });
}

function confidenceOf(vms: readonly SnapshotVm[]): number | null {
  if (vms.every(({ forecast }) => forecast === null)) return null;
  let [known, all] = [0, 0];
  for (const { cpuUsedCores, forecast } of vms) {
    if (!Number.isFinite(cpuUsedCores)) continue;
    known += (forecast?.confidencePercent ?? 0) * cpuUsedCores;
    all += cpuUsedCores;
  }
  return all > 0 ? Math.round(known / all) : null;
}
