import type { FaultName, Victim } from '#test/faults/plan.ts';
import { deadLink, refusedPort, resetLink } from './network.ts';
import { killOf, stopOf } from './processes.ts';
import { fullDisk, fullMemory } from './resources.ts';
import type { Scene, Strike } from './scene.ts';

type Aim = (scene: Scene) => Promise<Strike>;

async function abortOf({ cluster, migrationId }: Scene): Promise<Strike> {
  const strike = async (): Promise<string> => {
    await cluster.client.abortMigration(migrationId());
    return 'the user asked for the abort';
  };
  return { lastsMs: 0, endsWithMigration: false, strike, end: () => Promise.resolve() };
}

const kill =
  (victim: Victim): Aim =>
  (scene) =>
    killOf(scene, victim);
const stop =
  (victim: Victim): Aim =>
  (scene) =>
    stopOf(scene, victim);

const aims: Readonly<Record<FaultName, Aim>> = {
  'kill source qemu': kill('source qemu'),
  'kill destination qemu': kill('destination qemu'),
  'kill source libvirtd': kill('source libvirtd'),
  'kill destination libvirtd': kill('destination libvirtd'),
  'kill source agent': kill('source agent'),
  'kill destination agent': kill('destination agent'),
  'kill controller': kill('controller'),
  'stop source qemu': stop('source qemu'),
  'stop destination qemu': stop('destination qemu'),
  'stop source libvirtd': stop('source libvirtd'),
  'stop destination libvirtd': stop('destination libvirtd'),
  'stop source agent': stop('source agent'),
  'stop destination agent': stop('destination agent'),
  'stop controller': stop('controller'),
  'link reset': resetLink,
  'link dead 5 s': (scene) => deadLink(scene, 5_000),
  'link dead 60 s': (scene) => deadLink(scene, 60_000),
  'port refused': refusedPort,
  'memory full': fullMemory,
  'disk full': fullDisk,
  abort: abortOf,
};

/** Prepares a fault; its strike is then a matter of milliseconds. */
export function aim(fault: FaultName, scene: Scene): Promise<Strike> {
  return aims[fault](scene);
}
