import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeBase64 } from '#core/access/base64.ts';
import { preAuthenticationEncoding, receiptPayloadType, ticketPayloadType } from '#core/access/envelope.ts';
import { openClusterCa, type ClusterCa } from './cluster-ca.ts';
import { createHostKey, createHostRequest } from './host-key.ts';
import { pemBlocks } from './pem.ts';
import { openSigner, type KeySigner } from './signer.ts';
import { verifyReceipt } from './verify-receipt.ts';

const nowMs = Date.now();
const dayMs = 24 * 3_600_000;
const statement = { version: 2, migrationId: 'm1', endedAtMs: nowMs, outcome: 'moved' };

let dir: string;
let ca: ClusterCa;
let signer: KeySigner;
let strangers: { readonly ca: ClusterCa; readonly signer: KeySigner };
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'plimsoll-receipt-'));
  ca = await openClusterCa(join(dir, 'ca'), nowMs);
  signer = await openSigner(join(dir, 'ca'), ca, nowMs);
  const other = await openClusterCa(join(dir, 'other'), nowMs);
  strangers = { ca: other, signer: await openSigner(join(dir, 'other'), other, nowMs) };
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

interface Made {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  readonly certificates: string | readonly string[];
}

function receipt(value: unknown = statement, by: KeySigner = signer, type: string = receiptPayloadType): Made {
  const payload = new TextEncoder().encode(JSON.stringify(value));
  const sig = encodeBase64(by.sign(preAuthenticationEncoding(type, payload)));
  return { payloadType: type, payload: encodeBase64(payload), signatures: [{ keyid: by.keyId, sig }], certificates: by.certificatesPem };
}

const verdict = (made: unknown, rootPem = ca.rootPem) => verifyReceipt(JSON.stringify(made), rootPem);

describe('a receipt and the root of its cluster', () => {
  it('are enough to verify it: nothing else is asked', () => {
    const made = verdict(receipt());
    expect(made).toMatchObject({
      valid: true,
      statement,
      endedAtMs: nowMs,
      signedBy: { commonName: 'plimsoll-receipts', rootSha256: ca.state().rootSha256 },
    });
    expect(verdict({ ...receipt(), certificates: pemBlocks(signer.certificatesPem, 'CERTIFICATE') })).toMatchObject({ valid: true });
  });

  it('are enough years later too, when all certificates but the root have ended', () => {
    // The verdict knows no clock: what counts is when the migration ended.
    expect(verdict(receipt({ ...statement, endedAtMs: nowMs + 29 * dayMs }))).toMatchObject({ valid: true });
    expect(verdict(receipt({ ...statement, endedAtMs: nowMs + 31 * dayMs }))).toMatchObject({
      valid: false,
      why: expect.stringContaining('ended on') as unknown,
    });
    expect(verdict(receipt({ ...statement, endedAtMs: nowMs - dayMs }))).toMatchObject({ valid: false });
  });

  const forged: readonly (readonly [story: string, make: () => unknown])[] = [
    ['its statement was changed', () => ({ ...receipt(), payload: receipt({ ...statement, outcome: 'stayed' }).payload })],
    ['its signature was changed', () => ({ ...receipt(), signatures: [{ keyid: signer.keyId, sig: 'AAAA' }] })],
    ['its signature was removed', () => ({ ...receipt(), signatures: [] })],
    ['a signed ticket stands in its place', () => receipt(statement, signer, ticketPayloadType)],
    ['a ticket was relabelled', () => ({ ...receipt(statement, signer, ticketPayloadType), payloadType: receiptPayloadType })],
    ['it was signed in another cluster', () => receipt(statement, strangers.signer)],
    ['its signer stands under a CA that is not its own', () => ({ ...receipt(), certificates: mixedChain() })],
    [
      'it was signed in another cluster and shows certificates of this one',
      () => ({ ...receipt(statement, strangers.signer), certificates: signer.certificatesPem }),
    ],
    ['it carries no certificates', () => ({ ...receipt(), certificates: undefined })],
    ['it carries half a chain', () => ({ ...receipt(), certificates: pemBlocks(signer.certificatesPem, 'CERTIFICATE')[0] })],
    [
      'it carries rubbish for certificates',
      () => ({ ...receipt(), certificates: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'.repeat(2) }),
    ],
    ['it is of a version without certificates', () => receipt({ ...statement, version: 1 })],
    ['it does not say when it ended', () => receipt({ version: 2 })],
    ['it states nothing', () => receipt('text')],
    ['it is no envelope', () => ({ payload: 7 })],
    ['it is no object', () => 'rubbish'],
  ];

  it.each(forged)('tell that %s', (_story, make) => {
    expect(verdict(receipt())).toMatchObject({ valid: true });
    expect(verdict(make())).toMatchObject({ valid: false, why: expect.stringMatching(/./) as unknown });
  });

  it('do not take the signature of a host of the cluster, whose certificate is for another purpose', async () => {
    const addresses = { underlay: '192.0.2.1', protected: '192.0.2.1' };
    const requestPem = await createHostRequest('host-a', createHostKey());
    const host = await ca.issueHost({ requestPem, hostId: 'host-a', addresses, lifetimeMs: dayMs, nowMs });
    const made = { ...receipt(), certificates: host.certificatePem + host.intermediatesPem };
    expect(verdict(made)).toMatchObject({ valid: false, why: expect.stringContaining('purpose') as unknown });
  });

  it('are not verified without a CA: that is a mistake of whoever asks', () => {
    for (const notRoot of ['', 'rubbish', pemBlocks(signer.certificatesPem, 'CERTIFICATE')[0] ?? '']) {
      expect(() => verdict(receipt(), notRoot)).toThrow(expect.objectContaining({ code: 'input-invalid' }) as Error);
    }
    expect(verdict(receipt(), strangers.ca.rootPem)).toMatchObject({ valid: false });
    expect(verifyReceipt('{', ca.rootPem)).toMatchObject({ valid: false });
  });
});

function mixedChain(): string {
  const [leaf = ''] = pemBlocks(strangers.signer.certificatesPem, 'CERTIFICATE');
  const [, intermediate = ''] = pemBlocks(signer.certificatesPem, 'CERTIFICATE');
  return leaf + intermediate;
}
