import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';

import type { LibvirtClient, Wait } from './client.ts';
import { LibvirtError } from './errors.ts';
import { jobType, serverFault } from './flags.ts';
import type { DomainRef } from './values.ts';

/** The domain of a VM that runs here, halted or not. Rejects with `vm-not-running`. */
export async function runningDomain(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<DomainRef> {
  const domain = await client.lookupByUuid(vmId, wait);
  if (domain.id < 0) throw new PlimsollError('vm-not-running', `VM ${domain.name} is not running on this host; start it first`);
  return domain;
}

/**
 * Whether libvirt is at work on a domain. The destination of a migration refuses to tell job statistics
 * (VIR_ERR_OPERATION_UNSUPPORTED), which is how an incoming copy is told from a paused one.
 */
export async function jobOf(client: LibvirtClient, domain: DomainRef, wait: Wait): Promise<'none' | 'active' | 'incoming'> {
  if (domain.id < 0) return 'none';
  try {
    const { type } = await client.jobStats(domain, 0, wait);
    return type === jobType.none ? 'none' : 'active';
  } catch (error) {
    if (!(error instanceof LibvirtError)) throw error;
    if (error.server?.code === serverFault.operationUnsupported) return 'incoming';
    // libvirt could not even look, for a job that does not let go.
    if (error.code === 'vm-busy') return 'active';
    // It stopped or left in between, or this hypervisor has no jobs.
    if (error.code === 'invalid-state' || error.code === 'no-such-vm' || error.code === 'unsupported') return 'none';
    throw error;
  }
}

/** Null where libvirt does not know the VM. */
export async function domainIfKnown(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<DomainRef | null> {
  try {
    return await client.lookupByUuid(vmId, wait);
  } catch (error) {
    if (error instanceof LibvirtError && error.code === 'no-such-vm') return null;
    throw error;
  }
}
