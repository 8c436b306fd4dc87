/** Something that another format has no place for, or that is not known there and had to be assumed. */
export interface Loss {
  readonly code: LossCode;
  /** What is lost or assumed, with figures. */
  readonly message: string;
}

export type LossCode =
  | 'cpu-speed'
  | 'disk'
  | 'figures-assumed'
  | 'groups'
  | 'history'
  | 'host-cpu'
  | 'host-memory'
  | 'host-status'
  | 'in-flight'
  | 'instances-forthcoming'
  | 'ledger'
  | 'not-movable'
  | 'other-use'
  | 'policy'
  | 'rules'
  | 'tags'
  | 'use-unknown'
  | 'vm-cpu'
  | 'vm-memory'
  | 'vm-state'
  | 'vms-left-out';

/** `1 VM: …`, `3 VMs: …`; nothing when there is none. `things` is what more than one are called. */
export function countedLoss(code: LossCode, count: number, things: readonly [one: string, more: string], message: string): readonly Loss[] {
  return count === 0 ? [] : [{ code, message: `${count} ${things[count === 1 ? 0 : 1]}: ${message}` }];
}

export const hostNoun = ['host', 'hosts'] as const;
export const vmNoun = ['VM', 'VMs'] as const;
