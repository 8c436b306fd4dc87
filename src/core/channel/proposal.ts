/** Reads strongSwan's proposals, such as `aes256gcm16-ecp384-esn`. */
import { acceptedKeyword } from './keywords.ts';

/** A proposal by charon's names of what it allows. */
export interface Proposal {
  readonly encryption: readonly string[];
  readonly integrity: readonly string[];
  readonly prf: readonly string[];
  readonly groups: readonly string[];
  /** Whether its ciphers carry their own integrity; `mixed`: some do. */
  readonly aead: boolean | 'mixed';
  /** Which lengths of sequence numbers it allows (RFC 4304); without a keyword, charon proposes 32 bits only. */
  readonly extendedSequenceNumbers: readonly boolean[];
}

/** Reads a proposal that `judgeProposal` accepts; keywords that it refuses count for nothing. */
export function parseProposal(proposal: string): Proposal {
  const words = proposal.split('-');
  const known = words.flatMap((word) => acceptedKeyword(word) ?? []);
  const ciphers = known.filter((keyword) => keyword.type === 'encryption');
  const namesOf = (type: string): readonly string[] => known.flatMap((keyword) => (keyword.type === type ? keyword.names : []));
  const extendedSequenceNumbers = [...(words.includes('esn') ? [true] : []), ...(words.includes('noesn') ? [false] : [])];
  return {
    encryption: namesOf('encryption'),
    integrity: namesOf('integrity'),
    prf: namesOf('prf'),
    groups: namesOf('group'),
    aead: ciphers.every((keyword) => keyword.aead) ? ciphers.length > 0 : ciphers.some((keyword) => keyword.aead) && 'mixed',
    extendedSequenceNumbers: extendedSequenceNumbers.length === 0 ? [false] : extendedSequenceNumbers,
  };
}

/** The proposals that do not insist on 64-bit sequence numbers, for userspace ESP, which has none; may be empty. */
export function withoutExtendedSequenceNumbers(proposals: readonly string[]): readonly string[] {
  return proposals
    .filter((proposal) => parseProposal(proposal).extendedSequenceNumbers.includes(false))
    .map((proposal) =>
      proposal
        .split('-')
        .filter((word) => word !== 'esn' && word !== 'noesn')
        .join('-'),
    );
}
