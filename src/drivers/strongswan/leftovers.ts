import type { IpsecBackend } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { ViciClient } from './client.ts';
import { connectionName, peerOfConnection, peerOfSharedKey } from './names.ts';
import { type PreparedPeers, unloadPeer } from './prepared-peers.ts';
import { reqidsOf } from './reqid.ts';
import type { Xfrm } from './xfrm.ts';

export interface Sweep {
  readonly client: ViciClient;
  readonly xfrm: Xfrm;
  readonly backend: IpsecBackend;
  readonly prepared: Pick<PreparedPeers, 'has' | 'hostIds'>;
  /** Runs the work while nobody else works on this peer. */
  locked(peerHostId: HostId, work: () => Promise<void>): Promise<void>;
}

/**
 * Takes away what an earlier process of this host left behind when it was killed: connections, shared keys and policies of peers
 * that this process has not prepared and that have no SA. A peer with an SA keeps all of it, because a migration may still run
 * through it; `remove` or `prepare` for it are what ends or takes it over.
 */
export async function sweepLeftovers(sweep: Sweep, signal: AbortSignal): Promise<void> {
  const { client, xfrm } = sweep;
  const kernel = sweep.backend === 'kernel';
  const connections = (await client.getConns({ signal })).map(peerOfConnection);
  const keys = (await client.getShared({ signal })).map(peerOfSharedKey);
  const peers = new Set([...connections, ...keys].filter((peerHostId) => peerHostId !== null));
  for (const peerHostId of peers) {
    await sweep.locked(peerHostId, async () => {
      if (sweep.prepared.has(peerHostId)) return;
      if ((await client.listSas({ ike: connectionName(peerHostId) }, { signal })).length > 0) return;
      await unloadPeer(client, peerHostId, signal);
      if (kernel) await xfrm.removeAll(peerHostId, signal);
    });
  }
  if (kernel) await sweepPolicies(sweep, signal);
}

/** Policies of peers that a restarted charon knows nothing of; only their request ids tell whose they are. */
async function sweepPolicies({ client, xfrm, prepared }: Sweep, signal: AbortSignal): Promise<void> {
  const reqids = new Set(await xfrm.reqidsInUse(signal));
  if (reqids.size === 0) return;
  const withSas = (await client.listSas({}, { signal })).map(({ name }) => peerOfConnection(name));
  const kept = [...withSas.filter((peerHostId) => peerHostId !== null), ...prepared.hostIds()];
  for (const peerHostId of kept) for (const reqid of Object.values(reqidsOf(peerHostId))) reqids.delete(reqid);
  if (reqids.size > 0) await xfrm.removeReqids(reqids, signal);
}
