/** Ends the process of a VM on this host. */
import type { VmId } from '#core/model/vm.ts';
import type { LibvirtClient, Wait } from './client.ts';
import { domainIfKnown, jobOf } from './domain-look.ts';
import { LibvirtError } from './errors.ts';
import type { DomainRef } from './values.ts';

/** A definition that libvirt keeps stays; nothing is done where no process runs. Rejects when libvirt does not know the VM. */
export async function destroyVm(client: LibvirtClient, vmId: VmId, wait: Wait): Promise<void> {
  const domain = await client.lookupByUuid(vmId, wait);
  if (domain.id < 0) return;
  if ((await jobOf(client, domain, wait)) === 'incoming' && (await endIncoming(client, domain, wait))) return;
  await client.destroy(domain, 0, wait);
}

/**
 * A libvirt 9.0 that was killed as it began to start the process of an incoming copy has that copy back after its restart, without a
 * process and with its job for ever. It does not destroy it ("cannot acquire state change lock", after 30 s), but it carries out the end
 * of its part of the migration at once, and answers with an error as it does of any that was cancelled (measured). Resolves with whether
 * the copy is gone.
 */
async function endIncoming(client: LibvirtClient, domain: DomainRef, wait: Wait): Promise<boolean> {
  try {
    await client.cancelIncoming(domain.name, wait);
  } catch (error) {
    if (!(error instanceof LibvirtError) || error.server === null) throw error;
  }
  const left = await domainIfKnown(client, domain.uuid, wait);
  return left === null || left.id < 0;
}
