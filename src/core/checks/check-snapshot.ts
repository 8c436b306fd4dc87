import { type LinePair, type Policy, standardClass } from '#core/model/policy.ts';
import { selectorFault } from '#core/model/label.ts';
import type { Rule } from '#core/model/rule.ts';
import type { PairBandwidth, Snapshot, SnapshotHost, SnapshotVm } from '#core/model/snapshot.ts';
import type { Violation } from './violation.ts';

export type SnapshotViolationCode =
  | 'duplicate-host'
  | 'duplicate-vm'
  | 'figure-unusable'
  | 'host-unknown'
  | 'in-flight-invalid'
  | 'ledger-invalid'
  | 'rule-invalid'
  | 'facts-invalid'
  | 'policy-invalid';

export type SnapshotViolation = Violation<SnapshotViolationCode>;

/** Everything in a snapshot that cannot be true; empty when it is sound. For files and before planning. */
export function checkSnapshot(snapshot: Snapshot): readonly SnapshotViolation[] {
  const hostIds = new Set(snapshot.hosts.map((host) => host.hostId));
  return [
    ...checkPolicy(snapshot.policy),
    ...checkHosts(snapshot.hosts),
    ...checkVms(snapshot.vms, hostIds),
    ...checkInFlight(snapshot, hostIds),
    ...checkLedger(snapshot),
    ...checkRules(snapshot.rules),
    ...checkFacts(snapshot),
    ...(Number.isFinite(snapshot.takenAtMs) ? [] : [violation('figure-unusable', `the snapshot was taken at ${snapshot.takenAtMs}`)]),
  ];
}

function violation(
  code: SnapshotViolationCode,
  message: string,
  about: { readonly hostId?: string; readonly vmId?: string } = {},
): SnapshotViolation {
  return { code, message, hostId: about.hostId ?? null, vmId: about.vmId ?? null };
}

/** The least value of each amount in a policy. */
const policyMinimums = {
  sustainedRounds: 1,
  smoothingHalfLifeMs: 0,
  minimumGainPercent: 0,
  coolDownMs: 0,
  coolDownMsMax: 0,
  sampleAgeMsMax: 1,
  movesPerPlanMax: 0,
  migrationsPerHostMax: 0,
  migrationsPerClusterMax: 0,
} as const satisfies Partial<Record<keyof Policy, number>>;

function checkPolicy(policy: Policy): readonly SnapshotViolation[] {
  const names = Object.keys(policyMinimums) as (keyof typeof policyMinimums)[];
  return [
    ...checkLine('cpuLine', policy.cpuLine),
    ...checkLine('memoryLine', policy.memoryLine),
    ...names
      .filter((name) => !(policy[name] >= policyMinimums[name]))
      .map((name) => violation('policy-invalid', `${name} is ${policy[name]}, the least is ${policyMinimums[name]}`)),
    ...checkClasses(policy),
    ...(policy.coolDownMsMax >= policy.coolDownMs ? [] : [violation('policy-invalid', 'coolDownMsMax is less than coolDownMs')]),
    ...(policy.strategy !== 'pack' || policy.direction === 'push'
      ? []
      : [violation('policy-invalid', `direction ${policy.direction} fills the hosts that strategy pack empties`)]),
  ];
}

function checkClasses({ classes, budgets, assumedBandwidthBytesPerSecond }: Policy): readonly SnapshotViolation[] {
  const ofClasses = Object.entries(classes).flatMap(([name, { downtimeMsMax, costFactor }]) =>
    unusable({ downtimeMsMax, costFactor }).map((figure) => `class ${name}: ${figure}`),
  );
  const missing = Object.hasOwn(classes, standardClass) ? [] : [`there is no class ${standardClass}`];
  const amounts = unusable({ ...budgets, assumedBandwidthBytesPerSecond });
  return [...missing, ...ofClasses, ...amounts].map((message) => violation('policy-invalid', message));
}

function checkLine(name: string, line: LinePair): readonly SnapshotViolation[] {
  const sound = line.stopPercent > 0 && line.stopPercent <= line.startPercent && line.startPercent <= 100;
  return sound
    ? []
    : [
        violation(
          'policy-invalid',
          `${name}: stop ${line.stopPercent} % and start ${line.startPercent} % must be 0 < stop <= start <= 100`,
        ),
      ];
}

/** Rates that are not known are no fault. */
function knownTraffic({ networkBytesPerSecond, diskBytesPerSecond }: Pick<SnapshotHost, 'networkBytesPerSecond' | 'diskBytesPerSecond'>) {
  return { networkBytesPerSecond: networkBytesPerSecond ?? 0, diskBytesPerSecond: diskBytesPerSecond ?? 0 };
}

function checkHosts(hosts: readonly SnapshotHost[]): readonly SnapshotViolation[] {
  const found: SnapshotViolation[] = repeated(hosts, (host) => host.hostId).map(({ hostId }) =>
    violation('duplicate-host', `${hostId} is listed twice`, { hostId }),
  );
  for (const host of hosts) {
    const { hostId, capacity } = host;
    const amounts = { cpuUsedCores: host.cpuUsedCores, memoryUsedBytes: host.memoryUsedBytes, roundsOverLine: host.roundsOverLine };
    found.push(
      ...unusable({ ...amounts, ...knownTraffic(host) }).map((figure) => violation('figure-unusable', `${hostId}: ${figure}`, { hostId })),
    );
    if (!(capacity.cpuCores > 0 && capacity.memoryBytes > 0)) {
      const message = `${hostId}: capacity is ${capacity.cpuCores} cores and ${capacity.memoryBytes} bytes`;
      found.push(violation('figure-unusable', message, { hostId }));
    }
    if (!Number.isFinite(host.sampledAtMs))
      found.push(violation('figure-unusable', `${hostId}: sampledAtMs is ${host.sampledAtMs}`, { hostId }));
  }
  return found;
}

function checkVms(vms: readonly SnapshotVm[], hostIds: ReadonlySet<string>): readonly SnapshotViolation[] {
  const found: SnapshotViolation[] = repeated(
    vms.filter((vm) => vm.state === 'running'),
    (vm) => vm.vmId,
  ).map(({ name, hostId, vmId }) => violation('duplicate-vm', `${name} runs more than once`, { hostId, vmId }));
  for (const vm of vms) {
    const { vmId, hostId, name } = vm;
    if (!hostIds.has(hostId))
      found.push(violation('host-unknown', `${name} is on ${hostId}, which is not in the snapshot`, { hostId, vmId }));
    const amounts = { vcpus: vm.vcpus, cpuUsedCores: vm.cpuUsedCores, memoryBytes: vm.memoryBytes, ...knownTraffic(vm) };
    found.push(...unusable(amounts).map((figure) => violation('figure-unusable', `${name}: ${figure}`, { hostId, vmId })));
  }
  return found;
}

function checkInFlight(snapshot: Snapshot, hostIds: ReadonlySet<string>): readonly SnapshotViolation[] {
  const found: SnapshotViolation[] = repeated(snapshot.inFlight, (migration) => migration.vmId).map(({ vmId }) =>
    violation('in-flight-invalid', `VM ${vmId} is in flight twice`, { vmId }),
  );
  for (const { vmId, fromHostId, toHostId } of snapshot.inFlight) {
    if (fromHostId === toHostId)
      found.push(violation('in-flight-invalid', `VM ${vmId} is in flight to where it is`, { hostId: toHostId, vmId }));
    for (const hostId of [fromHostId, toHostId]) {
      if (!hostIds.has(hostId))
        found.push(violation('host-unknown', `VM ${vmId} is in flight by ${hostId}, which is not in the snapshot`, { hostId, vmId }));
    }
  }
  return found;
}

function checkLedger(snapshot: Snapshot): readonly SnapshotViolation[] {
  return snapshot.ledger
    .filter(({ startedAtMs, endedAtMs, fromHostId, toHostId }) => !(startedAtMs <= endedAtMs) || fromHostId === toHostId)
    .map(({ migrationId, vmId }) =>
      violation('ledger-invalid', `migration ${migrationId} ends before it starts, or where it starts`, { vmId }),
    )
    .concat(
      snapshot.ledger
        .filter(({ sentBytes }) => unusable({ sentBytes: sentBytes ?? 0 }).length > 0)
        .map(({ migrationId, vmId, sentBytes }) =>
          violation('ledger-invalid', `migration ${migrationId}: sentBytes is ${sentBytes}`, { vmId }),
        ),
    );
}

function checkRules(rules: readonly Rule[]): readonly SnapshotViolation[] {
  return [
    ...repeated(rules, ({ name }) => name).map(({ name }) => violation('rule-invalid', `rule ${name} is there twice`)),
    ...rules.filter(({ vms }) => vms.length === 0).map(({ name }) => violation('rule-invalid', `rule ${name} means no VM`)),
    ...rules.flatMap(({ name, vms }) =>
      vms.flatMap((selector) => {
        const fault = selectorFault(selector);
        return fault === null ? [] : [violation('rule-invalid', `rule ${name}: ${fault}`)];
      }),
    ),
  ];
}

function checkFacts({ vmFacts, bandwidths }: Snapshot): readonly SnapshotViolation[] {
  const found = repeated(vmFacts, ({ vmId }) => vmId).map(({ vmId }) => violation('facts-invalid', `VM ${vmId} has facts twice`, { vmId }));
  for (const { vmId, activity } of vmFacts) {
    if (activity === null) continue;
    const { usedBytes, dirtyBytesPerSecond, workingSetBytes } = activity;
    const figures = unusable({ usedBytes: usedBytes ?? 0, dirtyBytesPerSecond, workingSetBytes });
    found.push(...figures.map((figure) => violation('facts-invalid', `VM ${vmId}: ${figure}`, { vmId })));
  }
  found.push(...repeated(bandwidths, pairOf).map((pair) => violation('facts-invalid', `the bandwidth of ${pairOf(pair)} is there twice`)));
  for (const pair of bandwidths) {
    const sound = [pair.bytesPerSecond, ...Object.values(pair.factors)].every((figure) => Number.isFinite(figure) && figure > 0);
    if (!sound || !(pair.hostA < pair.hostB))
      found.push(violation('facts-invalid', `${pairOf(pair)}: the lesser name comes first, and every figure is above 0`));
  }
  return found;
}

function pairOf({ hostA, hostB }: PairBandwidth): string {
  return `${hostA} and ${hostB}`;
}

/** Names and values of amounts that are negative or not a number. */
function unusable(amounts: Readonly<Record<string, number>>): readonly string[] {
  return Object.entries(amounts)
    .filter(([, value]) => !(Number.isFinite(value) && value >= 0))
    .map(([name, value]) => `${name} is ${value}`);
}

function repeated<Item>(items: readonly Item[], key: (item: Item) => string): readonly Item[] {
  const seen = new Set<string>();
  return items.filter((item) => {
    const again = seen.has(key(item));
    seen.add(key(item));
    return again;
  });
}
