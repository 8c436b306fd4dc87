/** Labels of VMs: operators give them, and rules mean VMs by them. */

/** Each key once, with its value. */
export type Labels = Readonly<Record<string, string>>;

export const labelLimits = { perVmMax: 32, lengthMax: 63 } as const;

/** The text of patterns, for schemas. A key ends in a letter or digit, so that `key-` can mean its removal. */
export const labelKeyPattern = `[a-z0-9]([a-z0-9._/-]{0,${labelLimits.lengthMax - 2}}[a-z0-9])?`;
export const labelValuePattern = `[A-Za-z0-9]([A-Za-z0-9._-]{0,${labelLimits.lengthMax - 2}}[A-Za-z0-9])?`;

/** Begins a selector of a rule that means VMs by a label: `label:tier=web`, or `label:tier` whatever its value. */
export const labelPrefix = 'label:';

const key = new RegExp(`^${labelKeyPattern}$`);
const value = new RegExp(`^${labelValuePattern}$`);

export const labelKeyWords = `a label's key has up to ${labelLimits.lengthMax} small letters, digits, dots, dashes, underscores and slashes, and begins and ends with a letter or digit`;
export const labelValueWords = `a label's value has up to ${labelLimits.lengthMax} letters, digits, dots, dashes and underscores, and begins and ends with a letter or digit`;

/** What is wrong with it; null when nothing is. */
export function labelFault(wantedKey: string, wantedValue: string | null): string | null {
  if (!key.test(wantedKey)) return labelKeyWords;
  return wantedValue === null || value.test(wantedValue) ? null : labelValueWords;
}

export function isLabelSelector(selector: string): boolean {
  return selector.startsWith(labelPrefix);
}

/** What is wrong with the selector of a rule; null when nothing is, and for one that means no label. */
export function selectorFault(selector: string): string | null {
  if (!isLabelSelector(selector)) return null;
  const { wantedKey, wantedValue } = parsed(selector);
  const fault = labelFault(wantedKey, wantedValue);
  const example = "write label:key=value, such as label:tier=web, or label:key for any value; '*' has no meaning there";
  return fault === null ? null : `${selector.slice(0, 2 * labelLimits.lengthMax)} means no label: ${fault}; ${example}`;
}

/** Whether a VM with these labels is meant. */
export function matchesLabel(selector: string, labels: Labels | undefined): boolean {
  if (labels === undefined || !isLabelSelector(selector)) return false;
  const { wantedKey, wantedValue } = parsed(selector);
  return Object.hasOwn(labels, wantedKey) && (wantedValue === null || labels[wantedKey] === wantedValue);
}

function parsed(selector: string): { readonly wantedKey: string; readonly wantedValue: string | null } {
  const text = selector.slice(labelPrefix.length);
  const at = text.indexOf('=');
  return at < 0 ? { wantedKey: text, wantedValue: null } : { wantedKey: text.slice(0, at), wantedValue: text.slice(at + 1) };
}
