/** kill -9 of a service of the lab, seen to have happened. */
import { type Machine, waitFor } from '#lab/api.ts';
import type { Cluster } from './cluster.ts';

const backMsMax = 30_000;

/** Resolves when the supervisor has started the service again, as another process than `killed`. */
export async function untilRestarted(machine: Machine, service: string, killed: number): Promise<void> {
  const again = async () => ![undefined, killed].includes(await machine.servicePid(service));
  await waitFor(again, { what: `${service} of ${machine.name} to be started again`, timeoutMs: backMsMax });
}

/** The controller answers, and as a later run than that of `epoch`. */
export async function untilLaterRun({ client }: Cluster, epoch: number): Promise<void> {
  const isLater = async () => ((await client.status().catch(() => null))?.controllerEpoch ?? 0) > epoch;
  await waitFor(isLater, { what: 'another run of the controller', timeoutMs: backMsMax });
}
