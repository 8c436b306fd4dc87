/** What must hold of the two hosts before anything is touched. Reads, changes nothing. */
import { memoryFault, profileFault } from '#core/channel/profiles.ts';
import { needsGrant } from '#core/channel/weaker.ts';
import type { IpsecBackend } from '#core/model/channel.ts';
import type { HostId } from '#core/model/host.ts';
import type { MigrationRequest } from '#core/model/migration.ts';
import type { Policy } from '#core/model/policy.ts';
import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { VmView } from '#core/model/vm.ts';
import type { AgentLines } from './agent-lines.ts';
import type { ClockSkews } from './clock-skews.ts';
import type { Grants } from './grants.ts';
import type { Membership } from './membership.ts';
import type { CertificateSettings, ControllerParts } from './parts.ts';

const quickMs = 10_000;
const certificateLifeMsMin = 5 * 60_000;
/** Where certificates live for less than half an hour, five minutes would be too much to ask for. */
const certificateLifeShareMin = 1 / 6;

export interface PreflightRooms {
  readonly parts: ControllerParts;
  readonly lines: AgentLines;
  readonly policy: Policy;
  readonly certificates: CertificateSettings;
  readonly membership: Membership;
  readonly skews: ClockSkews;
  readonly grants: Grants;
}

export class Preflight {
  readonly #rooms: PreflightRooms;
  readonly #signal: AbortSignal;

  constructor(rooms: PreflightRooms, signal: AbortSignal) {
    this.#rooms = rooms;
    this.#signal = signal;
  }

  /** All checks of a migration. Throws the refusal; the VM as its source knows it. */
  async check(request: MigrationRequest): Promise<VmView> {
    const { fromHostId, toHostId, vmId } = request;
    for (const hostId of [fromHostId, toHostId]) this.mustBeFit(hostId);
    await this.#checkChannel(request);
    const { lines } = this.#rooms;
    const { vm } = await lines.command(fromHostId, 'vm.find', { vmId }, quickMs, this.#signal);
    const running = mustRun(vm, request);
    const args = { vmId, memoryBytes: running.memoryBytes };
    const { refusal } = await lines.command(toHostId, 'vm.check-destination', args, quickMs, this.#signal);
    if (refusal !== null) throw new PlimsollError(refusal.code, `${toHostId}: ${refusal.message}`);
    return running;
  }

  /** Membership, certificate and clock of one host. Throws `host-revoked`, `host-down`, `certificate-expired`, `clock-skew`. */
  mustBeFit(hostId: HostId): void {
    const { membership, lines, skews, policy } = this.#rooms;
    membership.mustBeMember(hostId);
    const facts = lines.facts(hostId);
    if (!facts) throw new PlimsollError('host-down', `host ${hostId} is not connected: start its agent (or wait, it dials by itself)`);
    throwIf(
      certificateFault(hostId, facts.certificate.notAfterMs - this.#rooms.parts.clock.nowMs(), this.#rooms.certificates.leafLifetimeMs),
    );
    throwIf(skewFault(hostId, skews.of(hostId), policy.channel.clockSkewMsMax));
  }

  async #checkChannel({ channelKind, grantId, fromHostId, toHostId }: MigrationRequest): Promise<void> {
    if (needsGrant(channelKind)) {
      await this.#rooms.grants.permit(grantId, fromHostId, toHostId);
      return;
    }
    const { profile } = this.#rooms.policy.channel;
    throwIf(memoryFault(profile));
    for (const hostId of [fromHostId, toHostId]) {
      const { backend } = await this.#rooms.lines.command(hostId, 'channel.list', {}, quickMs, this.#signal);
      if (backend === null) {
        throw new PlimsollError('ipsec-unavailable', `${hostId}: its IPsec daemon is away, no channel can be made: start charon there`);
      }
      const fault = profileFault(profile, backendOf(backend));
      if (fault !== null) throw new PlimsollError(fault.code, `${hostId}: ${fault.message}`);
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

function throwIf(refusal: Refusal | null): void {
  if (refusal !== null) throw new PlimsollError(refusal.code, refusal.message);
}

function mustRun(vm: VmView | null, request: MigrationRequest): VmView {
  if (vm === null) throw new PlimsollError('vm-unknown', `${request.fromHostId} has no VM ${request.vmName}: see 'plimsoll vm list'`);
  if (vm.jobActive) throw new PlimsollError('vm-busy', `the hypervisor is at work on ${request.vmName} already: wait or abort that job`);
  if (vm.state !== 'running')
    throw new PlimsollError('vm-not-running', `${request.vmName} is ${vm.state}, only a running VM can move live: start it first`);
  return vm;
}
