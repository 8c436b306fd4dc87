/** What is said when something that must hold does not. */
export type InvariantCode =
  | 'two-copies'
  | 'no-copy'
  | 'memory-lost'
  | 'stale-copy'
  | 'plain-bytes'
  | 'host-limit'
  | 'cluster-limit'
  | 'ledger-incomplete'
  | 'ledger-untrue'
  | 'receipt-missing'
  | 'receipt-chain'
  | 'record-lost'
  | 'record-changed'
  | 'host-memory'
  | 'stale-epoch'
  | 'ticket-reused'
  | 'plan-unlawful'
  | 'mode-disobeyed'
  | 'rule-broken'
  | 'ignored-moved'
  | 'returned-early'
  | 'drain-untrue'
  | 'maintenance-untrue'
  | 'job-unasked'
  | 'not-whole'
  | 'not-closed'
  | 'left-behind'
  | 'process-crashed';

export interface Breach {
  readonly code: InvariantCode;
  readonly message: string;
}

export function breach(code: InvariantCode, message: string): Breach {
  return { code, message };
}
