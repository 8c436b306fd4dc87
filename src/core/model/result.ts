/** Expected failures are values: `ok` tells which half it is, `reason` is a stable code. */
export type Result<Value, Failure> = ({ readonly ok: true } & Value) | ({ readonly ok: false } & Failure);

/** A refusal an operator can act on: a stable code, and one sentence that says what to do. */
export interface Refusal {
  readonly code: RefusalCode;
  readonly message: string;
}

/** Stable codes; they are API: printed by the CLI, stored in the ledger, never reused for something else. */
export type RefusalCode =
  | 'aborted'
  | 'agent-restarted'
  | 'certificate-expired'
  | 'channel-failed'
  | 'clock-skew'
  | 'command-timeout'
  | 'config-invalid'
  | 'controller-replaced'
  | 'controller-restarted'
  | 'cool-down'
  | 'cpu-incompatible'
  | 'destination-has-vm'
  | 'destination-same-as-source'
  | 'device-host-only'
  | 'disk-not-shared'
  | 'disk-unreachable'
  | 'downtime-budget'
  | 'drain-unknown'
  | 'grant-invalid'
  | 'grant-missing'
  | 'guard-missing'
  | 'host-down'
  | 'host-draining'
  | 'host-exists'
  | 'host-revoked'
  | 'host-unknown'
  | 'hypervisor-failed'
  | 'hypervisor-unavailable'
  | 'input-invalid'
  | 'internal'
  | 'ipsec-failed'
  | 'ipsec-unavailable'
  | 'link-lost'
  | 'lease-ended'
  | 'lock-held'
  | 'lock-missing'
  | 'machine-unsupported'
  | 'maintenance-active'
  | 'maintenance-unknown'
  | 'memory-lost'
  | 'message-invalid'
  | 'method-unsupported'
  | 'migration-failed'
  | 'migration-limit'
  | 'migration-stalled'
  | 'migration-unknown'
  | 'mode-forbids'
  | 'network-missing'
  | 'no-cpu'
  | 'not-in-maintenance'
  | 'no-memory'
  | 'not-converging'
  | 'plain-text-seen'
  | 'plan-applied'
  | 'plan-empty'
  | 'plan-expired'
  | 'plan-rejected'
  | 'plan-unknown'
  | 'post-copy-broken'
  | 'post-copy-not-allowed'
  | 'profile-refused'
  | 'profile-unsupported'
  | 'proof-failed'
  | 'proof-missing'
  | 'receipt-unknown'
  | 'rule-exists'
  | 'rule-forbids'
  | 'rule-unknown'
  | 'stale-epoch'
  | 'switch-over-stalled'
  | 'ticket-expired'
  | 'ticket-invalid'
  | 'ticket-used'
  | 'token-expired'
  | 'token-invalid'
  | 'truth-unknown'
  | 'two-copies'
  | 'version-unsupported'
  | 'vm-ambiguous'
  | 'vm-busy'
  | 'vm-not-running'
  | 'vm-unknown'
  | 'zero-copies'
  | 'ended-on-destination';

/** The one error class at the edges: a stable code, a sentence for the operator, and the cause. */
export class PlimsollError extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'PlimsollError';
    this.code = code;
  }
}

/** Turns anything thrown into a refusal; what is not a PlimsollError becomes `fallback`. */
export function refusalOf(error: unknown, fallback: RefusalCode = 'internal'): Refusal {
  if (error instanceof PlimsollError) return { code: error.code, message: error.message };
  if (error instanceof Error) return { code: fallback, message: error.message };
  return { code: fallback, message: String(error) };
}
