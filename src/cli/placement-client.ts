/** The part of the REST API about where VMs run. */
import { CordonSchema, DrainPreviewSchema, DrainSchema, StoredRuleSchema, UncordonSchema } from '#wire/placement-api.ts';
import { MaintenancePreviewSchema, MaintenanceSchema, type MaintenanceWish } from '#wire/maintenance-api.ts';
import { type Static, type TSchema, Type } from 'typebox';
import type { Rule } from '#wire/rule-schemas.ts';

const RulesSchema = Type.Array(StoredRuleSchema);
const DrainsSchema = Type.Array(DrainSchema);

type Get = <Schema extends TSchema>(path: string, schema: Schema) => Promise<Static<Schema>>;
type Send = <Schema extends TSchema>(
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: unknown,
  schema: Schema,
) => Promise<Static<Schema>>;

export class PlacementClient {
  readonly #get: Get;
  readonly #send: Send;

  constructor(get: Get, send: Send) {
    this.#get = get;
    this.#send = send;
  }

  rules() {
    return this.#get('/v1/rules', RulesSchema);
  }

  addRule(rule: Rule) {
    return this.#send('POST', '/v1/rules', rule, StoredRuleSchema);
  }

  removeRule(name: string) {
    return this.#send('DELETE', `/v1/rules/${encodeURIComponent(name)}`, undefined, StoredRuleSchema);
  }

  cordon(hostId: string, reason: string) {
    return this.#send('PUT', `${hostPath(hostId)}/cordon`, { reason }, CordonSchema);
  }

  uncordon(hostId: string) {
    return this.#send('DELETE', `${hostPath(hostId)}/cordon`, undefined, UncordonSchema);
  }

  drains() {
    return this.#get('/v1/drains', DrainsSchema);
  }

  drain(hostId: string) {
    return this.#get(`${hostPath(hostId)}/drain`, DrainSchema);
  }

  previewDrain(hostId: string) {
    return this.#get(`${hostPath(hostId)}/drain/preview`, DrainPreviewSchema);
  }

  startDrain(hostId: string, reason: string) {
    return this.#send('POST', `${hostPath(hostId)}/drain`, { reason }, DrainSchema);
  }

  changeDrain(hostId: string, verb: 'cancel' | 'restore') {
    return this.#send('POST', `${hostPath(hostId)}/drain/${verb}`, undefined, DrainSchema);
  }

  maintenance() {
    return this.#get('/v1/maintenance', MaintenanceSchema);
  }

  previewMaintenance(wish: MaintenanceWish) {
    return this.#send('POST', '/v1/maintenance/preview', wish, MaintenancePreviewSchema);
  }

  startMaintenance(wish: MaintenanceWish) {
    return this.#send('POST', '/v1/maintenance', wish, MaintenanceSchema);
  }

  cancelMaintenance() {
    return this.#send('POST', '/v1/maintenance/cancel', undefined, MaintenanceSchema);
  }

  readyHost(hostId: string) {
    return this.#send('POST', `${hostPath(hostId)}/ready`, undefined, MaintenanceSchema);
  }
}

function hostPath(hostId: string): string {
  return `/v1/hosts/${encodeURIComponent(hostId)}`;
}
