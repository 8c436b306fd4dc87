/**
 * Every algorithm keyword of strongSwan's proposals that Plimsoll knows: accepted, or refused with the reason. The requirement
 * words are those of RFC 8221 sections 5 and 6 (ESP, AH), RFC 8247 sections 2.1 to 2.4 (IKEv2) and RFC 9395. Where they leave a
 * choice ("MAY", "MUST-", for small devices), Plimsoll refuses. What is not in this table is refused as unknown.
 */
export type ProposalKind = 'ike' | 'esp' | 'ah';

export type KeywordType = 'encryption' | 'integrity' | 'prf' | 'group' | 'esn';

export interface AcceptedKeyword {
  readonly type: KeywordType;
  /** Charon's names of it when negotiated (`encryption_algorithm_names` and its like in strongSwan's sources). */
  readonly names: readonly string[];
  /** Encrypts and authenticates in one (RFC 5116): takes no integrity algorithm beside it. */
  readonly aead: boolean;
}

export interface RefusedKeyword {
  /** IANA's name. */
  readonly algorithm: string;
  /** One clause; by kind where the RFCs differ. */
  readonly why: string | Readonly<Record<ProposalKind, string>>;
}

const accepted = (type: KeywordType, ...names: readonly string[]): AcceptedKeyword => ({ type, names, aead: false });
const aead = (...names: readonly string[]): AcceptedKeyword => ({ type: 'encryption', names, aead: true });

const aesGcm = (bits: number): AcceptedKeyword => aead(`AES_GCM_16-${bits}`);
const aesCbc = (bits: number): AcceptedKeyword => accepted('encryption', `AES_CBC-${bits}`);
// Charon names no key size for ChaCha20, whose keys have one size (RFC 7634 section 2).
const chacha = aead('CHACHA20_POLY1305', 'CHACHA20_POLY1305-256');

export const acceptedKeywords: Readonly<Record<string, AcceptedKeyword>> = {
  aes128gcm16: aesGcm(128),
  aes192gcm16: aesGcm(192),
  aes256gcm16: aesGcm(256),
  aes128gcm128: aesGcm(128),
  aes192gcm128: aesGcm(192),
  aes256gcm128: aesGcm(256),
  aes128gcm: aesGcm(128),
  aes192gcm: aesGcm(192),
  aes256gcm: aesGcm(256),
  chacha20poly1305: chacha,
  aes: aesCbc(128),
  aes128: aesCbc(128),
  aes192: aesCbc(192),
  aes256: aesCbc(256),
  sha256: accepted('integrity', 'HMAC_SHA2_256_128'),
  sha2_256: accepted('integrity', 'HMAC_SHA2_256_128'),
  sha384: accepted('integrity', 'HMAC_SHA2_384_192'),
  sha2_384: accepted('integrity', 'HMAC_SHA2_384_192'),
  sha512: accepted('integrity', 'HMAC_SHA2_512_256'),
  sha2_512: accepted('integrity', 'HMAC_SHA2_512_256'),
  prfsha256: accepted('prf', 'PRF_HMAC_SHA2_256'),
  prfsha384: accepted('prf', 'PRF_HMAC_SHA2_384'),
  prfsha512: accepted('prf', 'PRF_HMAC_SHA2_512'),
  modp2048: accepted('group', 'MODP_2048'),
  modp3072: accepted('group', 'MODP_3072'),
  modp4096: accepted('group', 'MODP_4096'),
  modp6144: accepted('group', 'MODP_6144'),
  modp8192: accepted('group', 'MODP_8192'),
  ecp256: accepted('group', 'ECP_256'),
  ecp384: accepted('group', 'ECP_384'),
  ecp521: accepted('group', 'ECP_521'),
  curve25519: accepted('group', 'CURVE_25519'),
  x25519: accepted('group', 'CURVE_25519'),
  curve448: accepted('group', 'CURVE_448'),
  x448: accepted('group', 'CURVE_448'),
  esn: accepted('esn'),
  noesn: accepted('esn'),
};

const esp = 'RFC 8221 section 5';
const auth = 'RFC 8221 section 6';
// What RFC 9395 gives them is a status in IANA's registries, not a requirement word.
const deprecated = 'RFC 9395 deprecates it';
const marked = "IANA's registry of IKEv2 transforms marks it as deprecated";

/** Encryption: what RFC 8247 section 2.1 and RFC 8221 section 5 say of it. AH has no encryption. */
function encryption(algorithm: string, ofIke: string, ofEsp: string): RefusedKeyword {
  return { algorithm, why: { ike: ofIke, esp: ofEsp, ah: 'AH has no encryption (RFC 4302)' } };
}

/** Integrity: what RFC 8247 section 2.3 and RFC 8221 section 6 say of it. */
function integrity(algorithm: string, ofIke: string, ofBoth: string): RefusedKeyword {
  return { algorithm, why: { ike: ofIke, esp: ofBoth, ah: ofBoth } };
}

const refused = (algorithm: string, why: string): RefusedKeyword => ({ algorithm, why });
const unlisted = (algorithm: string, table: string): RefusedKeyword => refused(algorithm, `it is not in the table of ${table}`);
const nullEncryption = encryption(
  'ENCR_NULL',
  'RFC 7296 section 5 says an IKE_SA MUST NOT use it',
  `it encrypts nothing (${esp} keeps it for integrity only)`,
);
const gmac = refused('ENCR_NULL_AUTH_AES_GMAC', 'it encrypts nothing (RFC 4543), and RFC 8221 section 6 says only MAY for AH');
const shortTag = (algorithm: string): RefusedKeyword =>
  refused(algorithm, `its integrity tag is shorter than the 16 bytes of ENCR_AES_GCM_16, which ${esp} says is MUST`);
const ccm8 = encryption(
  'ENCR_AES_CCM_8',
  'RFC 8247 section 2.1 says SHOULD for small devices only: its integrity tag is 8 bytes',
  `${esp} says SHOULD for small devices only: its integrity tag is 8 bytes`,
);
const blowfish = encryption('ENCR_BLOWFISH', deprecated, `${esp} says MUST NOT`);
const sha1 = integrity(
  'AUTH_HMAC_SHA1_96',
  'RFC 8247 section 2.3 says MUST-, it is on its way out: take SHA-2',
  `${auth} says MUST-, it is on its way out: take SHA-2`,
);
const md5 = integrity('AUTH_HMAC_MD5_96', 'RFC 8247 section 2.3 says MUST NOT', `${auth} says MUST NOT`);
const xcbc = integrity(
  'AUTH_AES_XCBC_96',
  'RFC 8247 section 2.3 says SHOULD for small devices only',
  `${auth} says SHOULD or MAY for small devices only`,
);
const sha256Short = refused('HMAC_SHA2_256_96', 'it has 96 bits where RFC 4868 section 2.1.1 asks for 128: take sha256');
const unlistedCipher = (algorithm: string): RefusedKeyword => unlisted(algorithm, `${esp} or RFC 8247 section 2.1`);
const group = (number: number, word: string): RefusedKeyword =>
  refused(`Diffie-Hellman group ${number}`, `RFC 8247 section 2.4 says ${word}`);
const weakCurve = (number: number): RefusedKeyword =>
  refused(`Diffie-Hellman group ${number}`, 'it is not in the table of RFC 8247 section 2.4, and weaker than its weakest curve, group 19');
const otherCurve = (number: number): RefusedKeyword => unlisted(`Diffie-Hellman group ${number}`, 'RFC 8247 section 2.4');
const noGroup = refused('no key exchange', 'RFC 7296 section 1.2 wants one for IKE, and without one new keys follow from old ones');

export const refusedKeywords: Readonly<Record<string, RefusedKeyword>> = {
  null: nullEncryption,
  des: encryption('ENCR_DES', 'RFC 8247 section 2.1 says MUST NOT', `${esp} says MUST NOT`),
  '3des': encryption('ENCR_3DES', 'RFC 8247 section 2.1 says MAY only, its 64-bit block leaks after 32 GiB', `${esp} says SHOULD NOT`),
  des_iv64: encryption('ENCR_DES_IV64', deprecated, `${esp} says MUST NOT`),
  des_iv32: encryption('ENCR_DES_IV32', deprecated, `${esp} says MUST NOT`),
  rc5: encryption('ENCR_RC5', deprecated, deprecated),
  idea: encryption('ENCR_IDEA', deprecated, deprecated),
  '3idea': encryption('ENCR_3IDEA', deprecated, `${esp} says MUST NOT`),
  cast128: encryption('ENCR_CAST', deprecated, deprecated),
  blowfish,
  blowfish128: blowfish,
  blowfish192: blowfish,
  blowfish256: blowfish,
  aes128gmac: gmac,
  aes192gmac: gmac,
  aes256gmac: gmac,
  md5,
  md5_128: refused('AUTH_HMAC_MD5_128', marked),
  sha: sha1,
  sha1,
  sha1_160: refused('AUTH_HMAC_SHA1_160', `${marked}: take SHA-2`),
  desmac: integrity('AUTH_DES_MAC', 'RFC 8247 section 2.3 says MUST NOT', `${auth} says MUST NOT`),
  kpdkmd5: integrity('AUTH_KPDK_MD5', 'RFC 8247 section 2.3 says MUST NOT', `${auth} says MUST NOT`),
  sha256_96: sha256Short,
  sha2_256_96: sha256Short,
  aesxcbc: xcbc,
  aescmac: unlisted('AUTH_AES_CMAC_96', auth),
  camelliaxcbc: unlisted('AUTH_CAMELLIA_XCBC_96', auth),
  prfmd5: refused('PRF_HMAC_MD5', 'RFC 8247 section 2.2 says MUST NOT'),
  prfsha1: refused('PRF_HMAC_SHA1', 'RFC 8247 section 2.2 says MUST-, it is on its way out: take SHA-2'),
  prftiger: refused('PRF_HMAC_TIGER', deprecated),
  prfaesxcbc: refused('PRF_AES128_XCBC', 'RFC 8247 section 2.2 says SHOULD for small devices only'),
  prfaescmac: unlisted('PRF_AES128_CMAC', 'RFC 8247 section 2.2'),
  prfcamelliaxcbc: unlisted('PRF_CAMELLIA128_XCBC', 'RFC 8247 section 2.2'),
  modp768: group(1, 'MUST NOT'),
  modp1024: group(2, 'SHOULD NOT'),
  modp1536: group(5, 'SHOULD NOT'),
  modp1024s160: group(22, 'MUST NOT'),
  modp2048s224: group(23, 'SHOULD NOT'),
  modp2048s256: group(24, 'SHOULD NOT'),
  ecp192: weakCurve(25),
  ecp224: weakCurve(26),
  ecp224bp: weakCurve(27),
  ecp256bp: otherCurve(28),
  ecp384bp: otherCurve(29),
  ecp512bp: otherCurve(30),
  none: noGroup,
  modpnone: noGroup,
  modpnull: noGroup,
  ...everyKeySize((bits) => ({
    [`aes${bits}ctr`]: unlisted('ENCR_AES_CTR', `${esp} or RFC 8247 section 2.1`),
    [`aes${bits}gcm8`]: shortTag('ENCR_AES_GCM_8'),
    [`aes${bits}gcm64`]: shortTag('ENCR_AES_GCM_8'),
    [`aes${bits}gcm12`]: shortTag('ENCR_AES_GCM_12'),
    [`aes${bits}gcm96`]: shortTag('ENCR_AES_GCM_12'),
    [`aes${bits}ccm8`]: ccm8,
    [`aes${bits}ccm64`]: ccm8,
    [`aes${bits}ccm12`]: shortTag('ENCR_AES_CCM_12'),
    [`aes${bits}ccm96`]: shortTag('ENCR_AES_CCM_12'),
    [`aes${bits}ccm16`]: unlisted('ENCR_AES_CCM_16', `${esp} or RFC 8247 section 2.1`),
    [`aes${bits}ccm128`]: unlisted('ENCR_AES_CCM_16', `${esp} or RFC 8247 section 2.1`),
    [`aes${bits}ccm`]: unlisted('ENCR_AES_CCM_16', `${esp} or RFC 8247 section 2.1`),
    [`camellia${bits}`]: unlistedCipher('ENCR_CAMELLIA_CBC'),
    [`camellia${bits}ctr`]: unlistedCipher('ENCR_CAMELLIA_CTR'),
    [`serpent${bits}`]: unlistedCipher('SERPENT_CBC'),
    [`twofish${bits}`]: unlistedCipher('TWOFISH_CBC'),
  })),
  camellia: unlistedCipher('ENCR_CAMELLIA_CBC'),
  serpent: unlistedCipher('SERPENT_CBC'),
  twofish: unlistedCipher('TWOFISH_CBC'),
};

function everyKeySize(entries: (bits: number) => Readonly<Record<string, RefusedKeyword>>): Readonly<Record<string, RefusedKeyword>> {
  return { ...entries(128), ...entries(192), ...entries(256) };
}

export function acceptedKeyword(word: string): AcceptedKeyword | undefined {
  return Object.hasOwn(acceptedKeywords, word) ? acceptedKeywords[word] : undefined;
}

export function refusedKeyword(word: string): RefusedKeyword | undefined {
  return Object.hasOwn(refusedKeywords, word) ? refusedKeywords[word] : undefined;
}
