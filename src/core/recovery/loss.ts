import type { Migration } from '#core/model/migration.ts';
import type { RecoveryEvent } from './restart.ts';

/** What a migration that has ended without a winner means for a VM that is restartable. */
export function lossOf({ request: { fromHostId, toHostId, channelKind }, plan, failure }: Migration): RecoveryEvent {
  const hostIds = [fromHostId, toHostId];
  if (channelKind === 'sealed-image' || plan?.options.method === 'save-restore') return { kind: 'image-left', hostIds };
  return { kind: 'lost', hostIds, endedOn: failure?.code === 'ended-on-destination' ? toHostId : null };
}
