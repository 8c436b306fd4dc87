/** Rules that cannot be kept together, and rules that mean nothing: each a sentence for the operator. They are warnings, not refusals. */
import type { HostId } from '#core/model/host.ts';
import { isLabelSelector, type Labels, matchesLabel } from '#core/model/label.ts';
import { matchesPattern, type PinRule, type Rule } from '#core/model/rule.ts';
import type { SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import { count } from '#core/planner/words.ts';

export interface RuleFacts {
  readonly vms: readonly Pick<SnapshotVm, 'vmId' | 'name'>[];
  readonly hostIds: readonly HostId[];
  readonly labelsOf: (vmId: VmId) => Labels | undefined;
}

/** What is to be said of this rule beside the others. */
export function conflictsOf(rule: Rule, others: readonly Rule[], facts: RuleFacts): readonly string[] {
  const mine = meant(rule, facts);
  const beside = others.filter(({ name }) => name !== rule.name);
  return [
    ...emptiness(rule, mine, facts),
    ...(rule.kind === 'pin' ? pinConflicts(rule, mine, beside, facts) : []),
    ...(rule.kind === 'affinity' || rule.kind === 'anti-affinity' ? groupConflicts(rule, mine, beside, facts) : []),
  ];
}

function meant(rule: Rule, { vms, labelsOf }: RuleFacts): ReadonlySet<string> {
  const fits = ({ vmId, name }: Pick<SnapshotVm, 'vmId' | 'name'>) =>
    rule.vms.some((selector) =>
      isLabelSelector(selector) ? matchesLabel(selector, labelsOf(vmId)) : selector === vmId || matchesPattern(selector, name),
    );
  return new Set(vms.filter(fits).map(({ name }) => name));
}

function emptiness(rule: Rule, mine: ReadonlySet<string>, { hostIds }: RuleFacts): readonly string[] {
  if (mine.size === 0) return [`${rule.name} means no VM that is known now (${rule.vms.join(', ')})`];
  if ((rule.kind === 'affinity' || rule.kind === 'anti-affinity') && mine.size === 1)
    return [`${rule.name} means one VM only, ${[...mine].join('')}: a group needs two`];
  if (rule.kind === 'anti-affinity' && mine.size > hostIds.length)
    return [`${rule.name} keeps ${count(mine.size, 'VM')} apart, there are ${count(hostIds.length, 'host')}: it cannot be kept`];
  return [];
}

function pinConflicts(rule: PinRule, mine: ReadonlySet<string>, others: readonly Rule[], facts: RuleFacts): readonly string[] {
  return others.flatMap((other) => {
    const shared = common(mine, meant(other, facts));
    if (shared.length === 0) return [];
    if (other.kind === 'pin' && isDisjoint(rule, other))
      return [`${rule.name} and ${other.name} pin ${shared.join(', ')} to different hosts: one of them is always broken`];
    if (other.kind === 'affinity') return splitBy(other, [rule, ...others.filter((one) => one.kind === 'pin')], facts);
    return [];
  });
}

function groupConflicts(rule: Rule, mine: ReadonlySet<string>, others: readonly Rule[], facts: RuleFacts): readonly string[] {
  const opposite = rule.kind === 'affinity' ? 'anti-affinity' : 'affinity';
  const opposed = others
    .filter((other) => other.kind === opposite)
    .flatMap((other) => {
      const shared = common(mine, meant(other, facts));
      return shared.length < 2
        ? []
        : [`${rule.name} and ${other.name} want the opposite of ${shared.join(', ')}: one of them is always broken`];
    });
  const pins = others.filter((other) => other.kind === 'pin');
  if (rule.kind === 'affinity') return [...opposed, ...splitBy(rule, pins, facts)];
  return [...opposed, ...pins.flatMap((pin) => crowded(rule, pin, mine, facts))];
}

/** Two VMs of a group that runs together, pinned to hosts of which none is the other's. */
function splitBy(group: Rule, pins: readonly PinRule[], facts: RuleFacts): readonly string[] {
  const members = meant(group, facts);
  const own = pins.map((pin) => ({ pin, vms: common(members, meant(pin, facts)) })).filter(({ vms }) => vms.length > 0);
  for (const [index, one] of own.entries()) {
    const other = own.slice(index + 1).find(({ pin }) => isDisjoint(one.pin, pin));
    if (other !== undefined)
      return [
        `${group.name} keeps ${one.vms[0]} and ${other.vms[0]} together, ${one.pin.name} and ${other.pin.name} pin them to different hosts: one of them is always broken`,
      ];
  }
  return [];
}

function crowded(group: Rule, pin: PinRule, mine: ReadonlySet<string>, facts: RuleFacts): readonly string[] {
  const shared = common(mine, meant(pin, facts));
  if (shared.length <= pin.hosts.length) return [];
  return [
    `${group.name} keeps ${count(shared.length, 'VM')} apart that ${pin.name} pins to ${count(pin.hosts.length, 'host')}: one of them is always broken`,
  ];
}

function common(one: ReadonlySet<string>, other: ReadonlySet<string>): readonly string[] {
  return [...one].filter((name) => other.has(name)).toSorted();
}

function isDisjoint(one: PinRule, other: PinRule): boolean {
  return !one.hosts.some((hostId) => other.hosts.includes(hostId));
}
