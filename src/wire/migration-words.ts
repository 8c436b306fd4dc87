/** What a client needs of the core's words about migrations, without the schemas: those cost most of the start of a process. */
export { stopsVm } from '#core/migration/prediction.ts';
export { outcomeOf } from '#core/migration/step.ts';
export { type Compression, compressions, type Method, methods, type PresetName, presetNames } from '#core/model/method.ts';
