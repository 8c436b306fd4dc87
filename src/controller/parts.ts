import type { Authority, Clock, LineServer, Log, Random, Signer, Verifier } from '#core/ports.ts';
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
  readonly authority: Authority;
  /** SHA-256 of the text, hex. */
  readonly sha256: (text: string) => string;
  /** This many unguessable bytes, base64: fit for a key. */
  readonly randomKey: (bytes: number) => string;
}

export interface CertificateSettings {
  /** Hosts' certificates live this long and are renewed at two thirds of it. */
  readonly leafLifetimeMs: number;
  /** Revocation lists are made anew this often, and at each revocation. */
  readonly crlIntervalMs: number;
}

export const defaultCertificateSettings: CertificateSettings = { leafLifetimeMs: 24 * 3_600_000, crlIntervalMs: 3_600_000 };

export interface ControllerSettings {
  readonly version: string;
  /** The mode of a controller that was never told another one. */
  readonly mode: Mode;
  readonly policy: Policy;
  readonly planIntervalMs: number;
  readonly historyMs: number;
  readonly certificates: CertificateSettings;
}
