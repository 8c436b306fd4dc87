/**
 * What IPsec adds to the downtime: pairs of migrations over a link of 100 Mbit/s, one through IPsec and one in plain text, of an idle
 * guest; and of one that writes much, whose downtime budget is kept or which stays where it is. As root: node bench/downtime/main.ts
 */
import { type Column, table } from '#cli/table.ts';
import { withBenchCluster } from '#bench/bench-cluster.ts';
import { optionsOf } from '#bench/options.ts';
import type { Cluster } from '#test/e2e/cluster.ts';
import { medianOf, type Sample, sample } from './pairs.ts';

const rate = '100mbit';
const pairs = 8;
const idleLimitMs = 300;
const addedMsMax = 20;
const heavy = { dirtyMbPerSecond: 20, diskWritesPerSecond: 5 };
const heavyBudgetMs = 1_500;
const heavyRuns = 4;

interface Pair {
  readonly number: number;
  readonly ipsec: Sample;
  readonly none: Sample;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const downtimeOf = ({ migration }: Sample): number => migration.measures?.hypervisorDowntimeMs ?? Number.NaN;
const ms = (value: number): string => `${Math.round(value)} ms`;
const right = { align: 'right' } as const;

const columns: readonly Column<Pair>[] = [
  { title: 'PAIR', value: ({ number }) => `${number}`, ...right },
  { title: 'IPSEC', value: ({ ipsec }) => ms(downtimeOf(ipsec)), ...right },
  { title: 'PLAIN', value: ({ none }) => ms(downtimeOf(none)), ...right },
  { title: 'MORE', value: ({ ipsec, none }) => ms(downtimeOf(ipsec) - downtimeOf(none)), ...right },
  { title: 'CLIENT, IPSEC', value: ({ ipsec }) => ms(ipsec.clientGapMs), ...right },
  { title: 'CLIENT, PLAIN', value: ({ none }) => ms(none.clientGapMs), ...right },
];

/** Either arm goes first as often as the other. */
async function measureIdle(cluster: Cluster): Promise<boolean> {
  await cluster.lab.guest('vm1').steer({ cpuPercent: 0, dirtyMbPerSecond: 0, diskWritesPerSecond: 0 });
  const found: Pair[] = [];
  for (let number = 1; number <= pairs; number += 1) {
    const arms = number % 2 === 0 ? (['ipsec', 'none'] as const) : (['none', 'ipsec'] as const);
    const samples: Sample[] = [];
    for (const arm of arms) samples.push(await sample(cluster, arm, idleLimitMs));
    const [ipsec, none] = [samples.find(({ arm }) => arm === 'ipsec'), samples.find(({ arm }) => arm === 'none')];
    if (ipsec !== undefined && none !== undefined) found.push({ number, ipsec, none });
    say(`pair ${number} of ${pairs}`);
  }
  const more = medianOf(found.map(({ ipsec, none }) => downtimeOf(ipsec) - downtimeOf(none)));
  say(
    `\n${table(columns, found, 'nothing was moved')}\n\nidle guest: IPsec adds ${ms(more)} of downtime (median of ${found.length} pairs)`,
  );
  return more <= addedMsMax;
}

/** The budget is kept, or the VM stays on its source. */
async function measureHeavy(cluster: Cluster): Promise<boolean> {
  await cluster.lab.guest('vm1').steer(heavy);
  let isKept = true;
  for (let number = 1; number <= heavyRuns; number += 1) {
    const { migration } = await sample(cluster, 'ipsec', heavyBudgetMs);
    const downtimeMs = migration.measures?.hypervisorDowntimeMs ?? null;
    const how = migration.phase === 'done' ? `moved, downtime ${downtimeMs ?? '?'} ms` : `stayed: ${migration.failure?.message ?? ''}`;
    say(`heavy guest ${number}: ${how}`);
    isKept &&= migration.phase !== 'done' || (downtimeMs !== null && downtimeMs <= heavyBudgetMs);
  }
  return isKept;
}

const options = optionsOf({
  name: 'downtime',
  does: `Moves a guest ${2 * pairs + heavyRuns} times over a link of 100 Mbit/s: idle, through IPsec and in plain text in turn, and writing much; about 7 minutes.`,
});
if (options !== null) {
  await withBenchCluster({ name: 'bench-downtime', hosts: 2, guests: 1, rate }, async (cluster) => {
    const idle = await measureIdle(cluster);
    const busy = await measureHeavy(cluster);
    say(`\nat most ${addedMsMax} ms more: ${idle ? 'yes' : 'NO'}; budget of ${heavyBudgetMs} ms kept under load: ${busy ? 'yes' : 'NO'}`);
    if (!idle || !busy) process.exitCode = 1;
  });
}
