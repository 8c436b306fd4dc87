/** What can happen to a simulated cluster, and when: the events of `events.yaml`. */
import { ModeSchema } from '#wire/controller-config.ts';
import { HostIdSchema, NameSchema, strict, TextSchema } from '#wire/resources.ts';
import { RuleNameSchema, RuleSchema } from '#wire/rule-schemas.ts';
import { MethodWishSchema } from '#wire/transfer-schemas.ts';
import { type Static, type TSchema, Type } from 'typebox';

const Amount = Type.Number({ minimum: 0 });
const Percent = Type.Number({ minimum: 0, maximum: 100 });
/** One that loses more is to be cut. */
const LossPercent = Type.Number({ minimum: 0, maximum: 90 });
/** Longer would be no link: lines die of silence. */
const DelayMs = Type.Number({ minimum: 0, maximum: 10_000 });
const yearMs = 366 * 86_400_000;

export const oneOf = <Name extends string>(names: readonly Name[]) =>
  Type.Unsafe<Name>(Type.Union(names.map((name) => Type.Literal(name))));

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
const EndSchema = oneOf(['source', 'destination']);
const GuardSchema = Type.Union([Type.Literal('installed'), Type.Literal('absent'), Type.Literal('broken'), Type.Literal('leaky')]);

const event = <Name extends string, Properties extends Record<string, TSchema>>(name: Name, properties: Properties) =>
  Type.Object({ ...when, do: Type.Literal(name), ...properties }, strict);

const asked = { reason: Type.Optional(TextSchema), by: Type.Optional(NameSchema) };

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
  /** What an operator wants of hosts and of where VMs run. */
  cordon: event('cordon', { host: HostIdSchema, ...asked }),
  uncordon: event('uncordon', { host: HostIdSchema, by: Type.Optional(NameSchema) }),
  drain: event('drain', { host: HostIdSchema, ...asked }),
  'drain-cancel': event('drain-cancel', { host: HostIdSchema, by: Type.Optional(NameSchema) }),
  restore: event('restore', { host: HostIdSchema, by: Type.Optional(NameSchema) }),
  maintain: event('maintain', {
    hosts: Type.Unsafe<readonly string[]>(Type.Array(HostIdSchema, { minItems: 1 })),
    parallel: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
    until: Type.Optional(oneOf(['ready', 'reboot'])),
    ...asked,
  }),
  /** A host in maintenance is back. */
  ready: event('ready', { host: HostIdSchema, by: Type.Optional(NameSchema) }),
  'maintenance-cancel': event('maintenance-cancel', { by: Type.Optional(NameSchema) }),
  'rule-add': event('rule-add', { rule: RuleSchema, by: Type.Optional(NameSchema) }),
  'rule-remove': event('rule-remove', { name: RuleNameSchema, by: Type.Optional(NameSchema) }),
  mode: event('mode', { mode: ModeSchema }),
  /** The newest plan, or of it the moves of these VMs. */
  approve: event('approve', { by: Type.Optional(NameSchema), only: Type.Optional(Type.Array(NameSchema, { minItems: 1 })) }),
  /** The newest plan, or the one that was approved last. */
  reject: event('reject', { plan: oneOf(['newest', 'approved']), ...asked }),
  /** Of the plan that was approved last. */
  rollback: event('rollback', { by: Type.Optional(NameSchema) }),
  /** SIGSTOP: nothing is lost, nothing moves, timers fire late and all at once after `go-on`. */
  pause: event('pause', { what: ProcessSchema, host: HostIdSchema }),
  'go-on': event('go-on', { what: ProcessSchema, host: HostIdSchema }),
  /** While it is paused, `start-controller` starts another one, as a failover does; then there are two. */
  'pause-controller': event('pause-controller', {}),
  'go-on-controller': event('go-on-controller', {}),
  /** Without a migration `source` is the QEMU that runs the VM. */
  'pause-qemu': event('pause-qemu', { vm: NameSchema, which: EndSchema }),
  'go-on-qemu': event('go-on-qemu', { vm: NameSchema, which: EndSchema }),
  /** Packets from one node to another vanish; the other direction passes. */
  'cut-one-way': event('cut-one-way', { from: HostIdSchema, to: HostIdSchema }),
  'heal-one-way': event('heal-one-way', { from: HostIdSchema, to: HostIdSchema }),
  /** How good a link is, in both directions; what is left out is as in a new one. Datagrams are lost, doubled and late, streams only slow. */
  link: event('link', {
    between: Type.Tuple([HostIdSchema, HostIdSchema]),
    delayMs: Type.Optional(DelayMs),
    jitterMs: Type.Optional(DelayMs),
    lossPercent: Type.Optional(LossPercent),
    duplicatePercent: Type.Optional(Percent),
    reorderPercent: Type.Optional(Percent),
  }),
  /**
   * The disk of a host or of the controller. `full`: writes are refused. `torn`: a write that is not acknowledged when its process dies
   * is on the disk or not, by the seed; never half of it.
   */
  disk: event('disk', { of: HostIdSchema, becomes: oneOf(['ok', 'full', 'torn']) }),
  /** The wall clock of one node jumps, forward or back. */
  clock: event('clock', { of: HostIdSchema, jumpMs: Type.Integer({ minimum: -yearMs, maximum: yearMs }) }),
  /** All clocks of one node go faster (or slower) from now on, by parts per million. */
  drift: event('drift', { of: HostIdSchema, ppm: Type.Number({ minimum: -100_000, maximum: 100_000 }) }),
  /**
   * What a host says is wrong. `load`: more CPU than it has cores and more memory than it has, then nothing at all. `room`: it says that it
   * is all but empty, to be given VMs, and tells the truth of those it has. `outcome`: a transfer
   * is said to have completed, and the VM stays where it was. `presence`: by the seed, it hides a VM that runs there or claims one of another host.
   */
  lie: event('lie', { host: HostIdSchema, about: oneOf(['load', 'room', 'outcome', 'presence']), becomes: oneOf(['on', 'off']) }),
} as const;

export type EventName = keyof typeof eventSchemas;
export type ScenarioEvent = { readonly [Name in EventName]: Static<(typeof eventSchemas)[Name]> }[EventName];
/** The event of one name. */
export type EventOf<Name extends EventName> = Extract<ScenarioEvent, { readonly do: Name }>;
