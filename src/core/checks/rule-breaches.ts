/** For the linter: which VMs a rule means, where they are, and how often each of them breaks it. Without a line of the planner's code. */
import type { Labels } from '#core/model/label.ts';
import type { Rule } from '#core/model/rule.ts';
import type { Snapshot, SnapshotVm } from '#core/model/snapshot.ts';

export type Places = ReadonlyMap<string, string>;

/** Where everything is once the migrations under way have ended. */
export function placesOf({ vms, inFlight }: Snapshot): Map<string, string> {
  const places = new Map(vms.filter((vm) => vm.state === 'incoming').map((vm) => [vm.vmId, vm.hostId]));
  for (const vm of vms) if (vm.state !== 'incoming') places.set(vm.vmId, vm.hostId);
  for (const { vmId, toHostId } of inFlight) if (places.has(vmId)) places.set(vmId, toHostId);
  return places;
}

export type Members = ReadonlyMap<Rule, ReadonlySet<string>>;

/** The VMs that each rule means. */
export function membersOf({ rules, vms, vmFacts }: Snapshot): Members {
  const running = new Set(vms.filter(({ state }) => state !== 'incoming').map(({ vmId }) => vmId));
  const whole = vms.filter(({ vmId, state }) => state !== 'incoming' || !running.has(vmId));
  return new Map(
    rules.map((rule) => {
      const globs = rule.vms.filter((wanted) => wanted.includes('*')).map(likeness);
      const words = new Set(rule.vms);
      const isMeant = (vm: SnapshotVm) =>
        words.has(vm.vmId) ||
        words.has(vm.name) ||
        globs.some((glob) => glob.test(vm.name)) ||
        // A label is found as the text that a selector of it would be.
        textsOf(vmFacts.find(({ vmId }) => vmId === vm.vmId)?.labels).some((text) => words.has(text));
      return [rule, new Set(whole.filter(isMeant).map(({ vmId }) => vmId))];
    }),
  );
}

function textsOf(labels: Labels | undefined): readonly string[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) => [`label:${key}`, `label:${key}=${value}`]);
}

function likeness(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('[^]*')}$`);
}

/** How often this VM breaks the rule: its wrong host, its mates elsewhere, or those beside it. */
export function breaches(rule: Rule, members: ReadonlySet<string>, vmId: string, places: Places, snapshot: Snapshot): number {
  const here = places.get(vmId);
  if (rule.kind === 'pin') return here !== undefined && rule.hosts.includes(here) ? 0 : 1;
  if (rule.kind !== 'affinity' && rule.kind !== 'anti-affinity') return 0;
  const mates = new Set(snapshot.vms.filter((vm) => vm.vmId !== vmId && holdsMemory(vm) && members.has(vm.vmId)).map((vm) => vm.vmId));
  return [...mates].filter((mate) => (places.get(mate) === here) === (rule.kind === 'anti-affinity')).length;
}

export function holdsMemory(vm: SnapshotVm): boolean {
  return vm.state !== 'shut-off' && vm.state !== 'crashed';
}
