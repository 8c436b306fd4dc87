/**
 * A guest that writes to its memory and its disk is moved by every method and option through IPsec, for real: what each cost, as the
 * hypervisor, a third host and a client saw it, and whether the guest is sound. As root: node bench/migrations/main.ts
 */
import { withBenchCluster } from '#bench/bench-cluster.ts';
import { optionsOf } from '#bench/options.ts';
import type { Cluster } from '#test/e2e/cluster.ts';
import { cases, refused } from './cases.ts';
import { move, type Move, refuse, type Refusal } from './move.ts';
import { printMoves, printRefusals } from './rows.ts';

const load = { cpuPercent: 5, dirtyMbPerSecond: 4, diskWritesPerSecond: 5 };

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function measureAll(cluster: Cluster): Promise<boolean> {
  const moves: Move[] = [];
  const refusals: Refusal[] = [];
  for (const one of cases) {
    say(`${one.name} ...`);
    moves.push(await move(cluster, one));
  }
  for (const one of refused) refusals.push(await refuse(cluster, one));
  say(`\n${printMoves(moves)}\n${printRefusals(refusals)}`);
  const allMoved = moves.every(({ migration }) => migration.phase === 'done');
  const allCovered = moves.every(({ receipt }) => receipt.valid);
  return allMoved && allCovered && refusals.every(({ code }) => code !== 'not refused');
}

const options = optionsOf({
  name: 'migrations',
  does: 'Moves a guest that writes to its memory and disk by every method and option through IPsec; about 3 minutes.',
});
if (options !== null) {
  const controllerConfig = { migration: { preset: 'must-move', allowPostCopy: true } } as const;
  await withBenchCluster({ name: 'bench-moves', hosts: 3, guests: 1, guestMemoryMib: 128, controllerConfig }, async (cluster) => {
    const guest = cluster.lab.guest('vm1');
    await cluster.client.setVm(guest.name, { address: guest.address });
    await guest.steer(load);
    const holds = await measureAll(cluster);
    say(holds ? '\nAll moved, every receipt valid, the guest sound after each.' : '\nNOT as promised: see the table.');
    if (!holds) process.exitCode = 1;
  });
}
