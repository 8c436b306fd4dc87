import { setTimeout as sleep } from 'node:timers/promises';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ViciClient } from './client.ts';
import { connectionName } from './names.ts';
import type { ChildSa, IkeSa } from './sa.ts';
import { SaLedger } from './sa-ledger.ts';
import { isInstalled } from './sa-record.ts';

const lookEveryMs = 50;

/** Between the listings that follow an SA which was replaced. */
const followEveryMs = 1_000;

/** charon.delete_rekeyed_delay is 5 s unless the operator has changed it. */
const followsMax = 30;

/** Replaces every CHILD_SA with this peer, and waits until each has an installed successor. */
export async function rekeyChannel(client: ViciClient, peerHostId: HostId, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const list = (): Promise<readonly IkeSa[]> => client.listSas({ ike: connectionName(peerHostId) }, { signal });
  const before = installedOf(await list());
  if (before.length === 0)
    throw new PlimsollError('ipsec-failed', `There is no SA with ${peerHostId} whose keys could be replaced: establish the channel first.`);
  for (const { uniqueId } of before) await client.rekey({ childId: uniqueId }, { signal });
  const endMs = performance.now() + timeoutMs;
  while (!isReplaced(before, installedOf(await list()))) {
    if (performance.now() > endMs) {
      throw new PlimsollError(
        'ipsec-failed',
        `The keys of the channel to ${peerHostId} were not replaced within ${timeoutMs} ms: look into charon's log on both hosts.`,
      );
    }
    await sleep(lookEveryMs, undefined, { signal });
  }
}

function installedOf(sas: readonly IkeSa[]): readonly ChildSa[] {
  return sas.flatMap(({ children }) => children.filter(isInstalled));
}

function isReplaced(before: readonly ChildSa[], now: readonly ChildSa[]): boolean {
  const old = new Set(before.map(({ uniqueId }) => uniqueId));
  return now.every(({ uniqueId }) => !old.has(uniqueId)) && before.every(({ name }) => now.some((child) => child.name === name));
}

/** Lists again while an SA that was replaced lingers, so that its last packets are counted whether or not anybody else lists. */
export class LingeringFollower {
  readonly #list: () => Promise<readonly IkeSa[]>;
  readonly #ended: AbortSignal;
  #following = false;

  constructor(list: () => Promise<readonly IkeSa[]>, ended: AbortSignal) {
    this.#list = list;
    this.#ended = ended;
  }

  follow(): void {
    if (this.#following) return;
    this.#following = true;
    // It fails with the connection or the end of the driver; the SA went with the one, and nobody asks after the other.
    void this.#follow()
      .catch(() => undefined)
      .finally(() => {
        this.#following = false;
      });
  }

  async #follow(): Promise<void> {
    for (let count = 0; count < followsMax; count += 1) {
      await sleep(followEveryMs, undefined, { signal: this.#ended, ref: false });
      if (!SaLedger.hasLingering(await this.#list())) return;
    }
  }
}
