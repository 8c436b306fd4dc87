/** How a migration was protected, as it is printed. */
import type { MigrationResource } from '#wire/api.ts';
import { formatBytes, formatTime, unknown } from './format.ts';

type Field = readonly [name: string, value: string];
type Association = NonNullable<NonNullable<MigrationResource['channelBefore']>['sa']>;
type Tuning = NonNullable<MigrationResource['tuning']>;
type Proof = NonNullable<MigrationResource['proof']>;

const weakerKinds: Readonly<Record<string, string>> = {
  'qemu-tls': "WEAKER than IPsec: only QEMU's data stream is encrypted (qemu-tls), nothing is proven",
  ssh: 'WEAKER than IPsec: a forwarded SSH port, nothing is proven',
  'sealed-image': 'WEAKER than IPsec: an encrypted image, nothing is proven',
  none: 'NOT PROTECTED: the memory of the VM crosses the network in plain text',
};

export function channelFields(migration: MigrationResource): readonly Field[] {
  const { request, proof, tuning } = migration;
  const weaker = weakerKinds[request.channelKind];
  if (weaker !== undefined) {
    return [['channel', weaker], ...(request.grantId === null ? [] : [['grant', request.grantId] as const])];
  }
  if (proof === null) return [['channel', 'not proven (no byte of the VM leaves its host before)']];
  return [...proofFields(proof), ...(tuning === null ? [] : [['packet sizes', tuningText(tuning)] as const]), ...trafficFields(migration)];
}

/** What was proven, and when. */
export function proofFields(proof: Proof): readonly Field[] {
  const algorithms = [proof.encryption, proof.integrity, proof.keyExchange].filter((name) => name !== null && name !== 'none');
  const numbers = proof.extendedSequenceNumbers ? ['64-bit sequence numbers'] : [];
  return [
    ['channel', `${proof.profile}: ${[...algorithms, ...numbers].join(', ')}, ${proof.mode} mode, proven ${formatTime(proof.provenAtMs)}`],
    ['peers', peersText(proof)],
    ['SPIs', `${proof.spiSourceToDestination} out, ${proof.spiDestinationToSource} back`],
    ['proof', `${proof.protectedProbes} probes crossed inside, ${proof.plainProbesDropped} plain-text probes dropped`],
  ];
}

/** One line of a measurement of packet sizes. */
export function tuningText(tuning: Tuning): string {
  const kept = tuning.kept === 'after' ? '' : ' (no better: not used)';
  return `path MTU ${tuning.pathMtuBytes}, MSS ${tuning.mssBeforeBytes} -> ${tuning.mssAfterBytes}, MTU ${tuning.mtuBeforeBytes} -> ${tuning.mtuAfterBytes}${kept}, limited by ${tuning.limitedBy}`;
}

function peersText(proof: Proof): string {
  const how =
    proof.authentication === 'psk'
      ? 'authenticated by a pre-shared key made for this channel'
      : `authenticated by ${certificatesText(proof)}`;
  return `${how}; ${proof.postQuantumKey ? 'with a post-quantum pre-shared key in their keys (RFC 8784)' : 'no post-quantum key'}`;
}

function certificatesText({ sourceCertificateSha256, destinationCertificateSha256 }: Proof): string {
  return `certificates sha256:${shortOf(sourceCertificateSha256)} and sha256:${shortOf(destinationCertificateSha256)}`;
}

function shortOf(sha256: string | null): string {
  return sha256 === null ? unknown : sha256.slice(0, 16);
}

function trafficFields({ channelBefore, channelAfter }: MigrationResource): readonly Field[] {
  const [first, last] = [channelBefore?.sa ?? null, channelAfter?.sa ?? null];
  if (first === null || last === null) return [];
  const carried = carriedBetween(first, last);
  if (carried === null) return [['bytes in IPsec', 'not counted: the SA was made anew']];
  const rekeys = carried.rekeys === 0 ? '' : `, ${carried.rekeys} rekeys`;
  return [['bytes in IPsec', `${formatBytes(carried.bytes)} in ${carried.packets} packets${rekeys}`]];
}

/** Over rekeys, as far as the host has kept the counters of those SAs that were replaced; null when the first one is not among them. */
function carriedBetween(
  first: Association,
  last: Association,
): { readonly bytes: number; readonly packets: number; readonly rekeys: number } | null {
  const chain = [...last.replaced, last];
  const from = chain.findIndex((sa) => sa.spiOut === first.spiOut && sa.spiIn === first.spiIn);
  if (from === -1) return null;
  const since = chain.slice(from);
  const sum = (of: (sa: (typeof since)[number]) => number) => since.reduce((total, sa) => total + of(sa), 0);
  return {
    bytes: sum((sa) => sa.bytesOut) - first.bytesOut,
    packets: sum((sa) => sa.packetsOut) - first.packetsOut,
    rekeys: since.length - 1,
  };
}
