/** The channels that are not IPsec, as the guard sees them. */
import type { ChannelKind } from '#core/model/channel.ts';

/**
 * Whether its packets are none that the guard drops: ssh to sshd's port (what it forwards stays on the loopback address of both hosts),
 * a sealed image to a port beside libvirt's. The others use the ports of migrations, so the guards have to be told to let them through;
 * telling them so for these two would open more than they need.
 */
export function goesPastGuard(kind: ChannelKind): boolean {
  return kind === 'ssh' || kind === 'sealed-image';
}

/** Everything but IPsec needs a break-glass grant: nothing proves it, and its packets show what IPsec would hide. */
export function needsGrant(kind: ChannelKind): boolean {
  return kind !== 'ipsec';
}
