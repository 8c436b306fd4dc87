import type { Section } from '#drivers/strongswan/message.ts';
import { type FakeCredentials, firstOf, plainId, readCertificate, sectionOf, textOf } from './fake-credentials.ts';

/** One side of an IKE_AUTH exchange: its configuration for this peer, and what it has loaded. */
export interface Party {
  readonly connection: Section;
  readonly credentials: FakeCredentials;
}

/** Whether both sides would accept each other, as the real one decides with these connections. */
export function acceptEachOther(one: Party, other: Party): boolean {
  return proves(one, other) && proves(other, one) && sharePostQuantumKey(one, other);
}

function proves(prover: Party, verifier: Party): boolean {
  const [mine, theirs] = [sectionOf(prover.connection, 'local'), sectionOf(verifier.connection, 'remote')];
  const id = textOf(mine, 'id');
  if (id === '' || id !== textOf(theirs, 'id') || textOf(mine, 'auth') !== textOf(theirs, 'auth')) return false;
  return textOf(mine, 'auth') === 'psk' ? shareKey(prover, verifier) : provesByCertificate(mine, theirs, prover, verifier);
}

function shareKey(one: Party, other: Party): boolean {
  const owners = ['local', 'remote'].map((end) => textOf(sectionOf(one.connection, end), 'id'));
  const [mine, theirs] = [one, other].map(({ credentials }) => credentials.secret('IKE', owners));
  return mine !== null && mine === theirs;
}

function provesByCertificate(mine: Section, theirs: Section, prover: Party, verifier: Party): boolean {
  const certificate = readCertificate(firstOf(mine['certs']));
  const root = readCertificate(firstOf(theirs['cacerts']));
  if (certificate === null || root === null || !prover.credentials.hasKeyOf(certificate)) return false;
  if (certificate.checkHost(plainId(textOf(mine, 'id'))) === undefined) return false;
  return verifier.credentials.trusts(certificate, root, prover.credentials, textOf(theirs, 'revocation') === 'strict');
}

function sharePostQuantumKey(one: Party, other: Party): boolean {
  const wanted = [one, other].some(({ connection }) => textOf(connection, 'ppk_required') === 'yes');
  if (!wanted) return true;
  const [mine, theirs] = [one, other].map(({ connection, credentials }) => credentials.secret('PPK', [textOf(connection, 'ppk_id')]));
  return textOf(one.connection, 'ppk_id') === textOf(other.connection, 'ppk_id') && mine !== null && mine === theirs;
}
