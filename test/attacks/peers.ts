/** Attempts to get a channel to host2 by somebody who is root on host3, a member of the cluster. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ChannelProfile } from '#core/model/channel.ts';
import { defaultProfile } from '#core/model/policy.ts';
import { createStrongswanIpsec } from '#drivers/strongswan/ipsec.ts';
import { DATA_ROOT } from '#lab/layout.ts';
import { addressesOf, expired, identityOf, ofAnotherCluster } from './identities.ts';
import { PeerBench } from './peer-bench.ts';
import type { Site } from './site.ts';
import { withStolenAddress } from './stolen-address.ts';

/** Once common, and refused by RFC 8247 and RFC 8221 or by the policy. */
const weak = {
  ike: { ...defaultProfile, ikeProposals: ['aes128-sha1-modp1024'] },
  esp: { ...defaultProfile, espProposals: ['aes128-sha1'] },
  both: { ...defaultProfile, ikeProposals: ['aes128-sha1-modp1024'], espProposals: ['aes128-sha1'] },
} satisfies Record<string, ChannelProfile>;

const noProposal = { because: /received proposals unacceptable|no acceptable proposal found/, refusedBy: 'charon: no acceptable proposal' };

export function describePeerAttacks(siteOf: () => Site): void {
  describe('by peers that negotiate', () => {
    let bench: PeerBench;

    beforeAll(async () => {
      bench = await PeerBench.start(siteOf(), 'host2');
      await bench.prepareVictim();
    });
    afterAll(() => bench?.close());

    it('a certificate of another CA is refused', async () => {
      const wrong = bench.offer({ identity: await ofAnotherCluster(siteOf().host('host3')) });
      const refusal = { because: /no issuer certificate found for "CN=host3"/, refusedBy: 'charon: no trusted issuer' };
      await bench.attack('wrong CA', wrong, refusal, bench.offer(), "the cluster's certificate");
    });

    it('an expired certificate is refused', async () => {
      const pkiDir = join(DATA_ROOT, siteOf().cluster.lab.name, 'controller/pki');
      const wrong = bench.offer({ identity: await expired(siteOf().host('host3'), pkiDir) });
      const refusal = { because: /subject certificate invalid \(valid from/, refusedBy: 'charon: certificate is not valid now' };
      await bench.attack('expired certificate', wrong, refusal, bench.offer(), 'a valid certificate');
    });

    it('weak algorithms are refused, for IKE and for ESP; a host without the policy takes them', async () => {
      const site = siteOf();
      await bench.attack('downgrade of IKE', bench.offer({ profile: weak.ike }), noProposal, bench.offer(), "the policy's proposals");
      await bench.attack('downgrade of ESP', bench.offer({ profile: weak.esp }), noProposal, bench.offer(), "the policy's proposals");

      await site.resetChannel('host2', 'host3');
      const [here, there] = [site.host('host2'), site.host('host3')];
      const lenient = { local: addressesOf(here), identity: await identityOf(here), peerHostId: 'host3', peer: addressesOf(there) };
      const unload = await bench.victim.accept({ ...lenient, profile: weak.both });
      try {
        await bench.accepted(bench.offer({ profile: weak.both }));
      } finally {
        await unload();
      }
    });

    it("weak algorithms are not even offered by a host's own driver, which offers good ones", async () => {
      const site = siteOf();
      const ipsec = createStrongswanIpsec({ socketPath: site.host('host3').viciSocket });
      const { local, peer } = bench.offer();
      const channel = {
        localAddresses: local,
        peerHostId: 'host2',
        peerAddresses: peer,
        secrets: { preSharedKey: null, postQuantumKey: null },
      };
      const soon = AbortSignal.timeout(30_000);
      try {
        for (const profile of Object.values(weak)) {
          await expect(ipsec.prepare({ ...channel, profile }, bench.own, soon)).rejects.toMatchObject({ code: 'profile-refused' });
        }
        await ipsec.prepare({ ...channel, profile: defaultProfile }, bench.own, soon);
        await ipsec.remove('host2', soon);
      } finally {
        await ipsec.close();
      }
    });

    it('a member that is not party to the migration is refused, also from the address of one that is', async () => {
      const site = siteOf();
      await site.resetChannel('host2', 'host3');
      await site.keepChannel('host1', 'host2');
      const stranger = { because: /no IKE config found for/, refusedBy: 'charon: no connection for this address' };
      const refusedAfterMs = await bench.refused(bench.offer(), stranger);
      const inDisguise = { because: /no matching peer config found/, refusedBy: 'charon: no connection for this identity' };
      let disguisedMs = Number.NaN;
      await withStolenAddress(site, 'host3', 'host1', 'host2', async () => {
        disguisedMs = await bench.refused(bench.offer({ local: addressesOf(site.host('host1')) }), inDisguise);
      });
      await bench.prepareVictim();
      await bench.accepted(bench.offer());
      const controlArm = 'comes up once host2 is prepared for it';
      site.results.add({ attack: 'member, not party', refusedBy: stranger.refusedBy, refusedAfterMs, controlArm });
      const attack = "member, not party, at a party's address";
      site.results.add({ attack, refusedBy: inDisguise.refusedBy, refusedAfterMs: disguisedMs, controlArm });
    });

    it("the party's name and address are refused without the party's key", async () => {
      const site = siteOf();
      await site.keepChannel('host1', 'host2');
      const forged = bench.offer({ local: addressesOf(site.host('host1')), claims: 'host1' });
      const because = /no trusted .* public key found for 'host1'|signature validation failed/;
      const refusal = { because, refusedBy: 'charon: no trusted public key of host1' };
      await withStolenAddress(site, 'host3', 'host1', 'host2', async () => {
        const stolenKey = { ...forged, identity: await identityOf(site.host('host1')) };
        await bench.attack('forged identity', forged, refusal, stolenKey, "host1's own key, stolen");
      });
      // The thief with the key has pushed the true channel out of host2: the next proof finds out and makes it anew.
      await site.keepChannel('host1', 'host2');
    });
  });
}
