import type { VmId } from '#core/model/vm.ts';
import type { SimHost } from './host.ts';

/** What may have changed since somebody last looked. `all`: anything, as when the network or a daemon did. */
export interface Changed {
  readonly all: boolean;
  /** With each of them all VMs that have a copy there. */
  readonly hosts: ReadonlySet<SimHost>;
  readonly vmIds: ReadonlySet<VmId>;
}

/** Collects it, so that whoever watches a large cluster need not look at every VM after every event. */
export class Changes {
  #all = true;
  #hosts = new Set<SimHost>();
  #vmIds = new Set<VmId>();

  /** Nobody says what it was. */
  addAll(): void {
    this.#all = true;
  }

  addHost(host: SimHost): void {
    this.#hosts.add(host);
  }

  addVm(vmId: VmId): void {
    this.#vmIds.add(vmId);
  }

  /** Everything up to now; from here on it is collected anew. */
  take(): Changed {
    const taken = { all: this.#all, hosts: this.#hosts, vmIds: this.#vmIds };
    [this.#all, this.#hosts, this.#vmIds] = [false, new Set(), new Set()];
    return taken;
  }
}
