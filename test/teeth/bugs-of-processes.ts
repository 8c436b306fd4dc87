import type { PlantedBug } from './bug.ts';
import { provocations } from './provocations.ts';

/** In what acts: the controller and the agents. */
export const bugsOfProcesses: readonly PlantedBug[] = [
  {
    name: 'cap-of-a-host-off-by-one',
    what: 'a host takes part in one migration more than the policy allows',
    file: 'src/controller/executor.ts',
    find: `if (here >= this.#policy.migrationsPerHostMax) {`,
    replace: `if (here > this.#policy.migrationsPerHostMax) {`,
    caughtBy: ['host-limit'],
    schedule: 'scenario:one-migration-per-host',
  },
  {
    name: 'cap-of-the-cluster-off-by-one',
    what: 'the cluster makes one migration more at once than the policy allows',
    file: 'src/controller/executor.ts',
    find: `if (flights.length >= this.#policy.migrationsPerClusterMax) {`,
    replace: `if (flights.length > this.#policy.migrationsPerClusterMax) {`,
    caughtBy: ['cluster-limit'],
    schedule: 'more-than-the-cluster-takes',
  },
  {
    name: 'memory-promised-twice',
    what: 'the check of a destination forgets the VMs that are on their way to it',
    file: 'src/controller/rooms.ts',
    find: `const coming = executor.vmsOnTheirWayTo(hostId, withoutMigrationId);`,
    replace: `const coming: readonly VmId[] = executor.vmsOnTheirWayTo(hostId, withoutMigrationId).slice(0, 0);`,
    caughtBy: ['host-memory'],
    schedule: 'two-for-one-room',
  },
  {
    name: 'receipt-without-predecessor',
    what: 'a receipt does not name the one before it',
    file: 'src/controller/receipts.ts',
    find: `receiptOf(migration, sequence, last ? sha256(last.envelope) : null)`,
    replace: `receiptOf(migration, sequence, last && last.sequence > sequence ? sha256(last.envelope) : null)`,
    caughtBy: ['receipt-chain'],
    schedule: 'three-migrations',
  },
  {
    name: 'ledger-forgotten-on-restart',
    what: 'a controller closes what the one before it had only been asked for, and writes nothing down of it',
    file: 'src/controller/executor.ts',
    find: `    for (const migration of open) {
`,
    replace: `    for (const migration of open) {
      if (migration.phase === 'asked' || migration.phase === 'checked') {
        await this.#parts.store.saveMigration(recover(migration, this.#parts.clock.nowMs()).migration);
        continue;
      }
`,
    caughtBy: ['ledger-incomplete', 'receipt-missing'],
    schedule: 'scenario:controller-dies-before-the-copy',
  },
  {
    name: 'channels-left-up',
    what: 'nobody takes a channel down whose hosts could not be reached when its migration ended',
    file: 'src/controller/security-watch.ts',
    find: `    await left.end(seen, signal);`,
    replace: `    await left.end(new Map(), signal);`,
    caughtBy: ['left-behind'],
    schedule: 'scenario:unreachable-hosts-keep-no-channel',
  },
  {
    name: 'ended-copy-forgotten',
    what: 'an agent forgets that it has ended a VM that had come to its host, so that an older copy of it is resumed',
    file: 'src/agent/lease.ts',
    find: `        await this.#noteEnd(vmId, limited);`,
    replace: `        limited.throwIfAborted();`,
    caughtBy: ['stale-copy'],
    schedule: 'scenario:restartable-vm-ended-after-the-switch',
  },
  {
    name: 'intent-not-journaled',
    what: 'the controller notes that it asks for a transfer after it has asked',
    file: 'src/controller/executor.ts',
    find: `      await this.#record(running, migration);
      if (effect.kind === 'finish') break;`,
    replace: `      if (effect.kind === 'start-transfer') running.migration = migration;
      else await this.#record(running, migration);
      if (effect.kind === 'finish') break;`,
    caughtBy: ['job-unasked'],
    schedule: 'controller-dies-as-it-asks',
  },
  {
    name: 'acknowledged-before-it-is-durable',
    what: 'an agent says yes to a ticket before its memory of it is on the disk',
    file: 'src/agent/remembered.ts',
    find: `        await this.#memory.save(state);`,
    replace: `        this.#memory.save(state).catch(() => undefined);`,
    caughtBy: ['ticket-reused', 'stale-epoch'],
    schedule: 'disk-full-and-agent-restarts',
    provocation: provocations.repeatedOrders,
  },
  {
    name: 'cool-down-forgotten-on-restart',
    what: 'a controller knows the moves only that it has made itself',
    file: 'src/controller/rooms.ts',
    find: `  const { store } = parts;
  const { policy } = settings;`,
    replace: `  const { store } = parts;
  const openedAtMs = parts.clock.nowMs();
  const ledgerSince = (sinceMs: number) => store.ledgerSince(Math.max(sinceMs, openedAtMs));
  const forgetful = { get: (kept: object, key: string) => (key === 'ledgerSince' ? ledgerSince : Reflect.get(kept, key)) };
  parts = { ...parts, store: new Proxy(store, forgetful) };
  const { policy } = settings;`,
    caughtBy: ['plan-unlawful'],
    schedule: 'load-swings-back-over-a-restart',
  },
  {
    name: 'planned-on-stale-samples',
    what: 'the load of a host counts as fresh as long as its line is up',
    file: 'src/controller/cluster-view.ts',
    find: `      snapshotHostOf(host.load, {
        ...host,
        ...this.#standingOf(host.hostId),
        status: this.status(host, nowMs),
        quarantine: host.trust.quarantine,
      })`,
    replace: `      [
        snapshotHostOf(host.load, {
          ...host,
          ...this.#standingOf(host.hostId),
          status: host.connected ? 'up' : 'silent',
          quarantine: null,
        }),
      ].map((seen) => seen && { ...seen, sampledAtMs: nowMs })[0]`,
    caughtBy: ['plan-unlawful'],
    schedule: 'scenario:stale-samples-freeze-a-host',
  },
];
