/** What a simulated cluster is made of, and what happens to it. Read from files, so everything is checked. */
import { PlimsollError } from '#core/model/result.ts';
import { ChannelSectionSchema, MigrationSectionSchema, ModeSchema, PolicySchema } from '#wire/controller-config.ts';
import { HostIdSchema, NameSchema, strict } from '#wire/resources.ts';
import { MethodWishSchema } from '#wire/transfer-schemas.ts';
import { parse } from '#wire/validate.ts';
import { type Static, type TSchema, Type } from 'typebox';

const Positive = Type.Number({ exclusiveMinimum: 0 });
const Amount = Type.Number({ minimum: 0 });

const oneOf = <Name extends string>(names: readonly Name[]) => Type.Unsafe<Name>(Type.Union(names.map((name) => Type.Literal(name))));

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
    paths: Type.Optional(Type.Array(PathSchema, { maxItems: 1000 })),
    hosts: Type.Record(HostIdSchema, HostSchema, { minProperties: 1, maxProperties: 200 }),
    vms: Type.Record(NameSchema, VmSchema),
  },
  strict,
);

/** `copying` is the controller's phase; `transfer`, `switch-over`, `post-copy`, `post-copy-failed` and `confirm` are the hypervisor's stages. */
const moments = [
  'asked',
  'checked',
  'secured',
  'copying',
  'resolving',
  'verifying',
  'done',
  'failed',
  'transfer',
  'switch-over',
  'post-copy',
  'post-copy-failed',
  'confirm',
];
const MomentSchema = Type.Object(
  {
    vm: NameSchema,
    reaches: Type.Union(moments.map((moment) => Type.Literal(moment))),
    plusSeconds: Type.Optional(Amount),
  },
  strict,
);

const when = { at: Type.Union([Amount, MomentSchema], { description: 'Seconds, or a moment of the next migration of a VM' }) };
const ProcessSchema = Type.Union([Type.Literal('agent'), Type.Literal('libvirtd'), Type.Literal('charon')]);
const GuardSchema = Type.Union([Type.Literal('installed'), Type.Literal('absent'), Type.Literal('broken'), Type.Literal('leaky')]);

const event = <Name extends string, Properties extends Record<string, TSchema>>(name: Name, properties: Properties) =>
  Type.Object({ ...when, do: Type.Literal(name), ...properties }, strict);

/** Everything that can happen, by the word in `do`. */
export const eventSchemas = {
  /** A guest asks for more or less CPU. */
  demand: event('demand', { vm: NameSchema, cores: Amount }),
  /** A guest writes to its memory faster or slower. */
  dirty: event('dirty', { vm: NameSchema, mibPerSecond: Amount }),
  kill: event('kill', { what: ProcessSchema, host: HostIdSchema }),
  start: event('start', { what: ProcessSchema, host: HostIdSchema }),
  'kill-controller': event('kill-controller', {}),
  'start-controller': event('start-controller', {}),
  /** Kill -9 on the QEMU that receives this VM. */
  'kill-destination-qemu': event('kill-destination-qemu', { vm: NameSchema }),
  /** Kill -9 on the QEMU that sends this VM. */
  'kill-source-qemu': event('kill-source-qemu', { vm: NameSchema }),
  /** Cuts the link between two nodes (`controller` is one too). */
  cut: event('cut', { between: Type.Tuple([HostIdSchema, HostIdSchema]) }),
  heal: event('heal', { between: Type.Tuple([HostIdSchema, HostIdSchema]) }),
  /** Cuts, or heals, every link of a host. */
  isolate: event('isolate', { host: HostIdSchema }),
  rejoin: event('rejoin', { host: HostIdSchema }),
  /** The machine stops with all that runs on it, and its links with it; or comes up again. */
  power: event('power', { host: HostIdSchema, becomes: oneOf(['off', 'on']) }),
  /** Kill -9 on the QEMU of a VM that is not being migrated. */
  'kill-qemu': event('kill-qemu', { vm: NameSchema }),
  guard: event('guard', { host: HostIdSchema, becomes: GuardSchema }),
  /** Migration traffic of this host tries to leave outside IPsec. */
  'plain-text': event('plain-text', { host: HostIdSchema, packets: Type.Integer({ minimum: 1 }) }),
  /** An operator's commands. */
  migrate: event('migrate', {
    vm: NameSchema,
    to: Type.Optional(HostIdSchema),
    by: Type.Optional(NameSchema),
    wish: Type.Optional(MethodWishSchema),
  }),
  abort: event('abort', { vm: NameSchema }),
  revoke: event('revoke', { host: HostIdSchema, by: Type.Optional(NameSchema) }),
  /** A new key and certificate for every host. */
  renew: event('renew', { by: Type.Optional(NameSchema) }),
  /** A revoked host joins anew, with a new token. */
  join: event('join', { host: HostIdSchema }),
  mode: event('mode', { mode: ModeSchema }),
  approve: event('approve', { by: Type.Optional(NameSchema) }),
} as const;

export type EventName = keyof typeof eventSchemas;
export type ClusterSpec = Static<typeof ClusterSchema>;
export type ScenarioEvent = { readonly [Name in EventName]: Static<(typeof eventSchemas)[Name]> }[EventName];

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
  for (const node of nodesOf(checked)) {
    if (node !== 'controller' && !Object.hasOwn(cluster.hosts, node)) throw invalid(`${place} (${word}): there is no host ${node}`);
  }
  for (const vm of vmsOf(checked)) {
    if (!Object.hasOwn(cluster.vms, vm)) throw invalid(`${place} (${word}): there is no VM ${vm}`);
  }
  return checked;
}

function isEventName(word: string): word is EventName {
  return Object.hasOwn(eventSchemas, word);
}

function nodesOf(checked: ScenarioEvent): readonly string[] {
  const host = 'host' in checked ? [checked.host] : [];
  const to = 'to' in checked && checked.to !== undefined ? [checked.to] : [];
  return [...host, ...to, ...('between' in checked ? checked.between : [])];
}

function vmsOf(checked: ScenarioEvent): readonly string[] {
  const awaited = typeof checked.at === 'number' ? [] : [checked.at.vm];
  return 'vm' in checked ? [checked.vm, ...awaited] : awaited;
}

function invalid(message: string): PlimsollError {
  return new PlimsollError('config-invalid', message);
}
