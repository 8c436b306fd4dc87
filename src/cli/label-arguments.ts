/** What people write of labels: of a VM, and of the VMs that a rule means. */
import { labelFault, selectorFault } from '#wire/label-schemas.ts';
import { InvalidArgumentError } from 'commander';
import { listArgument } from './rule-arguments.ts';

export type LabelChanges = Readonly<Record<string, string | null>>;

/** Argument parser of labels: `tier=web`, or `tier-` to take one back; each given again is added. */
export function labelArgument(text: string, before: LabelChanges = {}): LabelChanges {
  const at = text.indexOf('=');
  const isRemoval = at < 0 && text.endsWith('-');
  if (at < 0 && !isRemoval) throw new InvalidArgumentError('Write key=value such as tier=web, or key- to take the label back.');
  const key = isRemoval ? text.slice(0, -1) : text.slice(0, at);
  const value = isRemoval ? null : text.slice(at + 1);
  const fault = labelFault(key, value);
  if (fault !== null) throw new InvalidArgumentError(`Write a label such as tier=web: ${fault}.`);
  if (Object.hasOwn(before, key) && before[key] !== value) throw new InvalidArgumentError(`It says two things of the label ${key}.`);
  return { ...before, [key]: value };
}

/** Argument parser of the VMs of a rule, as a list. */
export function selectorsArgument(text: string, before: readonly string[]): readonly string[] {
  const all = listArgument(text, before);
  const fault = all.map((selector) => selectorFault(selector)).find((one) => one !== null);
  if (fault) throw new InvalidArgumentError(`${fault}.`);
  return all;
}
