import { randomBytes } from 'node:crypto';
import { parseProposal } from '#core/channel/algorithms.ts';
import type { Section } from '#drivers/strongswan/message.ts';
import type { FakeCharon } from './fake-charon.ts';
import { textOf, textsOf } from './fake-credentials.ts';

/** What both ends of one CHILD_SA agreed on. */
export interface FakeAgreement {
  readonly protocol: 'ESP' | 'AH';
  readonly mode: 'TUNNEL' | 'TRANSPORT';
  readonly proposal: string;
}

export interface FakeChild {
  readonly name: string;
  readonly id: string;
  readonly agreement: FakeAgreement;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
  state: 'INSTALLED' | 'REKEYED';
  spiIn: string;
  spiOut: string;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
}

export interface FakeIke {
  readonly name: string;
  ikeId: string;
  readonly local: FakeCharon;
  readonly peer: FakeCharon;
  readonly initiator: boolean;
  established: boolean;
  /** A post-quantum pre-shared key is in its keys. */
  postQuantumKey: boolean;
  /** The IKE_SA of the other end. */
  other: FakeIke | null;
  readonly children: FakeChild[];
}

export function newSpi(): string {
  return randomBytes(4).toString('hex');
}

/** The proposal that both have, in the initiator's order; null when there is none (NO_PROPOSAL_CHOSEN). */
export function agree(mine: Section, theirs: Section): FakeAgreement | null {
  const mode = textOf(mine, 'mode') === 'transport' ? 'TRANSPORT' : 'TUNNEL';
  if (textOf(mine, 'mode') !== textOf(theirs, 'mode')) return null;
  for (const [protocol, key] of [
    ['ESP', 'esp_proposals'],
    ['AH', 'ah_proposals'],
  ] as const) {
    const proposal = textsOf(mine[key]).find((candidate) => textsOf(theirs[key]).includes(candidate));
    if (typeof proposal === 'string') return { protocol, mode, proposal };
  }
  return null;
}

/** The selectors of one side of a child, with the address of that host for `dynamic`, as charon lists them. */
export function selectorsOf(config: Section, side: 'local_ts' | 'remote_ts', address: string): readonly string[] {
  return textsOf(config[side]).map((selector) => String(selector).replace('dynamic', `${address}/32`));
}

export function newChild(config: Section, agreement: FakeAgreement, name: string, id: string, ike: FakeIke): FakeChild {
  const counters = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };
  const localSelectors = selectorsOf(config, 'local_ts', ike.local.underlay);
  const remoteSelectors = selectorsOf(config, 'remote_ts', ike.peer.underlay);
  return { name, id, agreement, localSelectors, remoteSelectors, state: 'INSTALLED', spiIn: newSpi(), spiOut: newSpi(), ...counters };
}

/** charon's fields for the algorithms of a proposal. */
export function algorithmFields({ protocol, proposal }: FakeAgreement): Section {
  const { encryption, integrity, extendedSequenceNumbers } = parseProposal(proposal);
  const [name = '', bits] = (encryption[0] ?? '').split('-');
  return {
    ...(protocol === 'ESP' ? { 'encr-alg': name, ...(bits === undefined ? {} : { 'encr-keysize': bits }) } : {}),
    ...(integrity[0] === undefined ? {} : { 'integ-alg': integrity[0] }),
    ...(extendedSequenceNumbers.includes(true) ? { esn: '1' } : {}),
  };
}
