/**
 * A guest migrates through every kind of channel that the lab can carry, and once in plain text: what was negotiated, what it cost,
 * and how often the guest's memory was readable on the wire. As root: node bench/channels/main.ts
 */
import { isDeepStrictEqual } from 'node:util';
import { carried, nameOf, notCarried } from '#test/e2e/channel-profiles/combinations.ts';
import { type Carriage, carry, goPlain, refuse, type Refused } from '#test/e2e/channel-profiles/measure.ts';
import { printRows } from '#test/e2e/channel-profiles/rows.ts';
import { withBenchCluster } from '#bench/bench-cluster.ts';
import { optionsOf } from '#bench/options.ts';
import type { Cluster } from '#test/e2e/cluster.ts';

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function measureAll(cluster: Cluster): Promise<boolean> {
  const carriages: Carriage[] = [];
  const refusals: Refused[] = [];
  for (const combination of carried) {
    say(`${nameOf(combination)} ...`);
    carriages.push(await carry(cluster, combination));
  }
  for (const combination of notCarried) refusals.push(await refuse(cluster, combination));
  say('plain text ...');
  const plain = await goPlain(cluster);
  say(`\n${printRows(carriages, refusals, plain)}`);
  const allMoved = carriages.every(({ migration, markers }) => migration.phase === 'done' && markers === 0);
  const asPredicted = carriages.every(({ predicted, captured }) => isDeepStrictEqual(predicted, captured));
  return allMoved && asPredicted && plain.markers > 0 && refusals.every(({ code }) => code === 'profile-unsupported');
}

const options = optionsOf({
  name: 'channels',
  does: 'Moves a guest through every kind of channel that the lab can carry, and once in plain text.',
});
if (options !== null) {
  await withBenchCluster({ name: 'bench-channels', hosts: 2, guests: 1 }, async (cluster) => {
    await cluster.lab.guest('vm1').steer({ cpuPercent: 5, dirtyMbPerSecond: 2, diskWritesPerSecond: 5 });
    const holds = await measureAll(cluster);
    say(holds ? '\nNo marker in any channel, markers in plain text; packets as large as predicted.' : '\nNOT as promised: see the table.');
    if (!holds) process.exitCode = 1;
  });
}
