/**
 * The signed statement of a receipt as a schema that anybody can check one with: version 3, and version 2, which stays valid. The
 * signature is over its exact bytes.
 */
import type { ReceiptStatement, ReceiptStatementV2 } from '#core/migration/receipt.ts';
import { type Static, Type } from 'typebox';
import { ProofSchema } from './api.ts';
import {
  ChannelKindSchema,
  CountSchema,
  HostIdSchema,
  IdSchema,
  IpsecErrorsSchema,
  NameSchema,
  orNull,
  RateSchema,
  strict,
  TextSchema,
  TimeSchema,
  TuningRecordSchema,
  VmIdSchema,
} from './resources.ts';
import { DecisionSchema, MeasuresSchema, PredictionSchema, TransferOptionsSchema } from './transfer-schemas.ts';

const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

const ReceiptSaSchema = Type.Object(
  {
    spiIn: TextSchema,
    spiOut: TextSchema,
    bytesIn: Type.Integer({ description: 'Towards the source' }),
    bytesOut: Type.Integer({ description: 'Towards the destination' }),
    packetsIn: Type.Integer(),
    packetsOut: Type.Integer(),
  },
  { ...strict, description: 'What one SA carried during the transfer, as the source counted it' },
);

const ReceiptTrafficSchema = Type.Object(
  {
    sas: Type.Array(ReceiptSaSchema, { description: 'Oldest first: the SA that the transfer began with, and each that replaced it' }),
    outer: orNull(ReceiptSaSchema),
    rekeys: CountSchema,
    bytesOut: Type.Integer(),
    packetsOut: Type.Integer(),
    bytesIn: Type.Integer(),
    packetsIn: Type.Integer(),
    coversHypervisorBytes: orNull(Type.Boolean({ description: 'IPsec carried at least what the hypervisor says it sent' })),
  },
  strict,
);

const ReceiptRefusedSchema = Type.Object(
  { guardDroppedOutPackets: orNull(CountSchema), guardDroppedInPackets: orNull(CountSchema), errors: orNull(IpsecErrorsSchema) },
  { ...strict, description: "What the source's guard and IPsec refused during the transfer" },
);

const ReceiptChannelSchema = Type.Object(
  {
    kind: ChannelKindSchema,
    weaker: Type.Boolean({ description: 'True for everything but IPsec' }),
    grantId: orNull(IdSchema),
    cipher: orNull(Type.String({ maxLength: 1000, description: 'What encrypted a weaker channel; null for IPsec, see the proof' })),
    proof: orNull(ProofSchema),
    traffic: orNull(ReceiptTrafficSchema),
    refused: orNull(ReceiptRefusedSchema),
    packetSizes: orNull(
      Type.Pick(TuningRecordSchema, [
        'pathMtuBytes',
        'limitedBy',
        'mtuBeforeBytes',
        'mtuAfterBytes',
        'mssBeforeBytes',
        'mssAfterBytes',
        'kept',
      ]),
    ),
  },
  strict,
);

/** What both versions say. */
const common = {
  sequence: Type.Integer({ minimum: 1 }),
  previousSha256: orNull(Type.String({ ...Sha256, description: 'Of the envelope before this one; null for the first' })),
  migrationId: IdSchema,
  vmId: VmIdSchema,
  vmName: NameSchema,
  fromHostId: HostIdSchema,
  toHostId: HostIdSchema,
  cause: NameSchema,
  askedBy: NameSchema,
  approvedBy: orNull(NameSchema),
  planId: orNull(IdSchema),
  vmEpoch: CountSchema,
  askedAtMs: TimeSchema,
  endedAtMs: TimeSchema,
  outcome: Type.Union([Type.Literal('moved'), Type.Literal('stayed'), Type.Literal('unclear')]),
  failure: orNull(Type.Object({ code: IdSchema, message: TextSchema }, strict)),
  channel: ReceiptChannelSchema,
  transfer: orNull(
    Type.Object(
      { totalMs: RateSchema, downtimeMs: orNull(RateSchema), hypervisorBytes: RateSchema, iterations: orNull(RateSchema) },
      strict,
    ),
  ),
};

export const ReceiptStatementV2Schema = Type.Object({ version: Type.Literal(2), ...common }, strict);

export const ReceiptStatementSchema = Type.Object(
  {
    version: Type.Literal(3),
    ...common,
    method: orNull(
      Type.Object(
        { options: TransferOptionsSchema, reason: TextSchema },
        { ...strict, description: 'As planned; the method that it ended with is in the measures' },
      ),
    ),
    prediction: orNull(PredictionSchema),
    measures: orNull(MeasuresSchema),
    decisions: Type.Array(DecisionSchema, { maxItems: 64, description: 'Of the choice of the method and of the autopilot, oldest first' }),
    decisionsLeftOut: CountSchema,
  },
  strict,
);

/** JSON Schema (draft 2020-12) to publish. */
export const receiptJsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:plimsoll:receipt:3',
  title: 'The statement of a Plimsoll receipt',
  description: 'The payload of a DSSE envelope of type application/vnd.plimsoll.receipt+json. Times are milliseconds since the Unix epoch.',
  anyOf: [ReceiptStatementSchema, ReceiptStatementV2Schema],
};

/** Fails to compile when the core's statements and the schemas above part, in either direction. */
type Same<Schema, Core> = [DeepReadonly<Schema>] extends [DeepReadonly<Core>]
  ? [DeepReadonly<Core>] extends [DeepReadonly<Schema>]
    ? true
    : never
  : never;
type DeepReadonly<Value> = Value extends object ? { readonly [Key in keyof Value]: DeepReadonly<Value[Key]> } : Value;
const schemaIsTheCores: Same<Static<typeof ReceiptStatementSchema>, ReceiptStatement> = true;
const earlierSchemaIsTheCores: Same<Static<typeof ReceiptStatementV2Schema>, ReceiptStatementV2> = true;
void schemaIsTheCores;
void earlierSchemaIsTheCores;
