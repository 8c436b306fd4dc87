/** The SLA class of each VM, and what it forbids the balancer. */
import { type Policy, type SlaClass, standardClass } from '#core/model/policy.ts';
import type { Snapshot, SnapshotVm, VmFacts } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { Stay } from './stay.ts';

export interface Standing {
  readonly name: string;
  readonly sla: SlaClass;
  /** Said in reasons: the VM's own class is not there any more. Empty where it is. */
  readonly remark: string;
}

export interface Standings {
  readonly factsOf: (vmId: VmId) => VmFacts | undefined;
  readonly of: (vmId: VmId) => Standing;
  /** Why the VM's class keeps the balancer from moving it, wherever to; null when it does not. */
  readonly stay: (vm: Pick<SnapshotVm, 'vmId' | 'name'>) => Stay | null;
}

/** The policy always has `standard`; this is for a policy that somebody has built without it. */
const openClass: SlaClass = { downtimeMsMax: 0, costFactor: 1, moves: 'automatic' };

export function standingsOf({ policy, vmFacts, automatic }: Pick<Snapshot, 'policy' | 'vmFacts' | 'automatic'>): Standings {
  const facts = new Map(vmFacts.map((one) => [one.vmId, one]));
  const standard: Standing = { name: standardClass, sla: classOf(policy, standardClass) ?? openClass, remark: '' };
  const byName = new Map<string, Standing>([[standardClass, standard]]);
  const of = (vmId: VmId): Standing => {
    const name = facts.get(vmId)?.slaClass ?? null;
    if (name === null) return standard;
    const standing = byName.get(name) ?? standingOf(policy, name, standard);
    byName.set(name, standing);
    return standing;
  };
  return {
    factsOf: (vmId) => facts.get(vmId),
    of,
    stay: (vm) => {
      const { name, sla, remark } = of(vm.vmId);
      if (sla.moves === 'automatic' || (sla.moves === 'approve-only' && !automatic)) return null;
      return sla.moves === 'never'
        ? { code: 'class-never', reason: `${vm.name} is of class ${name}${remark}, which the balancer does not move` }
        : {
            code: 'class-approve-only',
            reason: `${vm.name} is of class ${name}${remark}, which is moved only when a person applies a plan`,
          };
    },
  };
}

function standingOf(policy: Policy, name: string, standard: Standing): Standing {
  const sla = classOf(policy, name);
  return sla === null ? { ...standard, remark: ` (its own class, ${name}, is not in policy.classes)` } : { name, sla, remark: '' };
}

/** Null where the policy has none of this name. */
export function classOf({ classes }: Pick<Policy, 'classes'>, name: string): SlaClass | null {
  return Object.hasOwn(classes, name) ? (classes[name] ?? null) : null;
}
