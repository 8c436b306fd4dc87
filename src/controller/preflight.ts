/** What must hold of the two hosts before anything is touched. Reads, changes nothing. */
import { memoryFault, profileFault } from '#core/channel/profiles.ts';
import { needsGrant } from '#core/channel/weaker.ts';
import { firstRefusal, judgePreflight, type Fact } from '#core/checks/preflight.ts';
import type { PreflightInput } from '#core/checks/preflight-input.ts';
import { optionsFor } from '#core/migration/choice-options.ts';
import type { Choice } from '#core/migration/choice.ts';
import type { IpsecBackend } from '#core/model/channel.ts';
import type { CheckRow, HostOffer, VmDefinition } from '#core/model/definition.ts';
import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, type Refusal, refusalOf } from '#core/model/result.ts';
import type { Bytes } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';
import { coolDownEndsAtMs } from '#core/planner/cool-down.ts';
import type { CommandArgs, CommandName, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ClockSkews } from './clock-skews.ts';
import type { Grants } from './grants.ts';
import { inParallel } from './in-parallel.ts';
import type { Membership } from './membership.ts';
import type { CertificateSettings, ControllerParts } from './parts.ts';
import type { RulesAgainst } from './surveys.ts';

const quickMs = 10_000;
const certificateLifeMsMin = 5 * 60_000;
/** Where certificates live for less than half an hour, five minutes would be too much to ask for. */
const certificateLifeShareMin = 1 / 6;
/** They are renewed with a third of their life left, also during a migration: with less than this left, that has failed. */
const overdueLifeShare = 1 / 4;
/** Each asks the VM's own host something too, whose line takes 64 commands at a time. */
const hostsAtOnceMax = 16;

const notLookedAt: Fact = 'not-looked-at';
/** Here only what the hypervisor can do is asked. */
const anyStreams = { max: 64, reason: 'nothing limits them' };

export interface PreflightRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly policy: Policy;
  readonly certificates: CertificateSettings;
  readonly membership: Membership;
  readonly skews: ClockSkews;
  readonly grants: Grants;
  /** What is under way now. */
  readonly flights: Flights;
  /** One for each rule that the migration would break, and for a cordon of its destination. */
  readonly rulesAgainst: RulesAgainst;
}

export interface Flights {
  migrationOf(vmId: string): string | null;
  /** Memory of VMs on their way to a host, without that of one migration, if any. */
  incomingBytes(hostId: HostId, withoutMigrationId: string | null): Bytes;
}

/** Everything that was found out about one VM and one host. */
export interface Inspection {
  readonly vm: VmView;
  readonly definition: VmDefinition | null;
  /** What the row was judged from. */
  readonly input: PreflightInput;
  readonly row: CheckRow;
  /** Why one of the hosts did not tell what a migration needs to know; null when both did. */
  readonly blind: Refusal | null;
}

/** What the VM's own host says of it. */
interface AtHome {
  readonly vm: VmView;
  readonly described: CommandReply<'vm.describe'> | null;
  readonly offer: HostOffer | null;
  /** What could not be looked at, and why: a migration does not begin in the dark. */
  readonly blind: readonly Refusal[];
}

export class Preflight {
  readonly #rooms: PreflightRooms;
  readonly #signal: AbortSignal;

  constructor(rooms: PreflightRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** All checks of a migration. Throws the first refusal, also `vm-unknown`. */
  async check(request: MigrationRequest): Promise<Inspection> {
    // Said of both before anything is asked of either.
    for (const hostId of [request.fromHostId, request.toHostId]) this.mustBeFit(hostId);
    const inspection = await this.inspect(request);
    throwIf(firstRefusal(inspection.row) ?? inspection.blind);
    return inspection;
  }

  /** The same as a row of findings. Throws only where the VM cannot be looked at: `vm-unknown`, `host-down`, ... */
  async inspect(request: MigrationRequest): Promise<Inspection> {
    return this.#inspection(request, await this.#home(request));
  }

  /** One row for each of these hosts. Throws as `inspect`. */
  async inspectAll(request: MigrationRequest, hostIds: readonly HostId[]): Promise<readonly CheckRow[]> {
    const home = await this.#home(request);
    const inspections = await inParallel(hostIds, hostsAtOnceMax, (toHostId) => this.#inspection({ ...request, toHostId }, home));
    return inspections.map(({ row }) => row);
  }

  /** The row with what was found out since: how the VM would be moved, and what that is expected to take; or why it cannot be. */
  judgeAgain({ input }: Inspection, choice: Choice): CheckRow {
    const leftMs = this.#certificateLeftMs([input.sourceHostId, input.hostId], this.#rooms.parts.clock.nowMs());
    const again = { ...input, certificateLeftMs: leftMs };
    if (!choice.ok) return judgePreflight({ ...again, ...refusedFact(choice.refusal) });
    const { options, prediction } = choice.plan;
    const isOverdue = leftMs !== null && leftMs < this.#rooms.certificates.leafLifetimeMs * overdueLifeShare;
    return judgePreflight({
      ...again,
      predictedTotalMsMax: prediction !== null && isOverdue ? prediction.totalMs.high : null,
      method: options.method,
      methodFault: null,
      downtime: prediction === null ? notLookedAt : null,
    });
  }

  /** Membership, certificate and clock of one host. Throws `host-revoked`, `host-down`, `certificate-expired`, `clock-skew`. */
  mustBeFit(hostId: HostId): void {
    for (const fact of [this.#hostFact(hostId), this.#certificateFact(hostId), this.#clockFact(hostId)]) throwIf(fact);
  }

  async #home({ fromHostId, vmId, vmName }: MigrationRequest): Promise<AtHome> {
    throwIf(this.#hostFact(fromHostId));
    const { vm } = await this.#command(fromHostId, 'vm.find', { vmId });
    if (vm === null) throw new PlimsollError('vm-unknown', `${fromHostId} has no VM ${vmName}: see 'plimsoll vm list'`);
    const blind: Refusal[] = [];
    const described = await this.#try(fromHostId, 'vm.describe', { vmId }, blind);
    const own = described && (await this.#try(fromHostId, 'vm.offer', described));
    return { vm, described, offer: own?.offer ?? null, blind };
  }

  async #inspection(request: MigrationRequest, home: AtHome): Promise<Inspection> {
    const { vm, described, offer: own } = home;
    const blind = [...home.blind];
    const { fromHostId, toHostId, vmId, migrationId, wish } = request;
    const { parts, flights } = this.#rooms;
    const host = this.#hostFact(toHostId);
    const [there, channel, methodFault, coolDownLeftMs] = await Promise.all([
      host === null && described !== null ? this.#try(toHostId, 'vm.offer', described, blind) : null,
      host === null ? this.#channelFact(request) : notLookedAt,
      this.#methodFact(request),
      this.#coolDownLeftMs(vmId),
    ]);
    const otherMigrationId = flights.migrationOf(vmId);
    const input: PreflightInput = {
      vm,
      sourceHostId: fromHostId,
      hostId: toHostId,
      definition: described?.definition ?? null,
      offer: there?.offer ?? null,
      sourceVersions: own,
      host,
      certificate: this.#certificateFact(fromHostId) ?? this.#certificateFact(toHostId),
      certificateLeftMs: this.#certificateLeftMs([fromHostId, toHostId], parts.clock.nowMs()),
      predictedTotalMsMax: null,
      clock: this.#clockFact(fromHostId) ?? this.#clockFact(toHostId),
      channel,
      otherMigrationId: otherMigrationId === migrationId ? null : otherMigrationId,
      method: wish.method,
      methodFault,
      incomingBytes: flights.incomingBytes(toHostId, migrationId),
      rules: this.#rooms.rulesAgainst(request),
      coolDownLeftMs,
      askedBy: request.cause === 'balance' ? 'planner' : 'operator',
      downtime: notLookedAt,
    };
    return { vm, definition: input.definition, input, row: judgePreflight(input), blind: blind[0] ?? null };
  }

  #hostFact(hostId: HostId): Refusal | null {
    const { membership, lines } = this.#rooms;
    try {
      membership.mustBeMember(hostId);
    } catch (error) {
      return refusalOf(error);
    }
    if (lines.facts(hostId)) return null;
    return { code: 'host-down', message: `host ${hostId} is not connected: start its agent (or wait, it dials by itself)` };
  }

  #certificateFact(hostId: HostId): Refusal | null {
    const leftMs = this.#certificateLeftMs([hostId], this.#rooms.parts.clock.nowMs());
    return leftMs === null ? null : certificateFault(hostId, leftMs, this.#rooms.certificates.leafLifetimeMs);
  }

  /** Of the one that ends first. */
  #certificateLeftMs(hostIds: readonly HostId[], nowMs: number): number | null {
    const ends = hostIds.flatMap((hostId) => this.#rooms.lines.facts(hostId)?.certificate.notAfterMs ?? []);
    return ends.length === 0 ? null : Math.min(...ends) - nowMs;
  }

  #clockFact(hostId: HostId): Refusal | null {
    return skewFault(hostId, this.#rooms.skews.of(hostId), this.#rooms.policy.channel.clockSkewMsMax);
  }

  async #channelFact(request: MigrationRequest): Promise<Fact> {
    try {
      await this.#checkChannel(request);
      return null;
    } catch (error) {
      this.#signal.throwIfAborted();
      return refusalOf(error);
    }
  }

  /** Of a method that was asked for by name; what is chosen later is chosen among those that can be had. */
  async #methodFact({ fromHostId, wish }: MigrationRequest): Promise<Fact> {
    if (wish.method === 'auto') return notLookedAt;
    const { policy } = this.#rooms;
    const options = [optionsFor(wish.method, { wish, policy, streams: anyStreams })];
    const found = await this.#try(fromHostId, 'vm.method-faults', { options });
    return found === null ? notLookedAt : (found.faults[0] ?? null);
  }

  async #coolDownLeftMs(vmId: string): Promise<number> {
    const { parts, policy } = this.#rooms;
    const nowMs = parts.clock.nowMs();
    const entries = (await parts.store.ledgerSince(nowMs - 4 * policy.coolDownMsMax)).filter((entry) => entry.vmId === vmId);
    const endsAtMs = coolDownEndsAtMs(
      entries.toSorted((a, b) => a.endedAtMs - b.endedAtMs),
      policy,
    );
    return endsAtMs === null ? 0 : Math.max(0, endsAtMs - nowMs);
  }

  async #checkChannel({ channelKind, grantId, fromHostId, toHostId }: MigrationRequest): Promise<void> {
    if (needsGrant(channelKind)) {
      await this.#rooms.grants.permit(grantId, fromHostId, toHostId);
      return;
    }
    const { profile } = this.#rooms.policy.channel;
    throwIf(memoryFault(profile));
    for (const hostId of [fromHostId, toHostId]) {
      const { backend } = await this.#command(hostId, 'channel.list', {});
      if (backend === null) {
        throw new PlimsollError('ipsec-unavailable', `${hostId}: its IPsec daemon is away, no channel can be made: start charon there`);
      }
      const fault = profileFault(profile, backendOf(backend));
      if (fault !== null) throw new PlimsollError(fault.code, `${hostId}: ${fault.message}`);
    }
  }

  #command<Name extends CommandName>(hostId: HostId, name: Name, args: CommandArgs<Name>): Promise<CommandReply<Name>> {
    return this.#rooms.lines.command(hostId, name, args, quickMs, this.#signal);
  }

  /** Null where it cannot be had: the check that needs it is then `unknown`. */
  async #try<Name extends CommandName>(
    hostId: HostId,
    name: Name,
    args: CommandArgs<Name>,
    blind: Refusal[] = [],
  ): Promise<CommandReply<Name> | null> {
    try {
      return await this.#command(hostId, name, args);
    } catch (error) {
      this.#signal.throwIfAborted();
      const refusal = refusalOf(error);
      blind.push(refusal);
      this.#rooms.parts.log.warn('a check could not be made', { hostId, command: name, ...refusal });
      return null;
    }
  }
}

/** What an agent calls its backend, as the two that there are; a name that is not known here can do what the kernel can. */
function backendOf(name: string): IpsecBackend {
  return name === 'libipsec' ? 'libipsec' : 'kernel';
}

/** Why this certificate is too near its end to begin a migration with; null when it is not. */
export function certificateFault(hostId: HostId, leftMs: number, leafLifetimeMs: number): Refusal | null {
  const neededMs = Math.min(certificateLifeMsMin, leafLifetimeMs * certificateLifeShareMin);
  if (leftMs > neededMs) return null;
  const when = leftMs <= 0 ? 'has ended' : `ends in ${Math.ceil(leftMs / 1000)} s`;
  return { code: 'certificate-expired', message: `the certificate of ${hostId} ${when}: 'plimsoll host renew ${hostId}', then ask again` };
}

/** Why this clock is too far from the controller's; null when it is not, or not known. */
export function skewFault(hostId: HostId, skewMs: number | null, skewMsMax: number): Refusal | null {
  if (skewMs === null || Math.abs(skewMs) <= skewMsMax) return null;
  const way = skewMs > 0 ? 'ahead of' : 'behind';
  const message = `the clock of ${hostId} is ${Math.abs(Math.round(skewMs))} ms ${way} the controller's, the policy allows ${skewMsMax} ms: synchronise it`;
  return { code: 'clock-skew', message };
}

/** Which check a choice that was refused belongs to. */
function refusedFact(refusal: Refusal): Partial<PreflightInput> {
  const isOfDowntime = refusal.code === 'downtime-budget' || refusal.code === 'not-converging';
  return isOfDowntime ? { downtime: refusal } : { methodFault: refusal };
}

function throwIf(refusal: Refusal | null): void {
  if (refusal !== null) throw new PlimsollError(refusal.code, refusal.message);
}
