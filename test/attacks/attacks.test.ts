/** Attacks on a real cluster, each with its control arm and the time until it was refused. */
import { afterAll, beforeAll, describe } from 'vitest';
import { describeInjection } from './injection.ts';
import { describePacketAttacks } from './packets.ts';
import { describePeerAttacks } from './peers.ts';
import { Results } from './results.ts';
import { describeRevocation } from './revocation.ts';
import { Site } from './site.ts';

describe('attacks', () => {
  const results = new Results();
  let site: Site;
  const siteOf = (): Site => site;

  beforeAll(async () => {
    site = await Site.build(results);
  });
  afterAll(async () => {
    console.log(results.table());
    await site?.down();
  });

  describePacketAttacks(siteOf);
  describeInjection(siteOf);
  describePeerAttacks(siteOf);
  describeRevocation(siteOf);
});
