import type { HostId } from '#core/model/host.ts';
import type { VmId } from '#core/model/vm.ts';

/** A broken invariant, with the figures. `code` is stable; host and VM are null where none is meant. */
export interface Violation<Code extends string = string> {
  readonly code: Code;
  readonly message: string;
  readonly hostId: HostId | null;
  readonly vmId: VmId | null;
}
