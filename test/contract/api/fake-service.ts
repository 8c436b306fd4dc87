import type { ControllerService } from '#controller/service.ts';
import { PlimsollError } from '#core/model/result.ts';
import { exampleSnapshot } from '#core/planner/examples.ts';
import type { MigrationResource, VmCheckResource } from '#wire/api.ts';
import { snapshotFileOf } from '#wire/snapshot-file.ts';
import {
  auditEntry,
  balance,
  certificate,
  channel,
  check,
  copying,
  done,
  grant,
  hostA,
  hostB,
  nowMs,
  proven,
  receipt,
  reset,
  revocation,
  status,
  token,
  tuned,
  vmDatabase,
  vmWeb,
} from './resources.ts';
import { fakePlacement } from './placement-resources.ts';
import { fakePlans } from './plan-resources.ts';
import { predictionErrors, vmCheck, vmSettings } from './transfer-resources.ts';

/** A controller with fixed answers that remembers what it was asked. Each method can be replaced for one test. */
export interface FakeService extends ControllerService {
  readonly asked: readonly (readonly unknown[])[];
}

export function createFakeService(replaced: Partial<ControllerService> = {}): FakeService {
  const asked: unknown[][] = [];
  const answer = <Value>(value: Value, ...call: readonly unknown[]): Promise<Value> => {
    asked.push([...call]);
    return Promise.resolve(value);
  };
  return {
    asked,
    placement: fakePlacement(answer),
    plans: fakePlans(answer),
    status: () => answer(status, 'status'),
    hosts: () => answer([hostA, hostB], 'hosts'),
    host: (hostId) =>
      answer(
        found([hostA, hostB], (host) => host.hostId === hostId, unknownHost(hostId)),
        'host',
        hostId,
      ),
    history: (hostId, sinceMs, limit) =>
      answer([{ hostId, atMs: hostA.joinedAtMs, cpuPercent: 95, memoryPercent: 37.5 }], 'history', hostId, sinceMs, limit),
    vms: () => answer([vmWeb, vmDatabase], 'vms'),
    vm: (reference) =>
      answer(
        found([vmWeb, vmDatabase], (vm) => vm.name === reference || vm.vmId === reference, unknownVm(reference)),
        'vm',
        reference,
      ),
    vmSettings: (reference) => answer(named(reference === vmWeb.vmId ? 'web1' : reference, vmSettings), 'vmSettings', reference),
    setVm: (reference, change, askedBy) =>
      answer(
        named(reference, { ...vmSettings, ...change, labels: { tier: 'db' }, updatedAtMs: nowMs }),
        'setVm',
        reference,
        change,
        askedBy,
      ),
    snapshot: () => answer(snapshotFileOf(exampleSnapshot([]), 'observe'), 'snapshot'),
    balance: () => answer(balance, 'balance'),
    migrate: (body, askedBy) => answer(named(body.vm, copying), 'migrate', body, askedBy),
    checkMigrate: (body) => answer(named(body.vm, check), 'checkMigrate', body),
    checkVm: (reference, toHostId) => answer(checked(reference, toHostId), 'checkVm', reference, toHostId),
    predictionErrors: () => answer(predictionErrors, 'predictionErrors'),
    migrations: (filter) => answer([copying], 'migrations', filter),
    migration: (migrationId) =>
      answer<MigrationResource>(
        found([done], (known) => known.request.migrationId === migrationId, unknownMigration(migrationId)),
        'migration',
        migrationId,
      ),
    abortMigration: (migrationId) => answer({ ...copying, abortAsked: true }, 'abortMigration', migrationId),
    receipt: (migrationId) => answer(receipt, 'receipt', migrationId),
    createToken: (hostId, lifetimeMs) => answer(token, 'createToken', hostId, lifetimeMs),
    setMode: (mode) => answer({ ...status, mode }, 'setMode', mode),
    channels: () => answer([channel], 'channels'),
    channel: (one, other) => answer(channel, 'channel', one, other),
    proveChannel: (from, to, body, askedBy) => answer(proven, 'proveChannel', from, to, body, askedBy),
    tuneChannel: (from, to, body, askedBy) => answer({ ...tuned, applied: body.apply === true }, 'tuneChannel', from, to, body, askedBy),
    resetChannel: (one, other, askedBy) => answer(reset, 'resetChannel', one, other, askedBy),
    certificates: (hostId) => answer([certificate], 'certificates', hostId),
    renewCertificates: (hostId, askedBy) =>
      answer([{ hostId: 'host-a', certificate, refusal: null }], 'renewCertificates', hostId, askedBy),
    revokeHost: (hostId, reason, askedBy) => answer(revocation, 'revokeHost', hostId, reason, askedBy),
    requestGrant: (body, askedBy) => answer(grant, 'requestGrant', body, askedBy),
    approveGrant: (grantId, askedBy) =>
      answer({ ...grant, state: 'approved' as const, approvedBy: askedBy }, 'approveGrant', grantId, askedBy),
    withdrawGrant: (grantId, askedBy) => answer({ ...grant, state: 'withdrawn' as const }, 'withdrawGrant', grantId, askedBy),
    grants: (limit) => answer([grant], 'grants', limit),
    audit: (limit) => answer([auditEntry], 'audit', limit),
    ...replaced,
  };
}

function found<Item>(items: readonly Item[], matches: (item: Item) => boolean, otherwise: PlimsollError): Item {
  const item = items.find(matches);
  if (item === undefined) throw otherwise;
  return item;
}

function named<Value>(vm: string, value: Value): Value {
  if (vm !== 'web1' && vm !== 'db') throw unknownVm(vm);
  return value;
}

function checked(reference: string, toHostId: string | null): VmCheckResource {
  const all = named(reference, vmCheck);
  if (toHostId === null) return all;
  return { ...all, rows: [found(all.rows, (row) => row.hostId === toHostId, unknownHost(toHostId))] };
}

function unknownHost(hostId: string): PlimsollError {
  return new PlimsollError('host-unknown', `there is no host ${hostId}: 'plimsoll host list' shows all`);
}

function unknownVm(reference: string): PlimsollError {
  return new PlimsollError('vm-unknown', `there is no VM ${reference}: 'plimsoll vm list' shows all`);
}

function unknownMigration(migrationId: string): PlimsollError {
  return new PlimsollError('migration-unknown', `there is no migration ${migrationId}: 'plimsoll migration list' shows all`);
}
