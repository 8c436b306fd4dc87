import { type Scenario, scenarioOf } from '#sim/scenario.ts';

export type Events = readonly Readonly<Record<string, unknown>>[];
export type Stories = Readonly<Record<string, () => Scenario>>;

export const ordinaryHost = { cpuCores: 4, memoryGiB: 8 };
export const threeHosts = { host1: ordinaryHost, host2: ordinaryHost, host3: ordinaryHost };
export const web = { host: 'host1', vcpus: 2, memoryGiB: 1, demandCores: 0.5 };
export const mail = { host: 'host2', vcpus: 2, memoryGiB: 1, demandCores: 0.3 };

/** Three hosts, `web` on the first and `mail` on the second; what is given changes that. */
export function story(events: Events, changed: Readonly<Record<string, unknown>> = {}): () => Scenario {
  const cluster = {
    seed: 1,
    runForSeconds: 400,
    quietSeconds: 150,
    mode: 'observe',
    planIntervalSeconds: 60,
    hosts: threeHosts,
    vms: { web, mail },
  };
  return () => scenarioOf({ ...cluster, ...changed }, events);
}
