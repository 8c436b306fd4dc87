/**
 * The planner against Ganeti's hbal, by hbal's own score; and by itself, as clusters grow. Prints ratios and the figures that they come from.
 * Seeded; node bench/planner/main.ts --help
 */
import { optionsOf } from '#bench/options.ts';
import { compare, printPairs } from './against-hbal.ts';
import { hasHbal } from './hbal.ts';
import { comparePass } from './plain-pass.ts';
import { measureOptimum } from './optimum.ts';
import { measurePacking } from './packing.ts';
import { measureReplan } from './replan.ts';
import { measureScale } from './scale.ts';

/** At 100 hosts hbal takes hours to its end. */
const clusters = [
  { hosts: 20, hbalMovesMax: null },
  { hosts: 50, hbalMovesMax: null },
  { hosts: 100, hbalMovesMax: 3 },
] as const;
/** That HiGHS settles, of each kind. */
const smallClusters = 20;
/** For which each end is certified. */
const packed = [
  { hosts: 20, seeds: 5 },
  { hosts: 50, seeds: 5 },
  { hosts: 100, seeds: 5 },
  { hosts: 1000, seeds: 1 },
] as const;
/** A third of all CPU, three quarters, and more than the default start line: there, hosts below it have no room. */
const packedVmsPerHost = [10, 20, 22] as const;
const parts = ['hbal', 'scale', 'replan', 'pass', 'optimum', 'packing'] as const;

function againstHbal(seeds: number, hostsMin: number, hostsMax: number): boolean {
  if (!hasHbal()) throw new Error("hbal is not installed: run 'apt-get install ganeti-htools'");
  return clusters
    .filter(({ hosts }) => hosts >= hostsMin && hosts <= hostsMax)
    .map(({ hosts, hbalMovesMax }) => {
      const pairs = Array.from({ length: seeds }, (_, index) => {
        process.stderr.write(`${hosts} hosts, seed ${index + 1} of ${seeds}\n`);
        return compare(hosts, index + 1, hbalMovesMax);
      });
      return printPairs(hosts, pairs, hbalMovesMax);
    })
    .every(Boolean);
}

const options = optionsOf({
  name: 'planner',
  does: `Compares with hbal (scores, moves, CPU), measures how planning grows with the cluster, compares it with one plain pass, and certifies what plans leave over 100 %.`,
  options: {
    only: { value: 'PART', does: `one of ${parts.join(', ')} (default: all; hbal takes a quarter of an hour)` },
    seeds: { value: 'N', does: 'clusters of each size for hbal (default: 5)', max: 100 },
    'hosts-min': { value: 'N', does: 'no smaller clusters for hbal (default: 20)', max: 100 },
    'hosts-max': { value: 'N', does: 'no larger clusters for hbal (default: 100)', max: 100 },
    'vms-per-host': {
      value: 'N',
      does: 'for packing: how full its clusters are (default: 10, 20 and 22; 26 want all of the CPU)',
      max: 40,
    },
  },
  needsLab: false,
});
if (options !== null) {
  const { only, seeds = '5', 'hosts-min': hostsMin = '20', 'hosts-max': hostsMax = '100', 'vms-per-host': perHost } = options;
  const fullnesses = perHost === undefined ? packedVmsPerHost : [Number(perHost)];
  if (only !== undefined && !parts.some((part) => part === only))
    throw new RangeError(`--only takes one of ${parts.join(', ')}, not ${only}`);
  const isWanted = (part: (typeof parts)[number]) => only === undefined || only === part;
  const kept = [
    !isWanted('pass') || comparePass(1000, 10),
    !isWanted('scale') || measureScale(),
    !isWanted('replan') || measureReplan(),
    !isWanted('optimum') || measureOptimum(smallClusters),
    !isWanted('packing') || measurePacking(fullnesses.flatMap((vmsPerHost) => packed.map((size) => ({ ...size, vmsPerHost })))),
    !isWanted('hbal') || againstHbal(Number(seeds), Number(hostsMin), Number(hostsMax)),
  ];
  if (!kept.every(Boolean)) process.exitCode = 1;
}
