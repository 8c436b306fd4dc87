import { isIP } from 'node:net';
import { transportSelectors } from '#core/channel/profiles.ts';
import type { ChannelPeer } from '#core/ports.ts';
import { canonicalAddress } from './child-config.ts';
import { isOurReqid, reqidsOf } from './reqid.ts';

/** One IPsec policy of the kernel: what it matches, and the request ids of the SAs it wants, innermost first. */
export interface XfrmPolicy {
  readonly direction: 'in' | 'out' | 'fwd';
  readonly source: string;
  readonly destination: string;
  /** Such as `['proto', 'tcp']`: the rest of the selector in the words of ip-xfrm(8). */
  readonly selector: readonly string[];
  readonly reqids: readonly number[];
}

/** A smaller number wins; charon's own policies start at about 170,000. */
const priority = '1000';

/**
 * The policies of an AH+ESP bundle (RFC 4301 section 4.5): what transport mode protects goes into ESP and then into AH,
 * and comes in only by both. Fail-closed: `level required`, so without these very SAs (the request ids) the kernel drops.
 * IKE, AH and ESP themselves match none of the selectors.
 */
export function bundlePolicies(peer: ChannelPeer): readonly XfrmPolicy[] {
  const local = canonicalAddress(peer.localAddresses.underlay);
  const remote = canonicalAddress(peer.peerAddresses.underlay);
  const { esp, ah } = reqidsOf(peer.peerHostId);
  return pairedSelectors().flatMap((selector) => [
    { direction: 'out' as const, source: local, destination: remote, selector, reqids: [esp, ah] },
    { direction: 'in' as const, source: remote, destination: local, selector, reqids: [esp, ah] },
  ]);
}

/** Every pair of selectors of one protocol, as charon pairs them. */
function pairedSelectors(): readonly (readonly string[])[] {
  return transportSelectors.flatMap((source) =>
    transportSelectors
      .filter((destination) => destination.protocol === source.protocol)
      .map((destination) => ['proto', source.protocol, ...port('sport', source.port), ...port('dport', destination.port)]),
  );
}

function port(word: 'sport' | 'dport', number: number | null): readonly string[] {
  return number === null ? [] : [word, String(number)];
}

/** Arguments for `ip` that install the policy, or replace the one with its selector. */
export function policyUpdate(policy: XfrmPolicy): readonly string[] {
  const { source, destination, reqids } = policy;
  const templates = reqids.flatMap((reqid, index) => {
    const protocol = index === 0 ? 'esp' : 'ah';
    return ['tmpl', 'src', source, 'dst', destination, 'proto', protocol, 'reqid', String(reqid), 'mode', 'transport', 'level', 'required'];
  });
  return ['xfrm', 'policy', 'update', ...selection(policy), 'priority', priority, ...templates];
}

export function policyDelete(policy: XfrmPolicy): readonly string[] {
  return ['xfrm', 'policy', 'delete', ...selection(policy)];
}

/** Arguments for `ip` that list all policies, one per line. */
export const policyList: readonly string[] = ['-o', 'xfrm', 'policy', 'list'];

function selection({ source, destination, selector, direction }: XfrmPolicy): readonly string[] {
  return ['src', prefixed(source), 'dst', prefixed(destination), ...selector, 'dir', direction];
}

function prefixed(address: string): string {
  return address.includes('/') ? address : `${address}/${isIP(address) === 6 ? 128 : 32}`;
}

/** Our policies among those that `ip -o xfrm policy list` shows; also those that charon installed for our SAs. */
export function readPolicies(listing: string): readonly XfrmPolicy[] {
  return listing.split('\n').flatMap((line) => readPolicy(line) ?? []);
}

function readPolicy(line: string): XfrmPolicy | null {
  const [head, direction] = [/^src (\S+) dst (\S+) ?([^\\]*)\\/.exec(line), /\\\tdir (in|out|fwd) /.exec(line)?.[1]];
  const [, source, destination, rest] = head ?? [];
  if (source === undefined || destination === undefined || !isDirection(direction)) return null;
  const reqids = [...line.matchAll(/ reqid (\d+)(?:\(\S+\))? /g)].map(([, reqid]) => Number(reqid));
  if (!reqids.some(isOurReqid)) return null;
  return { direction, source, destination, selector: words(rest ?? ''), reqids };
}

function words(text: string): readonly string[] {
  return text.split(' ').filter((word) => word !== '');
}

function isDirection(text: string | undefined): text is XfrmPolicy['direction'] {
  return text === 'in' || text === 'out' || text === 'fwd';
}
