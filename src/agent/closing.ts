import type { HostId } from '#core/model/host.ts';
import type { Channels } from './channels.ts';
import type { Paths } from './paths.ts';
import type { Proofs } from './proofs.ts';

/** Everything that this host has open towards a peer. */
export interface ChannelRooms {
  readonly channels: Channels;
  readonly proofs: Proofs;
  readonly paths: Paths;
}

/** Takes down all that belongs to the channel with this peer. */
export async function closeChannel({ channels, proofs, paths }: ChannelRooms, peerHostId: HostId, signal: AbortSignal): Promise<void> {
  await proofs.forget(peerHostId);
  await paths.stopAll(peerHostId);
  await channels.end(peerHostId, signal);
}
