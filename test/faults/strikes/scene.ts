import type { LabHost } from '#lab/api.ts';
import type { GuestSight } from '#test/faults/oracle/oracle.ts';
import type { Cluster } from '#test/e2e/cluster.ts';

/** Where a fault strikes. */
export interface Scene {
  readonly cluster: Cluster;
  readonly guest: string;
  readonly source: LabHost;
  readonly destination: LabHost;
  readonly sight: GuestSight;
  /** Of the migration under way. @throws before there is one. */
  readonly migrationId: () => string;
}

/** A fault that is prepared so far that nothing but the strike is left to do. */
export interface Strike {
  /** How long it lasts; 0: what was killed stays killed until its supervisor starts it again. */
  readonly lastsMs: number;
  /** It has served its purpose when the migration is closed; others go on, for what they may still do. */
  readonly endsWithMigration: boolean;
  /** Does it now. What is found and signalled here is done before the first await. Returns what was hit. */
  readonly strike: () => Promise<string>;
  /** Ends it and takes everything away; harmless when it never struck. */
  readonly end: () => Promise<void>;
}
