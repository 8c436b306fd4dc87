/** Labels of VMs as they travel. */
import { type Labels, labelKeyPattern, labelLimits, labelValuePattern } from '#core/model/label.ts';
import { Type } from 'typebox';
import { orNull } from './resources.ts';

export { labelFault, selectorFault } from '#core/model/label.ts';

const LabelKeySchema = Type.String({ pattern: `^${labelKeyPattern}$` });
const LabelValueSchema = Type.String({ pattern: `^${labelValuePattern}$`, description: 'letters, digits, dots, dashes, underscores' });
const named = { additionalProperties: false, maxProperties: labelLimits.perVmMax } as const;

export const LabelsSchema = Type.Unsafe<Labels>(Type.Record(LabelKeySchema, LabelValueSchema, named));

/** What is left out stays as it is; null takes a label back. */
export const LabelChangesSchema = Type.Record(LabelKeySchema, orNull(LabelValueSchema), named);
