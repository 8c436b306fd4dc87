import { decodeBase64 } from '#core/access/base64.ts';
import { secretsFault } from '#core/channel/algorithms.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { ChannelPeer } from '#core/ports.ts';
import { ikeIdentity, postQuantumKeyId, sharedKeyIds } from './names.ts';

/** One secret as `load-shared` takes it. */
export interface SharedKey {
  /** Unique in charon: a key loaded with it again takes its place. */
  readonly id: string;
  readonly type: 'IKE' | 'PPK';
  readonly data: Uint8Array;
  readonly owners: readonly string[];
}

/**
 * The keys that this channel's profile asks for; the pre-shared one is for exactly these two identities. Throws
 * `profile-refused`, without the key, when one is missing, too short or not asked for.
 */
export function sharedKeysOf(peer: ChannelPeer, localHostId: HostId): readonly SharedKey[] {
  const fault = secretsFault(peer.profile, peer.secrets);
  if (fault !== null) throw new PlimsollError(fault.code, fault.message);
  const ids = sharedKeyIds(peer.peerHostId);
  const { preSharedKey, postQuantumKey } = peer.secrets;
  return [
    ...keyOf({ id: ids.preShared, type: 'IKE', owners: [ikeIdentity(localHostId), ikeIdentity(peer.peerHostId)] }, preSharedKey),
    ...keyOf({ id: ids.postQuantum, type: 'PPK', owners: [postQuantumKeyId(localHostId, peer.peerHostId)] }, postQuantumKey),
  ];
}

function keyOf(key: Omit<SharedKey, 'data'>, base64: string | null): readonly SharedKey[] {
  const data = base64 === null ? null : decodeBase64(base64);
  return data === null ? [] : [{ ...key, data }];
}
