import type { HostId } from '#core/model/host.ts';
import type { Snapshot } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { RuleFault } from './rules.ts';
import { duration } from './words.ts';

export interface Returns {
  /** Why the balancer does not send the VM there: it has come from there not long ago. */
  readonly fault: (vm: { readonly vmId: VmId; readonly name: string }, hostId: HostId) => RuleFault | null;
  /** Whether any host is closed to it for this. */
  readonly isBound: (vmId: VmId) => boolean;
}

/** Hosts that VMs have left less than `returnMsMin` ago, whoever moved them: going back is what makes a cluster ping-pong. */
export function returnsOf({ ledger, policy, takenAtMs }: Snapshot): Returns {
  const left = new Map<VmId, Map<HostId, number>>();
  for (const { vmId, fromHostId, endedAtMs, outcome } of ledger) {
    if (outcome === 'stayed' || takenAtMs - endedAtMs >= policy.returnMsMin) continue;
    const hosts = left.get(vmId) ?? new Map<HostId, number>();
    left.set(vmId, hosts.set(fromHostId, Math.max(endedAtMs, hosts.get(fromHostId) ?? endedAtMs)));
  }
  return {
    isBound: (vmId) => left.has(vmId),
    fault: ({ vmId, name }, hostId) => {
      const leftAtMs = left.get(vmId)?.get(hostId);
      if (leftAtMs === undefined) return null;
      const ago = duration(Math.max(0, takenAtMs - leftAtMs));
      return { code: 'returned', reason: `${name} left ${hostId} ${ago} ago and is not sent back within ${duration(policy.returnMsMin)}` };
    },
  };
}
