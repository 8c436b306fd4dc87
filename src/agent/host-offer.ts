import type { HostOffer } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { HostReading } from '#core/model/sample.ts';
import { bytes } from '#core/model/units.ts';
import type { CommandArgs } from '#wire/agent-protocol.ts';
import type { AgentParts } from './parts.ts';

/** What this host offers a VM that would come to it. Memory is free where nobody uses it now; what is on its way is the controller's to know. */
export async function hostOffer(
  { hypervisor }: AgentParts,
  hostId: HostId,
  host: HostReading | null,
  { definition, text }: CommandArgs<'vm.offer'>,
  signal: AbortSignal,
): Promise<HostOffer> {
  const [offer, own] = await Promise.all([hypervisor.offerFor(definition, text, signal), hypervisor.findVm(definition.vmId, signal)]);
  const memoryFreeBytes = host && bytes(Math.max(0, host.capacity.memoryBytes - host.memoryUsedBytes));
  return { ...offer, hostId, memoryFreeBytes, ownCopy: own?.state ?? null };
}
