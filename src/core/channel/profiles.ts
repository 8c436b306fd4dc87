/** The channel profiles: how each wraps packets, between which addresses, and where it can be used. */
import type { ChannelProfile, IpsecBackend, ProfileName } from '#core/model/channel.ts';
import type { HostAddresses } from '#core/model/host.ts';
import type { Refusal } from '#core/model/result.ts';
import { probePorts } from '#core/ports.ts';
import { withoutExtendedSequenceNumbers } from './proposal.ts';

type Named = Pick<ChannelProfile, 'name'>;

export const profileNames: readonly ProfileName[] = ['esp-tunnel', 'esp-transport', 'ah', 'ah+esp'];

export function usesAh(name: ProfileName): boolean {
  return name === 'ah' || name === 'ah+esp';
}

export function usesEsp(name: ProfileName): boolean {
  return name !== 'ah';
}

export function saModeOf(name: ProfileName): 'tunnel' | 'transport' {
  return name === 'esp-tunnel' ? 'tunnel' : 'transport';
}

/**
 * A host's addresses as the channel sees them: `protected` is the address that exists inside of it. In transport
 * mode there is no inner address (RFC 4301 section 4.1), so that is the underlay address itself.
 */
export function channelAddresses(profile: Named, addresses: HostAddresses): HostAddresses {
  return saModeOf(profile.name) === 'tunnel' ? addresses : { ...addresses, protected: addresses.underlay };
}

/** Where a migration to the host with these addresses goes. */
export function migrationAddress(profile: Named, addresses: HostAddresses): string {
  return channelAddresses(profile, addresses).protected;
}

/** One traffic selector of transport mode: a protocol, on one port or on any (null). */
export interface TransportSelector {
  readonly protocol: 'tcp' | 'udp';
  readonly port: number | null;
}

/**
 * What transport mode protects between the two underlay addresses, on both sides alike: all TCP, and the probes of the
 * proof. IKE, the plain probe and the path probes stay outside. Charon pairs selectors of the same protocol, so these
 * cover sender to protected port and back.
 */
export const transportSelectors: readonly TransportSelector[] = [
  { protocol: 'tcp', port: null },
  { protocol: 'udp', port: probePorts.sender },
  { protocol: 'udp', port: probePorts.protected },
];

/** The selectors of transport mode in the words of swanctl.conf(5); `dynamic` is the IKE_SA's own address. */
export const transportSelectorWords: readonly string[] = transportSelectors.map(({ protocol, port }) =>
  port === null ? `dynamic[${protocol}]` : `dynamic[${protocol}/${port}]`,
);

/** Why this backend cannot carry this profile; null when it can. */
export function profileFault(profile: Pick<ChannelProfile, 'name' | 'espProposals'>, backend: IpsecBackend): Refusal | null {
  if (backend === 'kernel') return null;
  const unsupported = (message: string): Refusal => ({ code: 'profile-unsupported', message });
  if (profile.name !== 'esp-tunnel') {
    return unsupported(
      `this host has userspace ESP (kernel-libipsec), which carries esp-tunnel only and not ${profile.name}: ` +
        'choose esp-tunnel, or a kernel with ESP and AH',
    );
  }
  if (withoutExtendedSequenceNumbers(profile.espProposals).length === 0) {
    return unsupported(
      'this host has userspace ESP (kernel-libipsec), which has no 64-bit sequence numbers, and each ESP proposal of the profile insists on them: ' +
        'add one without esn',
    );
  }
  return null;
}

/** Why a VM's memory may not go through this profile; null when it may. */
export function memoryFault(profile: Named): Refusal | null {
  if (usesEsp(profile.name)) return null;
  const message = 'profile ah encrypts nothing (RFC 4302 section 1): the memory of a VM needs esp-tunnel, esp-transport or ah+esp';
  return { code: 'profile-refused', message };
}
