/**
 * The MSS clamp: an nftables table of its own that lowers the maximum segment size in SYN and SYN/ACK to and from the peers' addresses in
 * the channel. Outgoing ones tell the peer what to send here, incoming ones tell this host what to send there. The kernel never raises a
 * size that way (net/netfilter/nft_exthdr.c).
 */
import { isIPv6 } from 'node:net';
import type { PeerTuning } from '#core/model/channel.ts';

export const tuneTable = 'plimsoll_tune';

/** A script for `nft -f -`, one transaction: replaces the whole table, or removes it when nothing is to be clamped. */
export function tuneRuleset(tunings: readonly PeerTuning[]): string {
  // Makes the deletion succeed when there is no table yet.
  const renew = [`add table inet ${tuneTable}`, `delete table inet ${tuneTable}`];
  const clamped = tunings.filter((tuning) => tuning.mssBytes !== null);
  if (clamped.length === 0) return `${renew.join('\n')}\n`;
  return [...renew, `table inet ${tuneTable} {`, chain('input', clamped), chain('output', clamped), '}', ''].join('\n');
}

function chain(hook: 'input' | 'output', tunings: readonly PeerTuning[]): string {
  const rules = tunings.map(({ peerChannelAddress: address, mssBytes }) => {
    const peer = `${isIPv6(address) ? 'ip6' : 'ip'} ${hook === 'input' ? 'saddr' : 'daddr'} ${address}`;
    return `    ${peer} tcp flags & (syn | rst) == syn tcp option maxseg size set ${mssBytes}`;
  });
  return [`  chain ${hook} {`, `    type filter hook ${hook} priority mangle; policy accept;`, ...rules, '  }'].join('\n');
}
