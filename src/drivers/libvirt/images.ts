import { chmod, link, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';

import type { LibvirtClient, LongWait } from './client.ts';
import { LibvirtError } from './errors.ts';
import { undefineFlag, xmlFlag } from './flags.ts';
import type { Link } from './link.ts';
import { MigrationRun, type MigrationRunOptions } from './migration-run.ts';
import { toPlimsollError } from './refusals.ts';
import type { DomainRef } from './values.ts';

export interface LibvirtImagesOptions {
  /** Where libvirt keeps managed saved images. */
  readonly saveFolder: string;
  readonly run: MigrationRunOptions;
}

/** A VM as a file: everything that is needed to start it again, here or elsewhere. */
export interface VmImage {
  readonly vmName: string;
  readonly path: string;
  readonly definitionXml: string;
}

/**
 * Stopped VMs as images on this host's disk. The image is libvirt's managed one: until it is released, every start of the VM here,
 * also an operator's or the one at boot, is a start from the image, so that its memory cannot be lost or lived twice.
 */
export class LibvirtImages {
  readonly #links: { readonly work: Link; readonly watch: Link };
  readonly #options: LibvirtImagesOptions;

  constructor(links: { readonly work: Link; readonly watch: Link }, options: LibvirtImagesOptions) {
    this.#links = links;
    this.#options = options;
  }

  /**
   * Saves a running VM and stops it. Aborting the signal aborts the job and rejects with `aborted`; the VM then still runs here.
   * Rejects with `vm-not-running`, and with `hypervisor-failed` for a VM without definition, which libvirt cannot keep.
   */
  async save(vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<VmImage> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      const domain = await work.lookupByUuid(vmId, { signal });
      if (domain.id < 0) throw new PlimsollError('vm-not-running', `VM ${domain.name} is not running on this host; start it first`);
      if (!(await work.isPersistent(domain, { signal }))) {
        throw new PlimsollError('hypervisor-failed', `VM ${domain.name} has no definition on this host to come back to; define it first`);
      }
      const call = async (client: LibvirtClient, wait: LongWait): Promise<void> => client.managedSave(domain, wait);
      const watch = async (wait: AbortSignal): Promise<LibvirtClient> => this.#links.watch.client(wait);
      await new MigrationRun({ work, watch }, { domain, call }, this.#options.run).carryOut(onProgress, signal);
      return { vmName: domain.name, path: this.#managedPath(domain), definitionXml: await definitionOf(work, domain, signal) };
    });
  }

  /** Whether this host would start the VM from its saved image. */
  async isSaved(vmId: VmId, signal: AbortSignal): Promise<boolean> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      const domain = await work.lookupByUuid(vmId, { signal });
      return domain.id < 0 && work.hasManagedSaveImage(domain, { signal });
    });
  }

  /** Starts a saved VM here, from its image and never without it. */
  async startSaved(vmId: VmId, signal: AbortSignal): Promise<void> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      const domain = await this.#saved(work, vmId, signal);
      await work.createWithFlags(domain, 0, { signal, deadlineMs: this.#options.run.migrationDeadlineMs });
    });
  }

  /** Gives the image a second name, which stays when libvirt forgets the VM. */
  async keepImage(vmId: VmId, signal: AbortSignal): Promise<VmImage> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      const domain = await this.#saved(work, vmId, signal);
      const path = this.keptPath(vmId);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await rm(path, { force: true });
      await link(this.#managedPath(domain), path);
      await chmod(path, 0o600);
      return { vmName: domain.name, path, definitionXml: await definitionOf(work, domain, signal) };
    });
  }

  /** Below libvirt's own folder: a second name of a file must be on the same file system. */
  keptPath(vmId: VmId): string {
    return join(this.#options.saveFolder, 'plimsoll', `${vmId}.image`);
  }

  /** Makes libvirt on this host forget a saved VM; nobody can start it here any more. Rejects with `vm-busy` when somebody just did. */
  async release(vmId: VmId, signal: AbortSignal): Promise<void> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      const domain = await this.#saved(work, vmId, signal);
      await work.undefine(domain, undefineFlag.managedSave | undefineFlag.keepNvram, { signal });
      if (await isGone(work, vmId, signal)) return;
      throw new PlimsollError('vm-busy', `VM ${domain.name} was started on this host while it was being moved; it stays here`);
    });
  }

  /** Starts a VM from an image file and defines it; without `definitionXml` as the image says. */
  async restore(vmId: VmId, path: string, definitionXml: string | null, signal: AbortSignal): Promise<void> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      await work.restore(path, { signal, deadlineMs: this.#options.run.migrationDeadlineMs });
      const domain = await work.lookupByUuid(vmId, { signal });
      await work.defineXml(definitionXml ?? (await definitionOf(work, domain, signal)), 0, { signal });
    });
  }

  /** Defines a VM that runs here, when it lost its definition on the way out. */
  async define(vmId: VmId, definitionXml: string, signal: AbortSignal): Promise<void> {
    return translated(async () => {
      const work = await this.#links.work.client(signal);
      const domain = await work.lookupByUuid(vmId, { signal });
      if (!(await work.isPersistent(domain, { signal }))) await work.defineXml(definitionXml, 0, { signal });
    });
  }

  async #saved(client: LibvirtClient, vmId: VmId, signal: AbortSignal): Promise<DomainRef> {
    const domain = await client.lookupByUuid(vmId, { signal });
    if (domain.id >= 0) throw new PlimsollError('vm-busy', `VM ${domain.name} runs on this host: somebody started it from its image`);
    if (await client.hasManagedSaveImage(domain, { signal })) return domain;
    const advice = 'its image was used or removed by somebody else; start the VM by hand if it should run here';
    throw new PlimsollError('vm-not-running', `VM ${domain.name} has no saved image on this host: ${advice}`);
  }

  #managedPath(domain: DomainRef): string {
    return join(this.#options.saveFolder, `${domain.name}.save`);
  }
}

/** The definition with its secrets: without them a VM with, say, a console password would come back without one. */
async function definitionOf(client: LibvirtClient, domain: DomainRef, signal: AbortSignal): Promise<string> {
  return client.xmlDesc(domain, xmlFlag.inactive | xmlFlag.secure, { signal });
}

async function isGone(client: LibvirtClient, vmId: VmId, signal: AbortSignal): Promise<boolean> {
  try {
    await client.lookupByUuid(vmId, { signal });
    return false;
  } catch (error) {
    if (error instanceof LibvirtError && error.code === 'no-such-vm') return true;
    throw error;
  }
}

async function translated<T>(use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw toPlimsollError(error);
  }
}
