/** What a machine sees that asks another one for an answer again and again. */
export interface EchoReport {
  readonly intervalMs: number;
  readonly sent: number;
  readonly answered: number;
  readonly lastAnswerAtMs: number | null;
  readonly delayMsP50: number | null;
  readonly delayMsP99: number | null;
  /** Between two answers, longer than two intervals, oldest first; at most 1000. `untilMs` is null while nothing came yet. */
  readonly gaps: readonly { readonly fromMs: number; readonly untilMs: number | null }[];
}

export interface Echo {
  report(): EchoReport;
  stop(): Promise<EchoReport>;
}

/** Looks at VMs from outside, as their clients do. */
export interface Witness {
  /** IP addresses that this host has seen behind a MAC address, newest first. */
  addressesOf(mac: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Null when this host has no way to the address but through other networks: its word would say little. */
  watch(address: string, intervalMs: number, signal: AbortSignal): Promise<Echo | null>;
  /** Behind which port this host's bridges have last seen a MAC address: `local` a VM of this host, `elsewhere` another host. */
  seenAt(mac: string, signal: AbortSignal): Promise<'local' | 'elsewhere' | null>;
}
