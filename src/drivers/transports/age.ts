import { PlimsollError } from '#core/model/result.ts';

import { startChild, type Child, type ChildEnd } from './child.ts';

/** A key pair of age (X25519), made for one image and forgotten with it. */
export interface AgeKeys {
  /** `age1...`, public. */
  readonly recipient: string;
  /** `AGE-SECRET-KEY-1...`: in memory only. */
  readonly identity: string;
}

/** What age uses for the bytes of a file (age-encryption.org/v1: ChaCha20-Poly1305 in chunks of 64 KiB, X25519 for its key). */
export const ageCipher = 'ChaCha20-Poly1305, X25519 (age v1)';

const recipientPattern = /^age1[02-9ac-hj-np-z]{58}$/u;
const identityPattern = /^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/mu;
const keysCharactersMax = 4_096;

/** Rejects with `config-invalid` when age is missing. */
export async function makeAgeKeys(): Promise<AgeKeys> {
  const child = startChild(['age-keygen']);
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(0, keysCharactersMax);
  });
  const end = await child.ended;
  const identity = identityPattern.exec(text)?.[0];
  const recipient = /^# public key: (\S+)$/mu.exec(text)?.[1];
  if (end.exitCode !== 0 || identity === undefined || recipient === undefined) throw ageFailure('make a key', end);
  return { recipient: checkRecipient(recipient), identity };
}

/** A recipient goes into argv: it must not be able to be anything else. */
export function checkRecipient(recipient: string): string {
  if (recipientPattern.test(recipient)) return recipient;
  throw new PlimsollError('channel-failed', 'the destination offered a key that is not one of age; check its version');
}

/** Reads the file and writes it, encrypted to `recipient`, to the child's standard output. */
export function seal(path: string, recipient: string): Child {
  return startChild(['age', '--encrypt', '--recipient', checkRecipient(recipient), '--', path]);
}

/** Decrypts a file into a new one. */
export function unseal(sealedPath: string, path: string, identity: string): Child {
  const child = startChild(['age', '--decrypt', '--identity', '-', '--output', path, '--', sealedPath]);
  child.stdin.end(`${identity}\n`);
  return child;
}

export function ageFailure(what: string, { exitCode, complaint }: ChildEnd): PlimsollError {
  // setpriv ends with 127 when it finds no such program.
  if (exitCode === 127) return new PlimsollError('config-invalid', "age is missing; install Debian's package age on both hosts");
  return new PlimsollError('channel-failed', `age could not ${what}: ${complaint === '' ? 'it said nothing' : complaint}`);
}
