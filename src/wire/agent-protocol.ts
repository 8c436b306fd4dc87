/**
 * What an agent and the controller say to each other over their line. JSON messages; both sides validate
 * what they receive. The host's name is not in here: it comes from the certificate of the line.
 */
import { type Static, type TSchema, Type } from 'typebox';
import {
  AddressesSchema,
  BytesSchema,
  CountSchema,
  GuardStateSchema,
  HostIdSchema,
  IdSchema,
  JobOutcomeSchema,
  NameSchema,
  orNull,
  ProgressSchema,
  ProofFactsSchema,
  RateSchema,
  RefusalSchema,
  SampleSchema,
  SecurityAssociationSchema,
  SignedTicketSchema,
  strict,
  TextSchema,
  VmIdSchema,
  VmViewSchema,
} from './resources.ts';

export const protocolVersion = 1;

const PeerSchema = Type.Object({ hostId: HostIdSchema, addresses: AddressesSchema }, strict);
const Nothing = Type.Object({}, strict);

/** How far a transfer has come, as its source knows it. `unknown`: this agent process did not start it. */
export const TransferStatusSchema = Type.Union([
  Type.Object({ kind: Type.Literal('unknown') }, strict),
  Type.Object({ kind: Type.Literal('running'), progress: orNull(ProgressSchema) }, strict),
  Type.Object({ kind: Type.Literal('completed'), outcome: JobOutcomeSchema }, strict),
  Type.Object({ kind: Type.Literal('failed'), refusal: RefusalSchema }, strict),
]);

/** Every command an agent obeys: what it takes and what it answers. */
export const commandSchemas = {
  'vm.find': { args: Type.Object({ vmId: VmIdSchema }, strict), reply: Type.Object({ vm: orNull(VmViewSchema) }, strict) },
  'vm.check-destination': {
    args: Type.Object({ vmId: VmIdSchema, memoryBytes: BytesSchema }, strict),
    reply: Type.Object({ refusal: orNull(RefusalSchema), hypervisor: TextSchema }, strict),
  },
  'vm.resume': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
  'vm.destroy-copy': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
  'ticket.accept': { args: Type.Object({ ticket: SignedTicketSchema }, strict), reply: Nothing },
  'channel.prepare': { args: Type.Object({ peer: PeerSchema }, strict), reply: Type.Object({ backend: TextSchema }, strict) },
  'channel.establish': { args: Type.Object({ peer: PeerSchema }, strict), reply: Type.Object({ sa: SecurityAssociationSchema }, strict) },
  'channel.state': {
    args: Type.Object({ peerHostId: HostIdSchema }, strict),
    reply: Type.Object({ sa: orNull(SecurityAssociationSchema), guard: GuardStateSchema }, strict),
  },
  'channel.listen': { args: Type.Object({ peer: PeerSchema, nonce: IdSchema }, strict), reply: Nothing },
  'channel.probe': {
    args: Type.Object({ peer: PeerSchema, nonce: IdSchema }, strict),
    reply: Type.Object({ facts: ProofFactsSchema }, strict),
  },
  'channel.heard': { args: Type.Object({ nonce: IdSchema }, strict), reply: Type.Object({ facts: ProofFactsSchema }, strict) },
  'channel.close': { args: Type.Object({ peerHostId: HostIdSchema }, strict), reply: Nothing },
  'transfer.start': {
    args: Type.Object(
      { migrationId: IdSchema, vmId: VmIdSchema, peer: PeerSchema, bandwidthBytesPerSecond: RateSchema, downtimeMsMax: RateSchema },
      strict,
    ),
    reply: Type.Object({ sa: SecurityAssociationSchema }, strict),
  },
  'transfer.status': { args: Type.Object({ migrationId: IdSchema }, strict), reply: Type.Object({ status: TransferStatusSchema }, strict) },
  'transfer.abort': { args: Type.Object({ migrationId: IdSchema, vmId: VmIdSchema }, strict), reply: Nothing },
} as const satisfies Record<string, { readonly args: TSchema; readonly reply: TSchema }>;

export type CommandName = keyof typeof commandSchemas;
export type CommandArgs<Name extends CommandName> = Static<(typeof commandSchemas)[Name]['args']>;
export type CommandReply<Name extends CommandName> = Static<(typeof commandSchemas)[Name]['reply']>;
export type Peer = Static<typeof PeerSchema>;
export type TransferStatus = Static<typeof TransferStatusSchema>;

export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(commandSchemas, name);
}

export const FromAgentSchema = Type.Union([
  Type.Object(
    {
      type: Type.Literal('hello'),
      protocol: Type.Integer(),
      agentVersion: NameSchema,
      bootId: IdSchema,
      addresses: AddressesSchema,
      hypervisor: orNull(TextSchema),
      ipsec: orNull(TextSchema),
    },
    strict,
  ),
  Type.Object({ type: Type.Literal('sample'), sample: SampleSchema }, strict),
  Type.Object({ type: Type.Literal('reply'), commandId: IdSchema, ok: Type.Literal(true), value: Type.Unknown() }, strict),
  Type.Object({ type: Type.Literal('reply'), commandId: IdSchema, ok: Type.Literal(false), refusal: RefusalSchema }, strict),
]);

export const ToAgentSchema = Type.Union([
  Type.Object({ type: Type.Literal('welcome'), protocol: Type.Integer(), controllerEpoch: CountSchema }, strict),
  Type.Object(
    {
      type: Type.Literal('command'),
      commandId: IdSchema,
      controllerEpoch: CountSchema,
      name: NameSchema,
      args: Type.Unknown(),
      timeoutMs: Type.Integer({ minimum: 1, maximum: 3_600_000 }),
    },
    strict,
  ),
]);

export type FromAgent = Static<typeof FromAgentSchema>;
export type ToAgent = Static<typeof ToAgentSchema>;
