import { PlimsollError } from '#core/model/result.ts';
import type { HostIdentity, IdentityKeeper, TrustUpdate } from '#core/ports.ts';
import { certificateFacts } from './certificate-facts.ts';
import { createHostKey, createHostRequest } from './host-key.ts';
import { checkDates, checkIdentity, checkLists, usableIntermediates } from './identity-check.ts';
import { IdentityFiles } from './identity-files.ts';
import { identityOf, loadIdentity, savePair } from './identity-folder.ts';
import { pemBlocks } from './pem.ts';
import { readRevocationLists, type RevocationList } from './revocation-list.ts';

/**
 * Opens the identity of `dir` for an agent: what `loadIdentity` refuses is refused, files and links that a crash or
 * another program left out are put right, and CAs that have ended are taken out of the files.
 */
export async function openIdentity(dir: string, nowMs: () => number = Date.now): Promise<IdentityKeeper> {
  const identity = await loadIdentity(dir, nowMs());
  const files = new IdentityFiles(dir);
  await files.saveTrust(identity.caPem, pemBlocks(identity.intermediatesPem, 'CERTIFICATE'), identity.crlPems);
  await files.ensureLinks();
  return new FolderIdentityKeeper(files, identity, nowMs);
}

class FolderIdentityKeeper implements IdentityKeeper {
  readonly #files: IdentityFiles;
  readonly #nowMs: () => number;
  #identity: HostIdentity;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(files: IdentityFiles, identity: HostIdentity, nowMs: () => number) {
    this.#files = files;
    this.#identity = identity;
    this.#nowMs = nowMs;
  }

  current(): HostIdentity {
    return this.#identity;
  }

  request(): Promise<string> {
    return this.#inTurn(async () => {
      const privateKeyPem = createHostKey();
      const requestPem = await createHostRequest(this.#identity.hostId, privateKeyPem);
      await this.#files.saveNextKey(privateKeyPem);
      return requestPem;
    });
  }

  install(certificatePem: string, intermediatesPem: string): Promise<HostIdentity> {
    return this.#inTurn(async () => {
      const { caPem, hostId, crlPems } = this.#identity;
      // The answer to an install that a broken line has lost: asked again, it is done already.
      if (sameCertificate(certificatePem, this.#identity.certificatePem)) return this.#identity;
      const privateKeyPem = await this.#files.nextKey();
      if (privateKeyPem === null) {
        throw new PlimsollError('input-invalid', 'No certificate was asked for; ask this host for a request first.');
      }
      const checked = checkIdentity('The new certificate', { certificatePem, privateKeyPem, caPem, intermediatesPem });
      checkDates('The new certificate', checked, this.#nowMs());
      if (checked.hostId !== hostId) {
        throw new PlimsollError('input-invalid', `The new certificate is for ${checked.hostId}, this host is ${hostId}.`);
      }
      if (checked.leaf.validFromDate.getTime() < certificateFacts(this.#identity.certificatePem).notBeforeMs) {
        throw new PlimsollError('input-invalid', 'The new certificate is older than the present one; nothing was changed.');
      }
      const both = `${intermediatesPem}${this.#identity.intermediatesPem}`;
      const intermediatePems = usableIntermediates(checked, both, this.#nowMs());
      // The CAs first: the new certificate must never stand without the CA that libvirt looks for in the bundle.
      await this.#files.saveTrust(caPem, intermediatePems, crlPems);
      await savePair(this.#files, checked, privateKeyPem);
      this.#identity = identityOf(checked, privateKeyPem, caPem, intermediatePems, crlPems);
      await this.#files.removeNextKey();
      return this.#identity;
    });
  }

  updateTrust(update: TrustUpdate): Promise<HostIdentity> {
    return this.#inTurn(async () => {
      const { caPem, privateKeyPem } = this.#identity;
      const checked = checkIdentity('The identity of this host', this.#identity);
      const intermediatePems = usableIntermediates(checked, update.intermediatesPem, this.#nowMs());
      const caPems = [caPem, ...intermediatePems];
      const given = update.crlPems.flatMap(readRevocationLists);
      await checkLists(given, caPems);
      const present = this.#identity.crlPems.flatMap(readRevocationLists);
      const crlPems = newestLists(present, given, caPems).map((list) => list.pem);
      await this.#files.saveTrust(caPem, intermediatePems, crlPems);
      this.#identity = identityOf(checked, privateKeyPem, caPem, intermediatePems, crlPems);
      return this.#identity;
    });
  }

  #inTurn<Result>(step: () => Promise<Result>): Promise<Result> {
    const done = this.#tail.then(step);
    this.#tail = done.catch(() => null);
    return done;
  }
}

/** One list for each CA. A given one that is older than the present one of its CA could hide a revocation. Throws `input-invalid`. */
function newestLists(
  present: readonly RevocationList[],
  given: readonly RevocationList[],
  caPems: readonly string[],
): readonly RevocationList[] {
  return caPems.flatMap((caPem) => {
    const { subjectId } = certificateFacts(caPem);
    const held = present.find((list) => list.authorityId === subjectId);
    const newer = given.find((list) => list.authorityId === subjectId);
    if (held !== undefined && newer !== undefined && newer.number < held.number) {
      throw new PlimsollError('input-invalid', 'A revocation list is older than the present one; nothing was changed.');
    }
    return newer ?? held ?? [];
  });
}

function sameCertificate(one: string, other: string): boolean {
  return certificateFacts(one).sha256 === certificateFacts(other).sha256;
}
