/** A small cluster for tests of the simulator itself. */
import { exampleOptions } from '#core/migration/forecast-examples.ts';
import type { Surroundings } from './cluster.ts';
import { defaultOffer } from './definitions.ts';
import type { HostSpec } from './host.ts';
import { hash } from '#core/seeded.ts';
import { type Scenario, scenarioOf } from './scenario.ts';
import type { StoreWatcher } from './store-watcher.ts';

const ignore = () => undefined;
/** Nobody looks. */
export const noWatcher: StoreWatcher = {
  onPlan: ignore,
  onReceipt: ignore,
  onLedger: ignore,
  onMigration: ignore,
  onMode: ignore,
  onDrain: ignore,
  onMaintenance: ignore,
  onMigrationLost: ignore,
  onLedgerLost: ignore,
};

export const surroundings: Surroundings = {
  drain: () => new Promise((resolve) => setImmediate(resolve)),
  sha256: (text) => [1, 2, 3, 4, 5, 6, 7, 8].map((round) => hash(`${round} ${text}`, 0x811c_9dc5).toString(16).padStart(8, '0')).join(''),
};

/** Two hosts; `web` on the first, `mail` on the second; nothing moves by itself. */
export function pairScenario(
  options: { readonly seed?: number; readonly runForSeconds?: number; readonly events?: unknown; readonly migration?: unknown } = {},
): Scenario {
  return scenarioOf(
    {
      seed: options.seed ?? 1,
      runForSeconds: options.runForSeconds ?? 60,
      mode: 'observe',
      ...(options.migration === undefined ? {} : { migration: options.migration }),
      hosts: { host1: { cpuCores: 4, memoryGiB: 8 }, host2: { cpuCores: 4, memoryGiB: 8 } },
      vms: {
        web: { host: 'host1', vcpus: 2, memoryGiB: 1, demandCores: 0.5 },
        mail: { host: 'host2', vcpus: 2, memoryGiB: 1, demandCores: 0.3 },
      },
    },
    options.events ?? [],
  );
}

export const migrateWeb = { at: 10, do: 'migrate', vm: 'web', to: 'host2', by: 'anna' } as const;

/** Plain pre-copy. */
export const plainOptions = exampleOptions();

export function hostSpec(number: number, changed: Partial<HostSpec> = {}): HostSpec {
  return {
    hostId: `host${number}`,
    addresses: { underlay: `10.0.0.${number}`, protected: `10.79.0.${number}`, interface: 'eth0' },
    cpuCores: 4,
    memoryBytes: 8 * 2 ** 30,
    linkBytesPerSecond: 50 * 2 ** 20,
    ipsec: 'kernel',
    mtuBytes: 1500,
    ...defaultOffer,
    ...changed,
  };
}
