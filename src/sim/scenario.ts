/** What a simulated cluster is made of, and what happens to it. Read from files, so everything is checked. */
import { PlimsollError } from '#core/model/result.ts';
import { ChannelSectionSchema, MigrationSectionSchema, ModeSchema, PolicySchema } from '#wire/controller-config.ts';
import { HostIdSchema, NameSchema, strict } from '#wire/resources.ts';
import { RulesSchema } from '#wire/rule-schemas.ts';
import { parse } from '#wire/validate.ts';
import { type Static, type TSchema, Type } from 'typebox';
import { controllerNode } from './network.ts';
import { type EventName, eventSchemas, oneOf, type ScenarioEvent } from './scenario-events.ts';

export { type EventName, type EventOf, eventSchemas, type ScenarioEvent } from './scenario-events.ts';

const hostsMax = 2000;
const vmsMax = 20_000;

const Positive = Type.Number({ exclusiveMinimum: 0 });
const Amount = Type.Number({ minimum: 0 });

const MtuSchema = Type.Integer({ minimum: 576, maximum: 9216 });

const HostSchema = Type.Object(
  {
    cpuCores: Positive,
    memoryGiB: Positive,
    linkMiBPerSecond: Type.Optional(Positive),
    ipsec: Type.Optional(Type.Union([Type.Literal('kernel'), Type.Literal('libipsec')])),
    mtuBytes: Type.Optional(MtuSchema),
    /** What it offers a VM; what is not said is what every VM needs. */
    machines: Type.Optional(Type.Array(NameSchema, { maxItems: 100 })),
    cpu: Type.Optional(oneOf(['identical', 'superset', 'incompatible', 'unknown'])),
    networks: Type.Optional(Type.Array(NameSchema, { maxItems: 100 })),
  },
  strict,
);

/** A link between two hosts that carries less than their interfaces; `tells: false` swallows what is larger without a word. */
const PathSchema = Type.Object({ between: Type.Tuple([HostIdSchema, HostIdSchema]), mtuBytes: MtuSchema, tells: Type.Boolean() }, strict);

const VmSchema = Type.Object(
  {
    host: HostIdSchema,
    vcpus: Type.Integer({ minimum: 1, maximum: 512 }),
    memoryGiB: Positive,
    demandCores: Amount,
    dirtyMiBPerSecond: Type.Optional(Amount),
    workingSetMiB: Type.Optional(Amount),
    /** Through its network interface and its disks; left out: nothing. */
    netMiBPerSecond: Type.Optional(Amount),
    diskMiBPerSecond: Type.Optional(Amount),
    /** Its operator has marked it: it is started again when its host has died. */
    restartable: Type.Optional(Type.Boolean()),
  },
  strict,
);

/** `cluster.yaml` of a scenario. */
export const ClusterSchema = Type.Object(
  {
    seed: Type.Integer({ minimum: 0 }),
    runForSeconds: Type.Number({ exclusiveMinimum: 0, maximum: 10_000_000 }),
    mode: ModeSchema,
    planIntervalSeconds: Type.Optional(Positive),
    sampleIntervalSeconds: Type.Optional(Positive),
    policy: Type.Optional(Type.Partial(PolicySchema, strict)),
    migration: Type.Optional(MigrationSectionSchema),
    channel: Type.Optional(ChannelSectionSchema),
    certificateLifeSeconds: Type.Optional(Positive),
    /** The last part of the run: no event comes any more that waits for a moment, and at its end the cluster must be whole again. */
    quietSeconds: Type.Optional(Positive),
    paths: Type.Optional(Type.Array(PathSchema, { maxItems: 1000 })),
    rules: Type.Optional(RulesSchema),
    cordoned: Type.Optional(Type.Array(HostIdSchema, { maxItems: 1000 })),
    hosts: Type.Record(HostIdSchema, HostSchema, { minProperties: 1, maxProperties: hostsMax }),
    vms: Type.Record(NameSchema, VmSchema, { maxProperties: vmsMax }),
  },
  strict,
);

export type ClusterSpec = Static<typeof ClusterSchema>;

export interface Scenario {
  readonly cluster: ClusterSpec;
  readonly events: readonly ScenarioEvent[];
}

/** Checks both files' contents and that they fit together. Throws `config-invalid` with the place and the fault. */
export function scenarioOf(cluster: unknown, events: unknown): Scenario {
  const checked = parse(ClusterSchema, cluster, 'cluster.yaml', 'config-invalid');
  for (const host of (checked.paths ?? []).flatMap(({ between }) => between)) {
    if (!Object.hasOwn(checked.hosts, host)) throw invalid(`cluster.yaml: there is a path to ${host}, which is not among the hosts`);
  }
  for (const host of checked.cordoned ?? []) {
    if (!Object.hasOwn(checked.hosts, host)) throw invalid(`cluster.yaml: ${host} is cordoned, and is not among the hosts`);
  }
  for (const [name, vm] of Object.entries(checked.vms)) {
    if (!Object.hasOwn(checked.hosts, vm.host)) throw invalid(`cluster.yaml: VM ${name} is on ${vm.host}, which is not among the hosts`);
  }
  if (!Array.isArray(events)) throw invalid('events.yaml has to be a list of events');
  return { cluster: checked, events: events.map((one: unknown, index) => eventOf(one, `events.yaml, event ${index + 1}`, checked)) };
}

function eventOf(value: unknown, place: string, cluster: ClusterSpec): ScenarioEvent {
  const word: unknown = typeof value === 'object' && value !== null && 'do' in value ? value.do : undefined;
  if (typeof word !== 'string' || !isEventName(word)) {
    throw invalid(`${place}: do is ${String(word)}, it has to be one of ${Object.keys(eventSchemas).join(', ')}`);
  }
  const checked = parse(eventSchemas[word] as TSchema, value, `${place} (${word})`, 'config-invalid') as ScenarioEvent;
  const hosts = [...hostsOf(checked), ...nodesOf(checked).filter((node) => node !== controllerNode)];
  for (const host of hosts) {
    if (!Object.hasOwn(cluster.hosts, host)) throw invalid(`${place} (${word}): there is no host ${host}`);
  }
  for (const vm of vmsOf(checked)) {
    if (!Object.hasOwn(cluster.vms, vm)) throw invalid(`${place} (${word}): there is no VM ${vm}`);
  }
  return checked;
}

function isEventName(word: string): word is EventName {
  return Object.hasOwn(eventSchemas, word);
}

function hostsOf(checked: ScenarioEvent): readonly string[] {
  const to = checked.do === 'migrate' && checked.to !== undefined ? [checked.to] : [];
  const several = checked.do === 'maintain' ? checked.hosts : [];
  return 'host' in checked ? [checked.host, ...to] : [...several, ...to];
}

/** Where the controller may stand, too. */
function nodesOf(checked: ScenarioEvent): readonly string[] {
  const way = 'from' in checked ? [checked.from, checked.to] : [];
  return [...way, ...('of' in checked ? [checked.of] : []), ...('between' in checked ? checked.between : [])];
}

function vmsOf(checked: ScenarioEvent): readonly string[] {
  const awaited = typeof checked.at === 'number' ? [] : [checked.at.vm];
  return 'vm' in checked ? [checked.vm, ...awaited] : awaited;
}

function invalid(message: string): PlimsollError {
  return new PlimsollError('config-invalid', message);
}
