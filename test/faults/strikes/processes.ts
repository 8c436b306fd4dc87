/** kill -9, and SIGSTOP for a while. */
import type { Machine } from '#lab/api.ts';
import type { Victim } from '#test/faults/plan.ts';
import { goOn, qemuPid } from './qemu-process.ts';
import type { Scene, Strike } from './scene.ts';

const stopMs = 20_000;

type Find = () => number | undefined;

function machineOf({ cluster, source, destination }: Scene, victim: Victim): Machine {
  if (victim === 'controller') return cluster.lab.ctl;
  return (victim.startsWith('source') ? source : destination).machine;
}

/** Services are found before, a QEMU in the moment of the strike. */
async function finderOf(scene: Scene, victim: Victim): Promise<Find> {
  if (victim === 'source qemu') return () => qemuPid(scene.source, scene.guest);
  if (victim === 'destination qemu') return () => qemuPid(scene.destination, scene.guest);
  const service = victim === 'controller' ? 'controller' : (victim.split(' ')[1] ?? '');
  const pid = await machineOf(scene, victim).servicePid(service);
  return () => pid;
}

function mustHave(find: Find, victim: Victim): number {
  const pid = find();
  if (pid === undefined) throw new Error(`the ${victim} does not run`);
  return pid;
}

/** Its supervisor starts a service again by itself. */
export async function killOf(scene: Scene, victim: Victim): Promise<Strike> {
  const find = await finderOf(scene, victim);
  const strike = async (): Promise<string> => {
    const pid = mustHave(find, victim);
    process.kill(pid, 'SIGKILL');
    return `SIGKILL to ${pid}`;
  };
  return { lastsMs: 0, endsWithMigration: false, strike, end: () => Promise.resolve() };
}

export async function stopOf(scene: Scene, victim: Victim): Promise<Strike> {
  const find = await finderOf(scene, victim);
  let stopped: number | undefined;
  const strike = async (): Promise<string> => {
    const pid = mustHave(find, victim);
    process.kill(pid, 'SIGSTOP');
    stopped = pid;
    return `SIGSTOP to ${pid}`;
  };
  const end = async (): Promise<void> => {
    if (stopped !== undefined) goOn(stopped);
    stopped = undefined;
  };
  return { lastsMs: stopMs, endsWithMigration: false, strike, end };
}
