import {
  ErrorSchema,
  HistoryPointSchema,
  HostSchema,
  type MigrateBody,
  MigrateCheckSchema,
  MigrationSchema,
  PlanSchema,
  PredictionErrorsSchema,
  ReceiptSchema,
  StatusSchema,
  TokenSchema,
  VmCheckSchema,
  VmSchema,
} from '#wire/api.ts';
import { type VmSettingsBody, VmSettingsSchema } from '#wire/vm-settings-api.ts';
import { BalanceSchema } from '#wire/balance-api.ts';
import { ChannelSchema, type ProveBody, ProveSchema, ResetSchema, type TuneBody, TuneSchema } from '#wire/channel-api.ts';
import { AuditEntrySchema, CertificateSchema, type GrantBody, GrantSchema, RenewalSchema, RevocationSchema } from '#wire/security-api.ts';
import { SnapshotFileSchema } from '#wire/snapshot-file.ts';
import { violations } from '#wire/validate.ts';
import { userInfo } from 'node:os';
import { type Static, type TSchema, Type } from 'typebox';
import { CliError } from './errors.ts';
import { PlacementClient } from './placement-client.ts';
import { PlanClient } from './plan-client.ts';
import { type HttpAnswer, type HttpRequest, requestOver } from './http.ts';

const HostsSchema = Type.Array(HostSchema);
const HistorySchema = Type.Array(HistoryPointSchema);
const VmsSchema = Type.Array(VmSchema);
const MigrationsSchema = Type.Array(MigrationSchema);
const ChannelsSchema = Type.Array(ChannelSchema);
const CertificatesSchema = Type.Array(CertificateSchema);
const RenewalsSchema = Type.Array(RenewalSchema);
const GrantsSchema = Type.Array(GrantSchema);
const AuditSchema = Type.Array(AuditEntrySchema);

/** A little more than the controller gives itself, so that its own reason arrives. */
const deadlinesMs = { prove: 160_000, tune: 250_000, reset: 40_000, renew: 130_000, checkVm: 65_000, migrate: 95_000 } as const;

/** What is left out does not restrict. Times are Unix milliseconds; `until` itself does not belong to it. */
export interface MigrationQuery {
  /** `ended`: closed, with a receipt. */
  readonly state?: 'open' | 'ended';
  /** Name or UUID. */
  readonly vm?: string;
  /** Source or destination. */
  readonly host?: string;
  readonly outcome?: 'moved' | 'stayed' | 'unclear';
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
}

/** The controller's REST API. Every answer is checked; every refusal is a CliError with the controller's own code. */
export class ControllerClient {
  readonly #socketPath: string;
  readonly #signal: AbortSignal;
  /** Rules, cordons and drains. */
  readonly placement: PlacementClient;
  /** The life of plans. */
  readonly plans: PlanClient;

  constructor(socketPath: string, signal: AbortSignal) {
    this.#socketPath = socketPath;
    this.#signal = signal;
    this.placement = new PlacementClient(
      (path, schema) => this.#get(path, schema),
      (method, path, body, schema) => this.#send(method, path, body, schema),
    );
    this.plans = new PlanClient(
      (path, schema) => this.#get(path, schema),
      (method, path, body, schema, deadlineMs) => this.#send(method, path, body, schema, deadlineMs),
    );
  }

  /** The same with another signal: to ask for one thing more after an interrupt. */
  withSignal(signal: AbortSignal): ControllerClient {
    return new ControllerClient(this.#socketPath, signal);
  }

  status() {
    return this.#get('/v1/status', StatusSchema);
  }

  hosts() {
    return this.#get('/v1/hosts', HostsSchema);
  }

  host(hostId: string) {
    return this.#get(`/v1/hosts/${encodeURIComponent(hostId)}`, HostSchema);
  }

  history(hostId: string, sinceMs: number, limit: number) {
    return this.#get(`/v1/hosts/${encodeURIComponent(hostId)}/history?sinceMs=${sinceMs}&limit=${limit}`, HistorySchema);
  }

  vms() {
    return this.#get('/v1/vms', VmsSchema);
  }

  vm(reference: string) {
    return this.#get(`/v1/vms/${encodeURIComponent(reference)}`, VmSchema);
  }

  vmSettings(reference: string) {
    return this.#get(`/v1/vms/${encodeURIComponent(reference)}/settings`, VmSettingsSchema);
  }

  setVm(reference: string, body: VmSettingsBody) {
    return this.#send('PUT', `/v1/vms/${encodeURIComponent(reference)}/settings`, body, VmSettingsSchema);
  }

  checkVm(reference: string, toHostId: string | null) {
    const query = toHostId === null ? '' : `?${new URLSearchParams({ to: toHostId }).toString()}`;
    return this.#call(
      { method: 'GET', path: `/v1/vms/${encodeURIComponent(reference)}/check${query}`, deadlineMs: deadlinesMs.checkVm },
      VmCheckSchema,
    );
  }

  snapshot() {
    return this.#get('/v1/snapshot', SnapshotFileSchema);
  }

  balance() {
    return this.#get('/v1/balance', BalanceSchema);
  }

  latestPlan() {
    return this.#get('/v1/plan', PlanSchema);
  }

  plan(planId: string) {
    return this.#get(`/v1/plans/${encodeURIComponent(planId)}`, PlanSchema);
  }

  makePlan() {
    return this.#send('POST', '/v1/plans', undefined, PlanSchema);
  }

  migrate(body: MigrateBody) {
    return this.#send('POST', '/v1/migrations', { ...body, dryRun: false }, MigrationSchema, deadlinesMs.migrate);
  }

  checkMigrate(body: MigrateBody) {
    return this.#send('POST', '/v1/migrations', { ...body, dryRun: true }, MigrateCheckSchema, deadlinesMs.migrate);
  }

  migrations(query: MigrationQuery) {
    const { state, ...others } = query;
    const open = state === undefined ? {} : { open: state === 'open' };
    const given = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...open, ...others })) given.set(name, String(value));
    return this.#get(`/v1/migrations?${given.toString()}`, MigrationsSchema);
  }

  predictionErrors() {
    return this.#get('/v1/prediction-errors', PredictionErrorsSchema);
  }

  migration(migrationId: string) {
    return this.#get(`/v1/migrations/${encodeURIComponent(migrationId)}`, MigrationSchema);
  }

  abortMigration(migrationId: string) {
    return this.#send('POST', `/v1/migrations/${encodeURIComponent(migrationId)}/abort`, undefined, MigrationSchema);
  }

  receipt(migrationId: string) {
    return this.#get(`/v1/receipts/${encodeURIComponent(migrationId)}`, ReceiptSchema);
  }

  createToken(hostId: string, lifetimeMs: number) {
    return this.#send('POST', '/v1/tokens', { hostId, lifetimeMs }, TokenSchema);
  }

  setMode(mode: string) {
    return this.#send('PUT', '/v1/mode', { mode }, StatusSchema);
  }

  channels() {
    return this.#get('/v1/channels', ChannelsSchema);
  }

  channel(hostA: string, hostB: string) {
    return this.#get(pairPath(hostA, hostB), ChannelSchema);
  }

  proveChannel(from: string, to: string, body: ProveBody) {
    return this.#send('POST', `${pairPath(from, to)}/prove`, body, ProveSchema, deadlinesMs.prove);
  }

  tuneChannel(from: string, to: string, body: TuneBody) {
    return this.#send('POST', `${pairPath(from, to)}/tune`, body, TuneSchema, deadlinesMs.tune);
  }

  resetChannel(hostA: string, hostB: string) {
    return this.#send('POST', `${pairPath(hostA, hostB)}/reset`, undefined, ResetSchema, deadlinesMs.reset);
  }

  certificates(hostId: string) {
    return this.#get(`/v1/hosts/${encodeURIComponent(hostId)}/certificates`, CertificatesSchema);
  }

  renewCertificates(hostId: string | null) {
    return this.#send('POST', '/v1/certificates/renew', hostId === null ? {} : { hostId }, RenewalsSchema, deadlinesMs.renew);
  }

  revokeHost(hostId: string, reason: string) {
    return this.#send('POST', `/v1/hosts/${encodeURIComponent(hostId)}/revoke`, { reason }, RevocationSchema);
  }

  grants(limit: number) {
    return this.#get(`/v1/grants?limit=${limit}`, GrantsSchema);
  }

  requestGrant(body: GrantBody) {
    return this.#send('POST', '/v1/grants', body, GrantSchema);
  }

  changeGrant(grantId: string, verb: 'approve' | 'withdraw') {
    return this.#send('POST', `/v1/grants/${encodeURIComponent(grantId)}/${verb}`, undefined, GrantSchema);
  }

  audit(limit: number) {
    return this.#get(`/v1/audit?limit=${limit}`, AuditSchema);
  }

  #get<Schema extends TSchema>(path: string, schema: Schema): Promise<Static<Schema>> {
    return this.#call({ method: 'GET', path }, schema);
  }

  #send<Schema extends TSchema>(
    method: 'POST' | 'PUT' | 'DELETE',
    path: string,
    body: unknown,
    schema: Schema,
    deadlineMs?: number,
  ): Promise<Static<Schema>> {
    return this.#call(deadlineMs === undefined ? { method, path, body } : { method, path, body, deadlineMs }, schema);
  }

  async #call<Schema extends TSchema>(request: HttpRequest, schema: Schema): Promise<Static<Schema>> {
    const answer = await requestOver(this.#socketPath, { ...request, headers: { 'x-plimsoll-user': userName() } }, this.#signal);
    if (answer.status >= 200 && answer.status < 300) return checked(schema, jsonOf(answer, request), request);
    const refusal = checked(ErrorSchema, jsonOf(answer, request), request);
    throw new CliError(refusal.code, refusal.message);
  }
}

function pairPath(hostA: string, hostB: string): string {
  return `/v1/channels/${encodeURIComponent(hostA)}/${encodeURIComponent(hostB)}`;
}

function jsonOf(answer: HttpAnswer, request: HttpRequest): unknown {
  try {
    return JSON.parse(answer.text);
  } catch (cause) {
    throw invalidAnswer(request, `status ${answer.status} without JSON`, cause);
  }
}

function checked<Schema extends TSchema>(schema: Schema, value: unknown, request: HttpRequest): Static<Schema> {
  const [first] = violations(schema, value);
  if (first) throw invalidAnswer(request, `${first.path || '(top)'} ${first.message}`);
  return value as Static<Schema>;
}

function invalidAnswer(request: HttpRequest, fault: string, cause?: unknown): CliError {
  return new CliError(
    'controller-answer-invalid',
    `${request.method} ${request.path} was not answered as this version expects (${fault}): use the plimsoll that belongs to the controller`,
    { cause },
  );
}

/** Who asks, for the record: the person behind sudo, else the login name. */
function userName(): string {
  const name = process.env['SUDO_USER'] ?? loginName();
  return name.replaceAll(/[^ -~]/g, '?').slice(0, 256) || 'local';
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
