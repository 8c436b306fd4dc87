import { PlimsollError } from '#core/model/result.ts';
import type { VmStanding } from '#core/model/recovery.ts';
import type { VmId } from '#core/model/vm.ts';

import type { LibvirtClient, Wait } from './client.ts';
import { readDefinition } from './definition.ts';
import { domainIfKnown, jobOf } from './domain-look.ts';
import { LibvirtError } from './errors.ts';
import { createFlag, domainState, serverFault, shutoffReason } from './flags.ts';

/** To start QEMU on a busy host takes longer than a question. */
const startMsMax = 60_000;

/** Why a domain is shut off. A failed start counts as a crash: nobody has asked for it not to run. */
const standings: ReadonlyMap<number, VmStanding> = new Map([
  [shutoffReason.shutdown, 'stopped'],
  [shutoffReason.destroyed, 'stopped'],
  [shutoffReason.saved, 'stopped'],
  [shutoffReason.crashed, 'crashed'],
  [shutoffReason.failed, 'crashed'],
  [shutoffReason.migrated, 'gone'],
]);

export async function standingOf(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<VmStanding> {
  const domain = await domainIfKnown(client, vmId, wait);
  if (domain === null) return 'absent';
  const { state, reason } = await client.state(domain, wait);
  // After VIR_DOMAIN_CRASHED its process is kept for somebody to look at: it holds its locks.
  if (domain.id < 0) return state === domainState.shutoff ? (standings.get(reason) ?? 'unknown') : 'unknown';
  const isArriving = state === domainState.paused && (await jobOf(client, domain, wait)) === 'incoming';
  return isArriving ? 'arriving' : 'here';
}

/** See `Hypervisor.start`. What it has defined and could not start it undefines again. */
export async function startVm(client: LibvirtClient, vmId: VmId, definitionText: string, wait: Wait): Promise<void> {
  const { vmId: defined, name } = readDefinition(definitionText, true);
  if (defined !== vmId) throw new PlimsollError('input-invalid', `the definition is of VM ${defined}, not of ${vmId}: nothing was started`);
  const former = await domainIfKnown(client, vmId, wait);
  if (former !== null && former.id >= 0) throw new PlimsollError('vm-busy', `VM ${name} runs on this host already`);
  const domain = await client.defineXml(definitionText, 0, wait);
  try {
    await client.createWithFlags(domain, createFlag.forceBoot, { ...wait, deadlineMs: startMsMax });
  } catch (error) {
    if (!(error instanceof LibvirtError) || error.server === null) throw error;
    // Its variables' file may be of an earlier life here: it is kept.
    if (former === null) await client.undefine(domain, 0, wait).catch(() => undefined);
    if (error.server.code !== serverFault.resourceBusy) throw error;
    throw new PlimsollError('lock-held', `VM ${name} is not started: another host holds its storage lock (${error.message})`, {
      cause: error,
    });
  }
}

/** See `Hypervisor.keepDown`. */
export async function keepDown(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<boolean> {
  const domain = await domainIfKnown(client, vmId, wait);
  if (domain === null || !(await client.autostart(domain, wait))) return false;
  await client.setAutostart(domain, false, wait);
  return true;
}

/** Ends the domain where no process of it was found. A daemon that is away runs nothing that could be found later. */
export async function destroyIfThere(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<boolean> {
  const domain = await domainIfKnown(client, vmId, wait);
  if (domain === null || domain.id < 0) return false;
  await client.destroy(domain, 0, wait);
  return true;
}
