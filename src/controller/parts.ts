import type { Clock, LineServer, Log, Random, Signer, Verifier } from '#core/ports.ts';
import type { Mode, Policy } from '#core/model/policy.ts';
import type { Store } from '#core/store.ts';

/** Everything the controller needs from the world; the simulator hands it the same in virtual time. */
export interface ControllerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Store;
  readonly lines: LineServer;
  readonly signer: Signer;
  readonly verifier: Verifier;
  /** SHA-256 of the text, hex. */
  readonly sha256: (text: string) => string;
}

export interface ControllerSettings {
  readonly version: string;
  /** The mode of a controller that was never told another one. */
  readonly mode: Mode;
  readonly policy: Policy;
  readonly planIntervalMs: number;
  readonly historyMs: number;
}
