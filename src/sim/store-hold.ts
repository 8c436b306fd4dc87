import type { Store } from '#core/store.ts';
import { replaced } from '#core/store-rules.ts';

/** What a store must not do for a controller that was replaced: everything that changes what it holds. */
const kinds: Readonly<Record<keyof Store, 'read' | 'write' | 'hold'>> = {
  nextControllerEpoch: 'hold',
  nextVmEpoch: 'write',
  hosts: 'read',
  saveHost: 'write',
  saveToken: 'write',
  useToken: 'write',
  appendSamples: 'write',
  history: 'read',
  trimHistory: 'write',
  saveMigration: 'write',
  migration: 'read',
  migrations: 'read',
  saveVmSettings: 'write',
  vmSettings: 'read',
  saveRecovery: 'write',
  removeRecovery: 'write',
  recoveries: 'read',
  saveRule: 'write',
  removeRule: 'write',
  rules: 'read',
  saveCordon: 'write',
  removeCordon: 'write',
  cordons: 'read',
  saveDrain: 'write',
  drains: 'read',
  saveMaintenance: 'write',
  latestMaintenance: 'read',
  appendLedger: 'write',
  ledgerSince: 'read',
  savePlan: 'write',
  plan: 'read',
  latestPlan: 'read',
  plans: 'read',
  savePlanCourse: 'write',
  planCourses: 'read',
  rejectedSince: 'read',
  startedMoves: 'read',
  saveCertificate: 'write',
  certificates: 'read',
  saveGrant: 'write',
  grant: 'read',
  grants: 'read',
  appendAudit: 'write',
  audit: 'read',
  saveTuning: 'write',
  tunings: 'read',
  saveKeptChannel: 'write',
  removeKeptChannel: 'write',
  keptChannels: 'read',
  saveReceipt: 'write',
  receipt: 'read',
  lastReceipt: 'read',
  mode: 'read',
  saveMode: 'write',
  close: 'hold',
};

/** The store as one controller has it open. `newestEpoch`: of all that were counted, whoever counted it. */
export function holdOf(store: Store, newestEpoch: () => number): Store {
  let epoch: number | null = null;
  return new Proxy(store, {
    get: (target, key) => {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function' || !isOfStore(key)) return member;
      return async (...args: readonly unknown[]): Promise<unknown> => {
        if (kinds[key] === 'write' && epoch !== null && epoch !== newestEpoch()) throw replaced(`do ${key}`);
        const value: unknown = await Reflect.apply(member, target, args);
        if (key === 'nextControllerEpoch') epoch = value as number;
        return value;
      };
    },
  });
}

function isOfStore(key: string | symbol): key is keyof Store {
  return typeof key === 'string' && key in kinds;
}
