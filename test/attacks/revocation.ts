/** A host that was revoked, while it had a channel and afterwards. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { joinAgain } from '#lab/operator.ts';
import { allHostsUp } from '#test/e2e/cluster.ts';
import { identityOf } from './identities.ts';
import { PeerBench } from './peer-bench.ts';
import { RogueCharon } from './rogue-charon.ts';
import { limits, type Site } from './site.ts';

const controllerPort = ':7443';

export function describeRevocation(siteOf: () => Site): void {
  describe('by a host that was revoked', () => {
    let bench: PeerBench;
    let bystander: RogueCharon;

    beforeAll(async () => {
      bench = await PeerBench.start(siteOf(), 'host1');
      bystander = new RogueCharon(siteOf().host('host2').viciSocket);
    });
    afterAll(() => {
      bench?.close();
      bystander?.close();
    });

    it('its channel and its line end within 5 s, a new channel is refused, and the channels of others stay', async () => {
      const site = siteOf();
      await site.keepChannel('host1', 'host2');
      await site.keepChannel('host1', 'host3');
      const others = await site.end('host1', 'host2');
      expect(await sessions()).toBeGreaterThan(0);

      const startMs = performance.now();
      const revoking = site.client.revokeHost('host3', 'stolen');
      const gone = await Promise.all([
        site.until('no SA on host1', startMs, async () => (await bench.victim.installed('host3')) === 0),
        site.until('no SA on host3', startMs, async () => (await bench.rogue.installed('host1')) === 0),
        site.until('no line of host3', startMs, async () => (await sessions()) === 0),
      ]);
      expect(await revoking).toMatchObject({ hostId: 'host3', notTold: [] });
      for (const ms of gone) expect(ms).toBeLessThan(limits.revocationMs);
      expect((await site.client.host('host3')).status).toBe('revoked');

      const nothingThere = { because: /no IKE config found for/, refusedBy: 'charon: no connection for this address' };
      const refusedAfterMs = await bench.refused(bench.offer(), nothingThere);
      const now = await site.end('host1', 'host2');
      expect(now.sa?.childUniqueId).toBe(others.sa?.childUniqueId);
      expect(await bystander.installed('host1')).toBe(1);

      const controlArm = 'the SA of host1 and host2 stays up';
      const whileUp = { attack: 'revoked while its SA is up', refusedBy: 'agents end SA, controller ends line', controlArm };
      site.results.add({ ...whileUp, refusedAfterMs: Math.max(...gone) });
      site.results.add({ attack: 'revoked, tries again', refusedBy: nothingThere.refusedBy, refusedAfterMs, controlArm: 'came up before' });
    });

    it('its old certificate is refused also when the host is back with a new one', async () => {
      const site = siteOf();
      await joinAgain(site.cluster.lab, 'host3');
      await allHostsUp(site.cluster);
      await bench.prepareVictim();
      const fresh = await identityOf(site.host('host3'));
      expect(fresh.certificatePem).not.toBe(bench.own.certificatePem);
      const refusal = { because: /certificate was revoked on/, refusedBy: 'charon: revocation list' };
      await bench.attack('revoked certificate', bench.offer(), refusal, bench.offer({ identity: fresh }), 'its new certificate');
    });

    /** Connections of host3 that the controller's machine has. */
    async function sessions(): Promise<number> {
      const filter = ['state', 'established', 'dst', siteOf().host('host3').underlay];
      const { stdout } = await siteOf().cluster.lab.ctl.exec(['ss', '-Htn', ...filter]);
      return stdout.split('\n').filter((line) => line.includes(controllerPort)).length;
    }
  });
}
