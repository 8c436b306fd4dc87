/** How the CPU time of planning grows with the cluster: a whole plan by each strategy, and one by the score of hbal. */
import { planHbal } from '#core/exchange/hbal-plan.ts';
import { makePlan } from '#core/planner/make-plan.ts';
import { hotCluster } from './hot-cluster.ts';
import { hotSnapshot } from './plain-pass.ts';

const vmsPerHost = 10;
const sizes = [
  { hosts: 1000, cpuSecondsMax: 2 },
  { hosts: 10_000, cpuSecondsMax: 25 },
] as const;

function cpuSecondsOf(work: () => number): { readonly seconds: number; readonly moves: number } {
  const before = process.cpuUsage();
  const moves = work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, moves };
}

/** Prints it; false when a limit is missed. */
export function measureScale(): boolean {
  const planners = [
    ...(['lines', 'balance'] as const).map((strategy) => ({
      name: `by ${strategy}`,
      prepare: (hosts: number) => {
        const hot = hotSnapshot(hosts, vmsPerHost);
        const snapshot = { ...hot, policy: { ...hot.policy, strategy } };
        return () => makePlan(snapshot).moves.length;
      },
    })),
    {
      name: "by hbal's score",
      prepare: (hosts: number) => {
        const { cluster, uses } = hotCluster(hosts, vmsPerHost, 1);
        return () => planHbal(cluster, uses, { movesMax: null, effort: null }).steps.length;
      },
    },
  ];
  const isKept: boolean[] = [];
  for (const { name, prepare } of planners) {
    const seconds = sizes.map(({ hosts, cpuSecondsMax }) => {
      const measured = cpuSecondsOf(prepare(hosts));
      isKept.push(measured.seconds <= cpuSecondsMax);
      console.log(
        `${name.padEnd(16)} ${hosts} hosts, ${hosts * vmsPerHost} VMs: ${measured.seconds.toFixed(2)} CPU s (at most ${cpuSecondsMax}), ${measured.moves} moves`,
      );
      return measured.seconds;
    });
    const [small = Number.NaN, large = Number.NaN] = seconds;
    console.log(`${name.padEnd(16)} grows with the hosts to the power of ${Math.log10(large / small).toFixed(2)}`);
  }
  return isKept.every(Boolean);
}
