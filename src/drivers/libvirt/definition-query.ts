import type { Element } from './definition-tree.ts';

/** The first child of this name; null where there is none, or nothing to look into. */
export function child(element: Element | null, name: string): Element | null {
  return element?.children.find((candidate) => candidate.name === name) ?? null;
}

export function childrenOf(element: Element | null, name: string): readonly Element[] {
  return element?.children.filter((candidate) => candidate.name === name) ?? [];
}

/** Down a path of first children. */
export function at(element: Element | null, ...names: readonly string[]): Element | null {
  return names.reduce<Element | null>(child, element);
}

/** Null where it is missing or empty. */
export function attribute(element: Element | null, name: string): string | null {
  const value = element?.attributes.get(name) ?? '';
  return value === '' ? null : value;
}

/** Text of the first child of this name; null where it is missing or empty. */
export function childText(element: Element | null, name: string): string | null {
  const text = child(element, name)?.text ?? '';
  return text === '' ? null : text;
}
