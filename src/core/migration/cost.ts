import type { HostCost } from '#core/model/measures.ts';

/** What a host spent between two readings; null where one of the two is not known. */
export function costBetween(first: HostCost, last: HostCost): HostCost {
  const of = (name: keyof HostCost): number | null => {
    const [from, to] = [first[name], last[name]];
    return from === null || to === null ? null : Math.max(0, to - from);
  };
  return {
    hypervisorCpuSeconds: of('hypervisorCpuSeconds'),
    ipsecCpuSeconds: of('ipsecCpuSeconds'),
    agentCpuSeconds: of('agentCpuSeconds'),
  };
}
