/** What an operator asks for, in the controller's own terms: which VM, from where, to where, through what. */
import { chooseTarget } from '#core/planner/choose-target.ts';
import { needsGrant } from '#core/channel/weaker.ts';
import type { HostId } from '#core/model/host.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { SnapshotVm } from '#core/model/snapshot.ts';
import type { VmId } from '#core/model/vm.ts';
import type { MigrateBody } from '#wire/api.ts';
import type { ClusterView, HostView } from './cluster-view.ts';
import type { MigrationWish } from './executor.ts';
import type { Membership } from './membership.ts';
import type { Surveys } from './surveys.ts';

const vmIdPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export class Wishes {
  readonly #view: ClusterView;
  readonly #surveys: Surveys;
  readonly #membership: Membership;

  constructor(view: ClusterView, surveys: Surveys, membership: Membership) {
    this.#view = view;
    this.#surveys = surveys;
    this.#membership = membership;
  }

  /** By name or UUID. Throws `vm-unknown` or `vm-ambiguous`. */
  findVm(reference: string): SnapshotVm {
    const found = this.#view.vms().filter((vm) => vm.vmId === reference || vm.name === reference);
    const [vm] = found;
    if (!vm) throw new PlimsollError('vm-unknown', `there is no VM ${reference}: see 'plimsoll vm list'`);
    if (found.length > 1)
      throw new PlimsollError('vm-ambiguous', `${found.length} VMs are called ${reference}: give the UUID, see 'plimsoll vm list'`);
    return vm;
  }

  /** A UUID may be of a VM that is no more; a name is of one that there is. Throws `vm-unknown` or `vm-ambiguous`. */
  vmIdOf(reference: string): VmId {
    return vmIdPattern.test(reference) ? reference : this.findVm(reference).vmId;
  }

  /** A migration that nobody wants yet, to be looked at for any destination. */
  look({ vmId, name, hostId }: SnapshotVm): MigrationWish {
    const nobody = { askedBy: 'check', approvedBy: null, grantId: null, planId: null, cause: 'operator', channelKind: 'ipsec' } as const;
    return { vmId, vmName: name, fromHostId: hostId, toHostId: hostId, wish: { method: 'auto' }, ...nobody };
  }

  /** Throws `host-unknown`. */
  findHost(hostId: HostId): HostView {
    const host = this.#view.host(hostId);
    if (!host) throw new PlimsollError('host-unknown', `there is no host ${hostId}: see 'plimsoll host list'`);
    return host;
  }

  /** A migration that nobody has approved yet, and why it goes where it goes. */
  migration(body: MigrateBody, askedBy: string): { readonly wish: MigrationWish; readonly reason: string } {
    const vm = this.findVm(body.vm);
    const { toHostId, reason } = this.#destination(vm, body.toHostId);
    if (vm.state !== 'running') {
      throw new PlimsollError('vm-not-running', `${vm.name} is ${vm.state}, only a running VM can move live: start it first`);
    }
    const channelKind = body.channelKind ?? 'ipsec';
    if (body.grantId !== undefined && !needsGrant(channelKind))
      throw new PlimsollError('input-invalid', `a channel of kind ${channelKind} needs no grant: leave the grant out`);
    const asked = { cause: 'operator', askedBy, approvedBy: null, channelKind, grantId: body.grantId ?? null, planId: null } as const;
    const wish = body.wish ?? { method: 'auto' };
    return { wish: { vmId: vm.vmId, vmName: vm.name, fromHostId: vm.hostId, toHostId, wish, ...asked }, reason };
  }

  #destination(vm: SnapshotVm, wished: HostId | undefined): { readonly toHostId: HostId; readonly reason: string } {
    if (wished === undefined) {
      const target = chooseTarget(this.#surveys.present(), vm);
      if (!target.ok) {
        if (target.forbidden !== null)
          throw new PlimsollError('rule-forbids', `${target.forbidden.reason}, and no other host has room: see 'plimsoll host list'`);
        throw new PlimsollError('no-memory', `no other host has room for ${vm.name}: see 'plimsoll host list'`);
      }
      return { toHostId: target.hostId, reason: target.reason };
    }
    const host = this.findHost(wished);
    if (wished === vm.hostId) throw new PlimsollError('destination-same-as-source', `${vm.name} is on ${wished} already`);
    // That it is not connected is no news of a revoked host.
    this.#membership.mustBeMember(wished);
    if (!host.connected)
      throw new PlimsollError('host-down', `host ${wished} is not connected: start its agent (or wait, it dials by itself)`);
    return { toHostId: wished, reason: 'asked for by name' };
  }
}
