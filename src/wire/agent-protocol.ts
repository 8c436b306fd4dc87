/**
 * What an agent and the controller say to each other over their line. JSON messages; both sides validate
 * what they receive. The host's name is not in here: it comes from the certificate of the line.
 */
import { type Static, type TSchema, Type } from 'typebox';
import { vmStandings } from '#core/model/recovery.ts';
import {
  AddressesSchema,
  AddressSchema,
  ChannelKindSchema,
  ChannelProfileSchema,
  ChannelReadingSchema,
  ChannelSecretsSchema,
  CountSchema,
  GuardStateSchema,
  HostIdSchema,
  IdSchema,
  ImageDigestSchema,
  ImageOfferSchema,
  ImageStandingSchema,
  IpsecErrorsSchema,
  NameSchema,
  orNull,
  PeerTuningSchema,
  ProgressSchema,
  ProofFactsSchema,
  RateSchema,
  RefusalSchema,
  SampleSchema,
  SecurityAssociationSchema,
  SignedTicketSchema,
  strict,
  TextSchema,
  TimeSchema,
  VmIdSchema,
  VmViewSchema,
  WayFactsSchema,
} from './resources.ts';
import {
  DecisionsSchema,
  DefinitionTextSchema,
  EchoReportSchema,
  HostCostSchema,
  HostOfferSchema,
  JobOutcomeSchema,
  leasesMax,
  LeasesSchema,
  MemoryActivitySchema,
  TransferOptionsSchema,
  TransferPlanSchema,
  VmDefinitionSchema,
} from './transfer-schemas.ts';

export const protocolVersion = 7;

const PeerSchema = Type.Object({ hostId: HostIdSchema, addresses: AddressesSchema, profile: ChannelProfileSchema }, strict);
const PemSchema = Type.String({ minLength: 1, maxLength: 64 * 1024 });
/** The longest list that charon takes (64 KiB of DER, see `revocationListBytesMax`), as PEM. */
const CrlPemSchema = Type.String({ minLength: 1, maxLength: 96 * 1024 });
/** What the autopilot decided so far, and how often it began. */
const steering = { decisions: DecisionsSchema, attempts: CountSchema };
const Nothing = Type.Object({}, strict);

/** What the source of a sealed image asks of the destination's end; see `ImageDestination`. */
export const ImageCallSchema = Type.Union([
  /** `at`: the destination's address that the image is to be sent to; null: its underlay address. */
  Type.Object({ kind: Type.Literal('offer'), at: orNull(AddressSchema) }, strict),
  Type.Object({ kind: Type.Literal('open'), sent: ImageDigestSchema }, strict),
  Type.Object({ kind: Type.Literal('restore') }, strict),
  Type.Object({ kind: Type.Literal('discard') }, strict),
]);

/** A call under its id: asked again under the same id it is the same call. */
const ImageAskSchema = Type.Object({ askId: IdSchema, call: ImageCallSchema }, strict);

/** `refused`: the call has rejected; of a restore this says nothing about where the VM is, `not-restored` does: it never runs there. */
export const ImageAnswerSchema = Type.Union([
  Type.Object({ kind: Type.Literal('offered'), offer: ImageOfferSchema }, strict),
  Type.Object({ kind: Type.Literal('done') }, strict),
  Type.Object({ kind: Type.Literal('not-restored'), refusal: RefusalSchema }, strict),
  Type.Object({ kind: Type.Literal('refused'), refusal: RefusalSchema }, strict),
]);

/**
 * How far a transfer has come, as its source knows it. `unknown`: this agent process did not start it. `ask`: what it waits for from
 * the destination's agent; whoever watches the transfer puts it there and brings the answer.
 */
export const TransferStatusSchema = Type.Union([
  Type.Object({ kind: Type.Literal('unknown') }, strict),
  Type.Object({ kind: Type.Literal('running'), progress: orNull(ProgressSchema), ask: orNull(ImageAskSchema), ...steering }, strict),
  Type.Object({ kind: Type.Literal('completed'), outcome: JobOutcomeSchema, channel: orNull(ChannelReadingSchema), ...steering }, strict),
  Type.Object({ kind: Type.Literal('failed'), refusal: RefusalSchema, channel: orNull(ChannelReadingSchema), ...steering }, strict),
]);

/** All channels of one host, and what protects them. */
export const ChannelListSchema = Type.Object(
  {
    backend: orNull(TextSchema),
    guard: GuardStateSchema,
    errors: orNull(IpsecErrorsSchema),
    sas: Type.Array(SecurityAssociationSchema, { maxItems: 4096 }),
    tuned: Type.Array(PeerTuningSchema, { maxItems: 4096 }),
  },
  strict,
);

/** When an agent's process said something, by the clock of its host's boot. A grant, or an order to start a VM, counts from there. */
const StampSchema = Type.Object({ bootId: NameSchema, agentId: IdSchema, atMs: RateSchema }, strict);
const StandingSchema = Type.Enum([...vmStandings, 'fenced', 'starting']);
const LeaseVmsSchema = Type.Array(VmIdSchema, { maxItems: 10_000 });

/** Every command an agent obeys: what it takes and what it answers. */
export const commandSchemas = {
  /** `held`: of each of the `leases`, in their order, whether this host's lock manager holds it; null where that cannot be told. */
  'vm.find': {
    args: Type.Object({ vmId: VmIdSchema, leases: Type.Optional(LeasesSchema) }, strict),
    reply: Type.Object(
      {
        vm: orNull(VmViewSchema),
        image: orNull(ImageStandingSchema),
        held: Type.Optional(Type.Array(orNull(Type.Boolean()), { maxItems: leasesMax })),
        /** True where the VM was to come here, and the machine was restarted since or its agent has ended the VM: it may have run here. */
        restarted: Type.Optional(Type.Boolean()),
      },
      strict,
    ),
  },
  /** What of the VM decides where it can run, and its definition in the hypervisor's own words. */
  'vm.describe': {
    args: Type.Object({ vmId: VmIdSchema }, strict),
    reply: Type.Object({ definition: VmDefinitionSchema, text: DefinitionTextSchema }, strict),
  },
  /** What this host offers to such a VM. */
  'vm.offer': {
    args: Type.Object({ definition: VmDefinitionSchema, text: DefinitionTextSchema }, strict),
    reply: Type.Object({ offer: HostOfferSchema }, strict),
  },
  /** For each of these options why this host's hypervisor cannot make such a transfer; null where it can. */
  'vm.method-faults': {
    args: Type.Object({ options: Type.Array(TransferOptionsSchema, { maxItems: 32 }) }, strict),
    reply: Type.Object({ faults: Type.Array(orNull(RefusalSchema), { maxItems: 32 }) }, strict),
  },
  /** Watches which memory the VM writes. */
  'vm.measure': {
    args: Type.Object({ vmId: VmIdSchema, durationMs: Type.Integer({ minimum: 1000, maximum: 30_000 }) }, strict),
    reply: Type.Object({ activity: MemoryActivitySchema }, strict),
  },
  'vm.cost': { args: Type.Object({ vmId: VmIdSchema }, strict), reply: Type.Object({ cost: HostCostSchema }, strict) },
  /** IP addresses that this host has seen behind a MAC address, and behind which of its ports it has seen it last. */
  'witness.look': {
    args: Type.Object({ mac: NameSchema }, strict),
    reply: Type.Object(
      {
        addresses: Type.Array(AddressSchema, { maxItems: 64 }),
        place: orNull(Type.Union([Type.Literal('local'), Type.Literal('elsewhere')])),
      },
      strict,
    ),
  },
  /** Asks the address for an answer every few milliseconds, until `witness.stop` or for an hour. False: this host cannot reach it directly. */
  'witness.start': {
    args: Type.Object({ watchId: IdSchema, address: AddressSchema, intervalMs: Type.Integer({ minimum: 2, maximum: 10_000 }) }, strict),
    reply: Type.Object({ watching: Type.Boolean() }, strict),
  },
  /** What was seen so far; null when this process does not watch. */
  'witness.report': { args: Type.Object({ watchId: IdSchema }, strict), reply: Type.Object({ report: orNull(EchoReportSchema) }, strict) },
  'witness.stop': { args: Type.Object({ watchId: IdSchema }, strict), reply: Type.Object({ report: orNull(EchoReportSchema) }, strict) },
  /** Boots the VM anew from its definition, once per epoch; `since` is the stamp of a renewal that binds the VM, a few seconds old. */
  'vm.start': {
    args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema, text: DefinitionTextSchema, since: StampSchema }, strict),
    reply: Nothing,
  },
  /**
   * Says which VMs run on this host under its lease only, and renews the lease for the newest stamp that was heard; with null it is only
   * asked for a stamp. `covered`: ended with the lease, and not started by the hypervisor itself. `standing` null: could not be looked at.
   */
  'lease.renew': {
    args: Type.Object({ since: orNull(StampSchema), vmIds: LeaseVmsSchema }, strict),
    reply: Type.Object(
      {
        stamp: StampSchema,
        holds: Type.Boolean(),
        vms: Type.Array(Type.Object({ vmId: VmIdSchema, standing: orNull(StandingSchema), covered: Type.Boolean() }, strict), {
          maxItems: 10_000,
        }),
      },
      strict,
    ),
  },
  /** What this host has of a VM, as far as starting it elsewhere is concerned. */
  'lease.look': { args: Type.Object({ vmId: VmIdSchema }, strict), reply: Type.Object({ standing: StandingSchema }, strict) },
  'vm.resume': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
  /** Takes the storage locks of a running VM again; it stands still for a moment. */
  'vm.relock': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
  /**
   * `even`: `half`, also what a post-copy has left here, because all of the VM runs on the other host; `arriving`, also a copy with a job
   * at work that waits for its memory, because the other host runs the VM and sends nothing.
   */
  'vm.destroy-copy': {
    args: Type.Object(
      { vmId: VmIdSchema, vmEpoch: CountSchema, even: orNull(Type.Union([Type.Literal('half'), Type.Literal('arriving')])) },
      strict,
    ),
    reply: Nothing,
  },
  'ticket.accept': { args: Type.Object({ ticket: SignedTicketSchema }, strict), reply: Nothing },
  'channel.prepare': {
    args: Type.Object({ peer: PeerSchema, secrets: ChannelSecretsSchema }, strict),
    reply: Type.Object({ backend: TextSchema }, strict),
  },
  'channel.establish': { args: Type.Object({ peer: PeerSchema }, strict), reply: Type.Object({ sa: SecurityAssociationSchema }, strict) },
  'channel.state': {
    args: Type.Object({ peerHostId: HostIdSchema }, strict),
    reply: Type.Object({ reading: ChannelReadingSchema }, strict),
  },
  'channel.list': { args: Nothing, reply: ChannelListSchema },
  'channel.rekey': { args: Type.Object({ peerHostId: HostIdSchema }, strict), reply: Nothing },
  'channel.listen': { args: Type.Object({ peer: PeerSchema, nonce: IdSchema }, strict), reply: Nothing },
  'channel.probe': {
    args: Type.Object({ peer: PeerSchema, nonce: IdSchema }, strict),
    reply: Type.Object({ facts: ProofFactsSchema }, strict),
  },
  'channel.heard': { args: Type.Object({ nonce: IdSchema }, strict), reply: Type.Object({ facts: ProofFactsSchema }, strict) },
  /** Ends the SAs with this peer, unloads its connection and puts its network settings back. */
  'channel.close': { args: Type.Object({ peerHostId: HostIdSchema }, strict), reply: Nothing },
  'path.way': { args: Type.Object({ peer: PeerSchema }, strict), reply: Type.Object({ way: WayFactsSchema }, strict) },
  /** Answers path probes with this nonce, and takes in one bulk stream, until `path.stop` or for a minute. */
  'path.answer': {
    args: Type.Object({ peer: PeerSchema, nonce: IdSchema, stream: Type.Boolean() }, strict),
    reply: Type.Object({ streamPort: orNull(Type.Integer({ minimum: 1, maximum: 65_535 })) }, strict),
  },
  'path.stop': { args: Type.Object({ nonce: IdSchema }, strict), reply: Nothing },
  /** Finds the largest packet that reaches the peer, at most `packetBytesMax`. 0: not even the smallest came through. */
  'path.measure': {
    args: Type.Object({ peer: PeerSchema, nonce: IdSchema, packetBytesMax: Type.Integer({ minimum: 576, maximum: 65_535 }) }, strict),
    reply: Type.Object({ pathMtuBytes: CountSchema }, strict),
  },
  /** Sends a bulk stream through the channel; needs an SA that is up. `packetsOut` is counted by the SA. */
  'path.stream': {
    args: Type.Object(
      {
        peer: PeerSchema,
        nonce: IdSchema,
        port: Type.Integer({ minimum: 1, maximum: 65_535 }),
        durationMs: Type.Integer({ minimum: 100, maximum: 30_000 }),
      },
      strict,
    ),
    reply: Type.Object({ bytes: CountSchema, durationMs: RateSchema, packetsOut: CountSchema, packetBytesOut: CountSchema }, strict),
  },
  'path.tune': { args: Type.Object({ tuning: PeerTuningSchema }, strict), reply: Nothing },
  'path.restore': { args: Type.Object({ peerHostId: orNull(HostIdSchema) }, strict), reply: Nothing },
  'guard.exempt': { args: Type.Object({ peerUnderlay: AddressSchema, lifetimeMs: CountSchema }, strict), reply: Nothing },
  /** A new key is made on the host; only the request leaves it. */
  'identity.request': { args: Nothing, reply: Type.Object({ requestPem: PemSchema }, strict) },
  'identity.install': { args: Type.Object({ certificatePem: PemSchema, intermediatesPem: PemSchema }, strict), reply: Nothing },
  /** Newer revocation lists; channels and transfers with revoked hosts end at once. */
  'trust.update': {
    args: Type.Object(
      {
        intermediatesPem: PemSchema,
        crlPems: Type.Array(CrlPemSchema, { maxItems: 64 }),
        revokedHostIds: Type.Array(HostIdSchema, { maxItems: 100_000 }),
      },
      strict,
    ),
    reply: Nothing,
  },
  'transfer.start': {
    args: Type.Object(
      {
        migrationId: IdSchema,
        vmId: VmIdSchema,
        peer: PeerSchema,
        channelKind: ChannelKindSchema,
        plan: TransferPlanSchema,
        noProgressMsMax: RateSchema,
      },
      strict,
    ),
    reply: Type.Object({ reading: ChannelReadingSchema }, strict),
  },
  /** Goes on with a post-copy that failed, through a channel that was proven anew. Resolves when the hypervisor is at it. */
  'transfer.recover': {
    args: Type.Object(
      { migrationId: IdSchema, vmId: VmIdSchema, vmEpoch: CountSchema, peer: PeerSchema, plan: TransferPlanSchema },
      strict,
    ),
    reply: Nothing,
  },
  /** Makes the destination of a post-copy that failed notice that the other end is gone; see `Hypervisor.partFromPeer`. */
  'transfer.part': {
    args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema, peer: PeerSchema }, strict),
    reply: Type.Object({ ended: CountSchema }, strict),
  },
  'transfer.status': { args: Type.Object({ migrationId: IdSchema }, strict), reply: Type.Object({ status: TransferStatusSchema }, strict) },
  /** What the destination's agent said; one that nobody waits for any more is let go. */
  'transfer.answer': { args: Type.Object({ migrationId: IdSchema, askId: IdSchema, answer: ImageAnswerSchema }, strict), reply: Nothing },
  'transfer.abort': { args: Type.Object({ migrationId: IdSchema, vmId: VmIdSchema }, strict), reply: Nothing },
  /** Puts an ask of the source to this host as destination. Null while it is at work: ask again. */
  'image.call': {
    args: Type.Object(
      {
        migrationId: IdSchema,
        vmId: VmIdSchema,
        vmEpoch: CountSchema,
        peerHostId: HostIdSchema,
        askId: IdSchema,
        call: ImageCallSchema,
      },
      strict,
    ),
    reply: Type.Object({ answer: orNull(ImageAnswerSchema) }, strict),
  },
  /** Starts a VM on its source again from the image that was given away; only when the destination never started it. */
  'image.take-back': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
  /** Removes the image on the source of a VM that runs on its destination. */
  'image.forget': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
  /** Throws away what the destination has of an image that it did not restore. */
  'image.discard': { args: Type.Object({ vmId: VmIdSchema, vmEpoch: CountSchema }, strict), reply: Nothing },
} as const satisfies Record<string, { readonly args: TSchema; readonly reply: TSchema }>;

export type CommandName = keyof typeof commandSchemas;
export type CommandArgs<Name extends CommandName> = Static<(typeof commandSchemas)[Name]['args']>;
export type CommandReply<Name extends CommandName> = Static<(typeof commandSchemas)[Name]['reply']>;
export type Peer = Static<typeof PeerSchema>;
export type Stamp = Static<typeof StampSchema>;
export type TransferStatus = Static<typeof TransferStatusSchema>;
export type ImageAsk = Static<typeof ImageAskSchema>;
export type ImageCall = Static<typeof ImageCallSchema>;
export type ImageAnswer = Static<typeof ImageAnswerSchema>;

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
      /** SHA-256 (hex) and end of the certificate in use. */
      certificate: Type.Object({ sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }), notAfterMs: TimeSchema }, strict),
      /** By this host's clock: the controller compares it with its own. */
      sentAtMs: TimeSchema,
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
