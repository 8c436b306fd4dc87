import type { Machine } from '#lab/api.ts';
import type { Cluster } from '#test/e2e/cluster.ts';
import { untilLaterRun, untilRestarted } from '#test/e2e/killing.ts';
import type { Journey } from './stages.ts';

export interface Victim {
  readonly name: string;
  readonly service: 'charon' | 'agent' | 'controller';
  readonly machine: (cluster: Cluster, journey: Journey) => Machine;
}

const ofHost = (service: 'charon' | 'agent', end: keyof Journey): Victim => ({
  name: `${end === 'from' ? 'source' : 'destination'}'s ${service}`,
  service,
  machine: ({ lab }, journey) => lab.host(journey[end]).machine,
});

export const victims = {
  sourceCharon: ofHost('charon', 'from'),
  destinationCharon: ofHost('charon', 'to'),
  sourceAgent: ofHost('agent', 'from'),
  destinationAgent: ofHost('agent', 'to'),
  controller: { name: 'controller', service: 'controller', machine: ({ lab }) => lab.ctl },
} as const satisfies Record<string, Victim>;

/** A victim that is found, so that nothing but the kill itself is left to do. */
export interface Target {
  readonly kill: () => void;
  /** Its supervisor has started it again. */
  readonly untilBack: () => Promise<void>;
}

export async function aim(cluster: Cluster, { service, machine: of }: Victim, journey: Journey): Promise<Target> {
  const machine = of(cluster, journey);
  const { controllerEpoch } = await cluster.client.status();
  const pid = await machine.servicePid(service);
  if (pid === undefined) throw new Error(`${service} of ${machine.name} does not run`);
  return {
    kill: () => process.kill(pid, 'SIGKILL'),
    untilBack: async () => {
      await untilRestarted(machine, service, pid);
      if (service === 'controller') await untilLaterRun(cluster, controllerEpoch);
    },
  };
}
