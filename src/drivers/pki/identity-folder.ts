import { PlimsollError } from '#core/model/result.ts';
import type { HostIdentity } from '#core/ports.ts';
import { checkDates, checkIdentity, checkLists, usableIntermediates, type CheckedIdentity } from './identity-check.ts';
import { IdentityFiles, presentParts } from './identity-files.ts';
import { certificateFacts } from './certificate-facts.ts';
import { readRevocationLists } from './revocation-list.ts';

/**
 * Writes the identity that a join gave, over whatever was there. Files: see `IdentityFiles`. Throws `input-invalid`
 * for one that could not be loaded again, `certificate-expired`; nothing is written then.
 */
export async function saveIdentity(dir: string, identity: Omit<HostIdentity, 'notAfterMs'>, nowMs: number = Date.now()): Promise<void> {
  const what = 'The new identity';
  const checked = checkIdentity(what, identity);
  checkDates(what, checked, nowMs);
  const intermediatePems = usableIntermediates(checked, identity.intermediatesPem, nowMs);
  await checkLists(identity.crlPems.flatMap(readRevocationLists), [identity.caPem, ...intermediatePems]);
  const files = new IdentityFiles(dir);
  await files.saveRoot(identity.caPem);
  await files.saveTrust(identity.caPem, intermediatePems, identity.crlPems);
  await savePair(files, checked, identity.privateKeyPem);
  await files.removeNextKey();
  await files.ensureLinks();
}

/**
 * Reads and checks the identity of `dir`. CAs that have ended are left out. Throws `config-invalid` when a file is missing or
 * damaged, when certificate, key and CA do not belong together or the clock is before the certificate's time;
 * `certificate-expired` when the host has to join again.
 */
export async function loadIdentity(dir: string, nowMs: number = Date.now()): Promise<HostIdentity> {
  const stored = await new IdentityFiles(dir).read();
  const parts = presentParts(dir, stored);
  const what = `The identity in ${dir}`;
  try {
    const checked = checkIdentity(what, parts);
    checkDates(what, checked, nowMs);
    const intermediatePems = usableIntermediates(checked, parts.intermediatesPem, nowMs);
    const crlPems = await usableLists(stored.crlPem ?? '', [parts.caPem, ...intermediatePems]);
    return identityOf(checked, parts.privateKeyPem, parts.caPem, intermediatePems, crlPems);
  } catch (error) {
    // The same faults in what somebody sends are the sender's; on this host's disk they are the operator's.
    if (error instanceof PlimsollError && error.code === 'input-invalid') {
      throw new PlimsollError('config-invalid', error.message, { cause: error });
    }
    throw error;
  }
}

export function identityOf(
  checked: CheckedIdentity,
  privateKeyPem: string,
  caPem: string,
  intermediatePems: readonly string[],
  crlPems: readonly string[],
): HostIdentity {
  const { hostId, certificatePem, leaf } = checked;
  const intermediatesPem = intermediatePems.join('');
  return { hostId, certificatePem, privateKeyPem, caPem, intermediatesPem, crlPems, notAfterMs: leaf.validToDate.getTime() };
}

export async function savePair(files: IdentityFiles, checked: CheckedIdentity, privateKeyPem: string): Promise<void> {
  const id = certificateFacts(checked.certificatePem).sha256.slice(0, 16);
  await files.savePair(id, `${checked.certificatePem}${checked.issuerPem}`, privateKeyPem);
}

/** The list of a CA that has ended meanwhile is of no use; any other that nobody here signed is a fault. */
async function usableLists(text: string, caPems: readonly string[]): Promise<readonly string[]> {
  const authorityIds = caPems.map((pem) => certificateFacts(pem).subjectId);
  const lists = readRevocationLists(text).filter((list) => authorityIds.includes(list.authorityId));
  await checkLists(lists, caPems);
  return lists.map((list) => list.pem);
}
