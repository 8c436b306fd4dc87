/** What a channel can be made of, and which of it hosts with ESP in user space carry. */
import type { SuiteName } from '#core/channel/algorithms.ts';
import type { ChannelProfile, ProfileName } from '#core/model/channel.ts';

export interface Combination extends Pick<ChannelProfile, 'authentication' | 'postQuantumKey'> {
  readonly profile: ProfileName;
  readonly suite: SuiteName;
}

const suites: readonly SuiteName[] = ['aes-gcm', 'chacha20-poly1305', 'aes-cbc-sha2'];
const authentications = ['certificate', 'psk'] as const;

/** With every suite and either authentication; and each of the two with an RFC 8784 key on top. */
export const carried: readonly Combination[] = [
  ...suites.flatMap((suite) =>
    authentications.map((authentication): Combination => ({ profile: 'esp-tunnel', suite, authentication, postQuantumKey: false })),
  ),
  ...authentications.map((authentication): Combination => ({
    profile: 'esp-tunnel',
    suite: 'aes-gcm',
    authentication,
    postQuantumKey: true,
  })),
];

/** These need a kernel with ESP and AH. */
export const notCarried: readonly Combination[] = (['esp-transport', 'ah', 'ah+esp'] as const).map((profile) => ({
  profile,
  suite: 'aes-gcm',
  authentication: 'certificate',
  postQuantumKey: false,
}));

export function authenticationOf({ authentication, postQuantumKey }: Combination): string {
  return postQuantumKey ? `${authentication} + RFC 8784` : authentication;
}

export function nameOf(combination: Combination): string {
  return `${combination.profile}, ${combination.suite}, ${authenticationOf(combination)}`;
}

/** What the wire shows of this suite's SA, in charon's words. */
export function negotiationOf(suite: SuiteName): { readonly encryption: string; readonly integrity: string | null } {
  switch (suite) {
    case 'aes-gcm':
      return { encryption: 'AES_GCM_16-256', integrity: null };
    case 'chacha20-poly1305':
      return { encryption: 'CHACHA20_POLY1305', integrity: null };
    case 'aes-cbc-sha2':
      return { encryption: 'AES_CBC-256', integrity: 'HMAC_SHA2_256_128' };
    default:
      return suite satisfies never;
  }
}
