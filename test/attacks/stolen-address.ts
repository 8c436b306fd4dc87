import type { Site } from './site.ts';

/**
 * Runs the work while the thief has the owner's addresses, as far as the victim is concerned: what successful ARP spoofing comes
 * to. Both neighbour entries are pinned and the thief answers no ARP for what it stole, so that nobody else is deceived.
 */
export async function withStolenAddress(
  site: Site,
  thief: string,
  owner: string,
  victim: string,
  work: () => Promise<void>,
): Promise<void> {
  const [stolen, target] = [site.host(owner), site.host(victim)];
  const arpIgnore = (value: number) => ['sh', '-c', `echo ${value} > /proc/sys/net/ipv4/conf/all/arp_ignore`];
  const addresses = [stolen.underlay, stolen.protected];
  const pinned = ['dev', 'eth0', 'nud', 'permanent'];
  await site.must(thief, arpIgnore(1));
  for (const address of addresses) await site.must(thief, ['ip', 'addr', 'add', `${address}/32`, 'dev', 'lo']);
  await site.must(thief, ['ip', 'neigh', 'replace', target.underlay, 'lladdr', await hardwareAddress(site, victim), ...pinned]);
  await site.must(victim, ['ip', 'neigh', 'replace', stolen.underlay, 'lladdr', await hardwareAddress(site, thief), ...pinned]);
  try {
    await work();
  } finally {
    await site.must(victim, ['ip', 'neigh', 'del', stolen.underlay, 'dev', 'eth0']);
    await site.must(thief, ['ip', 'neigh', 'del', target.underlay, 'dev', 'eth0']);
    for (const address of addresses) await site.must(thief, ['ip', 'addr', 'del', `${address}/32`, 'dev', 'lo']);
    await site.must(thief, arpIgnore(0));
  }
}

async function hardwareAddress(site: Site, host: string): Promise<string> {
  const listed = await site.host(host).exec(['ip', '-o', 'link', 'show', 'dev', 'eth0']);
  const found = /link\/ether ([0-9a-f:]{17})/.exec(listed.stdout)?.[1];
  if (found === undefined) throw new Error(`${host} has no eth0: ${listed.stderr}`);
  return found;
}
