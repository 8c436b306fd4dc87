/** What is known against a host as an end of any migration. */
import type { HostId } from '#core/model/host.ts';
import { refusalOf } from '#core/model/result.ts';
import type { Standing } from './cluster-view.ts';
import type { Preflight } from './preflight.ts';
import type { Rulings } from './rulings.ts';
import type { SecurityWatch } from './security-watch.ts';

export interface StandingRooms {
  readonly rulings: Rulings;
  readonly preflight: Preflight;
  readonly watch: Pick<SecurityWatch, 'guardInstalled'>;
}

/** Revoked, a certificate that ends, a clock that is off, a guard that is missing: what a migration would be refused for as soon as it was asked for. */
export function standingsOf({ rulings, preflight, watch }: StandingRooms): (hostId: HostId) => Standing {
  return (hostId) => ({ cordoned: rulings.cordonOf(hostId) !== null, unfit: unfitness(hostId, preflight, watch) });
}

function unfitness(hostId: HostId, preflight: Preflight, watch: Pick<SecurityWatch, 'guardInstalled'>): string | null {
  if (watch.guardInstalled(hostId) === false) return 'the guard against plain text is not installed there';
  try {
    preflight.mustBeFit(hostId);
    return null;
  } catch (error) {
    const { code, message } = refusalOf(error);
    // Its samples tell it: it is silent, and said to be.
    return code === 'host-down' ? null : message;
  }
}
