/** The shape of a recovery as it is kept; `Same` ties it to the model. */
import { type Static, Type } from 'typebox';
import { type Recovery, type RecoveryPhase } from '#core/model/recovery.ts';
import type { VmDefinition } from '#core/model/definition.ts';
import type { Bytes } from '#core/model/units.ts';
import { atMs, count, id, orNull, text } from './basic-shapes.ts';

const bytes = Type.Unsafe<Bytes>(Type.Number({ minimum: 0 }));
const names = Type.Array(text, { maxItems: 4096 });

const definition = Type.Unsafe<VmDefinition>(
  Type.Object({
    vmId: id,
    name: text,
    type: text,
    architecture: text,
    machine: orNull(text),
    emulator: orNull(text),
    vcpus: count,
    memoryBytes: bytes,
    cpuMode: orNull(text),
    cpuModel: orNull(text),
    interfaces: Type.Array(Type.Object({ kind: text, source: orNull(text), mac: text })),
    disks: Type.Array(
      Type.Object({
        target: text,
        device: Type.Optional(text),
        startupPolicy: Type.Optional(orNull(text)),
        kind: text,
        source: orNull(text),
        readOnly: Type.Boolean(),
        shareable: Type.Boolean(),
        cache: orNull(text),
      }),
    ),
    leases: Type.Array(Type.Object({ lockspace: text, key: text, path: text })),
    hostOnly: names,
    files: Type.Optional(names),
    persistent: Type.Boolean(),
  }),
);

const phases: Record<RecoveryPhase, RecoveryPhase> = {
  watched: 'watched',
  off: 'off',
  down: 'down',
  starting: 'starting',
  'given-up': 'given-up',
  missing: 'missing',
};

export const recoveryRecord = Type.Object({
  vmId: id,
  vmName: text,
  phase: Type.Enum(phases),
  phaseSinceMs: atMs,
  hostId: orNull(id),
  bootId: orNull(text),
  toldHostIds: Type.Array(id),
  coveredHostIds: Type.Array(id),
  vmEpoch: count,
  attempts: count,
  notBeforeMs: atMs,
  reason: text,
  definition: orNull(definition),
  wanted: Type.Boolean(),
});

type Same<One, Other> = [One, Other] extends [Other, One] ? true : never;
export const recoveryRecordIsWhole: Same<keyof Static<typeof recoveryRecord>, keyof Recovery> = true;
