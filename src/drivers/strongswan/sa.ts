import { Fields } from './fields.ts';
import type { Section } from './message.ts';

/** One CHILD_SA as charon lists it. SPIs are lower-case hex, empty while nothing is installed. */
export interface ChildSa {
  readonly name: string;
  readonly uniqueId: string;
  /** charon's word: CREATED, INSTALLING, INSTALLED, REKEYING, REKEYED, DELETING, … */
  readonly state: string;
  /** TUNNEL or TRANSPORT. */
  readonly mode: string;
  readonly protocol: string | undefined;
  readonly udpEncapsulated: boolean;
  readonly spiIn: string;
  readonly spiOut: string;
  readonly encryptionAlgorithm: string | undefined;
  readonly encryptionKeyBits: number | undefined;
  readonly integrityAlgorithm: string | undefined;
  readonly integrityKeyBits: number | undefined;
  /** Only after the CHILD_SA made its own key exchange; its first keys come from the IKE_SA's (RFC 7296, 1.2). */
  readonly keyExchange: string | undefined;
  readonly extendedSequenceNumbers: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly packetsIn: number;
  readonly packetsOut: number;
  readonly localSelectors: readonly string[];
  readonly remoteSelectors: readonly string[];
}

/** One IKE_SA with its CHILD_SAs. */
export interface IkeSa {
  /** The connection it was made from. */
  readonly name: string;
  readonly uniqueId: string;
  /** charon's word: CONNECTING, ESTABLISHED, REKEYING, DELETING, … */
  readonly state: string;
  readonly localHost: string;
  readonly remoteHost: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly initiator: boolean;
  readonly encryptionAlgorithm: string | undefined;
  readonly encryptionKeyBits: number | undefined;
  readonly keyExchange: string | undefined;
  /** A post-quantum pre-shared key is in its keys (RFC 8784); an IKE rekey hands this on. */
  readonly postQuantumKey: boolean;
  readonly children: readonly ChildSa[];
}

/** The IKE_SAs in a `list-sa`, `ike-updown` or `child-updown` message. Throws `strongswan-malformed-reply`. */
export function readIkeSas(message: Section, what: string): readonly IkeSa[] {
  return new Fields(message, what).sections().map(([name, fields]) => readIkeSa(name, fields));
}

function readIkeSa(name: string, fields: Fields): IkeSa {
  return {
    name,
    uniqueId: fields.text('uniqueid'),
    state: fields.text('state'),
    localHost: fields.text('local-host'),
    remoteHost: fields.text('remote-host'),
    localId: fields.text('local-id'),
    remoteId: fields.text('remote-id'),
    initiator: fields.flag('initiator'),
    encryptionAlgorithm: fields.optionalText('encr-alg'),
    encryptionKeyBits: fields.optionalCount('encr-keysize'),
    keyExchange: fields.optionalText('dh-group'),
    postQuantumKey: fields.flag('ppk'),
    children: fields
      .fields('child-sas')
      .sections()
      .map(([, child]) => readChildSa(child)),
  };
}

/** charon leaves out the SPIs, algorithms and counters of a CHILD_SA that is not installed. */
export function readChildSa(fields: Fields): ChildSa {
  return {
    name: fields.text('name'),
    uniqueId: fields.text('uniqueid'),
    state: fields.text('state'),
    mode: fields.text('mode'),
    protocol: fields.optionalText('protocol'),
    udpEncapsulated: fields.flag('encap'),
    spiIn: fields.optionalText('spi-in') ?? '',
    spiOut: fields.optionalText('spi-out') ?? '',
    encryptionAlgorithm: fields.optionalText('encr-alg'),
    encryptionKeyBits: fields.optionalCount('encr-keysize'),
    integrityAlgorithm: fields.optionalText('integ-alg'),
    integrityKeyBits: fields.optionalCount('integ-keysize'),
    keyExchange: fields.optionalText('dh-group'),
    extendedSequenceNumbers: fields.flag('esn'),
    bytesIn: fields.optionalCount('bytes-in') ?? 0,
    bytesOut: fields.optionalCount('bytes-out') ?? 0,
    packetsIn: fields.optionalCount('packets-in') ?? 0,
    packetsOut: fields.optionalCount('packets-out') ?? 0,
    localSelectors: fields.texts('local-ts'),
    remoteSelectors: fields.texts('remote-ts'),
  };
}
