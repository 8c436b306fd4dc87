/** The shapes of how a VM was to be moved, what was decided on the way, and what it cost: parts of a migration's record. */
import { Type } from 'typebox';
import { compressions, methods, presetNames } from '#core/model/method.ts';
import { atMs, count, id, number, orNull, text } from './basic-shapes.ts';

const method = Type.Enum(methods);
const compression = Type.Enum(compressions);
const preset = Type.Enum(presetNames);
const streams = Type.Integer({ minimum: 1 });
const throttle = { initialPercent: number, incrementPercent: number };

export const methodWish = Type.Object({
  method: Type.Enum([...methods, 'auto']),
  preset: Type.Optional(preset),
  autoConverge: Type.Optional(Type.Boolean()),
  streams: Type.Optional(streams),
  compression: Type.Optional(compression),
  bandwidthBytesPerSecond: Type.Optional(number),
  downtimeMsMax: Type.Optional(number),
});

const transferOptions = Type.Object({
  method,
  autoConverge: orNull(Type.Object(throttle)),
  streams,
  compression,
  bandwidthBytesPerSecond: number,
  downtimeMsMax: number,
});

const rung = Type.Union([
  Type.Object({ kind: Type.Literal('streams'), streams }),
  Type.Object({ kind: Type.Literal('compress'), compression: Type.Enum(['xbzrle', 'mt', 'zlib', 'zstd']) }),
  Type.Object({ kind: Type.Literal('auto-converge'), ...throttle }),
  Type.Object({ kind: Type.Literal('raise-downtime') }),
  Type.Object({ kind: Type.Literal('post-copy') }),
  Type.Object({ kind: Type.Literal('stop-and-copy') }),
]);

const pilotPolicy = Type.Object({
  preset,
  ladder: Type.Array(rung),
  downtimeMsBudget: number,
  allowPostCopy: Type.Boolean(),
  stopMsMax: number,
  patienceMs: number,
  switchOverMsMax: number,
});

const range = Type.Object({ low: number, expected: number, high: number });

const prediction = Type.Object({
  method,
  totalMs: range,
  downtimeMs: range,
  bytes: range,
  rounds: number,
  converges: Type.Boolean(),
  memoryBytes: number,
  activity: Type.Object({
    measuredAtMs: atMs,
    measuredForMs: number,
    usedBytes: orNull(number),
    dirtyBytesPerSecond: number,
    workingSetBytes: number,
  }),
  bandwidth: Type.Object({ bytesPerSecond: number, measuredAtMs: atMs, by: Type.Enum(['stream', 'migration']) }),
  correctedBy: count,
});

export const transferPlan = Type.Object({
  options: transferOptions,
  pilot: pilotPolicy,
  reason: text,
  prediction: orNull(prediction),
});

export const decision = Type.Object({
  by: Type.Enum(['choice', 'autopilot', 'recovery']),
  atMs,
  elapsedMs: number,
  action: text,
  reason: text,
});

const hostCost = Type.Object({
  hypervisorCpuSeconds: orNull(number),
  ipsecCpuSeconds: orNull(number),
  agentCpuSeconds: orNull(number),
});

const outsideView = Type.Object({
  witnessHostId: id,
  address: id,
  intervalMs: number,
  sent: count,
  answered: count,
  downtimeMs: number,
  brownoutMs: number,
  delayMsP50: number,
  delayMsP99: number,
});

const known = orNull(Type.Boolean());
const arrival = Type.Object({
  definitionRight: known,
  sourceClean: known,
  announced: known,
  answers: known,
  lockedOnce: known,
  troubles: Type.Array(text),
});

export const measures = Type.Object({
  method,
  attempts: count,
  totalMs: number,
  hypervisorDowntimeMs: orNull(number),
  outside: orNull(outsideView),
  memorySentBytes: number,
  rounds: orNull(number),
  espBytes: orNull(number),
  espPackets: orNull(number),
  source: orNull(hostCost),
  destination: orNull(hostCost),
  arrival: orNull(arrival),
});
