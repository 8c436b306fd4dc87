/** What hbal has no column for and a move does not change travels as tags of an instance: hbal keeps tags that it does not know. */
import type { VmId, VmState } from '#core/model/vm.ts';

export interface VmTags {
  readonly vmId: VmId | null;
  readonly name: string | null;
  readonly state: VmState | null;
}

const prefixes = { vmId: 'plimsoll:vm:', name: 'plimsoll:name:', state: 'plimsoll:state:' } as const;
const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const states: readonly VmState[] = ['running', 'paused', 'incoming', 'shut-off', 'crashed', 'unknown'];

export function tagsOf({ vmId, name, state }: VmTags): readonly string[] {
  return [
    ...(vmId === null ? [] : [`${prefixes.vmId}${vmId}`]),
    ...(name === null ? [] : [`${prefixes.name}${encoded(name)}`]),
    ...(state === null ? [] : [`${prefixes.state}${state}`]),
  ];
}

/** What the tags say; null where they do not, or say nothing that can be read. */
export function readTags(tags: readonly string[]): VmTags {
  const said = (prefix: string) => tags.find((tag) => tag.startsWith(prefix))?.slice(prefix.length) ?? null;
  const vmId = said(prefixes.vmId);
  const name = said(prefixes.name);
  const state = said(prefixes.state);
  return {
    vmId: vmId !== null && uuidPattern.test(vmId) ? vmId : null,
    name: name === null || name === '' ? null : decoded(name),
    state: states.find((known) => known === state) ?? null,
  };
}

export function isOwnTag(tag: string): boolean {
  return Object.values(prefixes).some((prefix) => tag.startsWith(prefix));
}

/** Every UTF-16 code unit that is not plain becomes `~` and four hexadecimal digits: tags are parted by commas, columns by bars. */
function encoded(text: string): string {
  return Array.from({ length: text.length }, (_, index) => {
    const unit = text.charAt(index);
    return /[A-Za-z0-9._-]/.test(unit) ? unit : `~${text.charCodeAt(index).toString(16).padStart(4, '0')}`;
  }).join('');
}

function decoded(text: string): string {
  return text.replaceAll(/~([0-9a-f]{4})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
