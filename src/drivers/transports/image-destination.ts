import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { PlimsollError, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';

import { ageFailure, makeAgeKeys, unseal } from './age.ts';
import { receiveImage, type ImageDigest, type Receiving } from './image-line.ts';
import type { ImageHypervisor } from './image-source.ts';
import type { ImageDestination, ImageOffer, RestoreVerdict } from './sealed-image.ts';

export interface ImageDestinationOptions {
  readonly hypervisor: ImageHypervisor;
  /** Holds opened images, in plain text: root only, and better in memory or on an encrypted disk. Emptied by `sweep`. */
  readonly folder: string;
  /** Where senders reach us. */
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly bytesMax: number;
  readonly arrivalMsMax: number;
  readonly silenceMsMax: number;
}

interface Incoming {
  readonly sealedPath: string;
  readonly path: string;
  readonly identity: string;
  readonly receiving: Receiving;
  opened: boolean;
}

const incomingMax = 2;

/** The destination's end on a real host. The keys are made for one image and are never stored. */
export class LocalImageDestination implements ImageDestination {
  readonly #options: ImageDestinationOptions;
  readonly #incoming = new Map<VmId, Incoming>();

  constructor(options: ImageDestinationOptions) {
    this.#options = options;
  }

  /** Removes what an earlier process has left; its keys are gone, nobody will ask for it. */
  async sweep(): Promise<void> {
    await rm(this.#options.folder, { recursive: true, force: true });
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
  }

  async offer(vmId: VmId, signal: AbortSignal): Promise<ImageOffer> {
    await this.discard(vmId);
    if (this.#incoming.size >= incomingMax)
      throw new PlimsollError('migration-limit', 'this host already receives images; try again later');
    if ((await this.#options.hypervisor.findVm(vmId, signal)) !== null) {
      throw new PlimsollError('destination-has-vm', 'the destination already has this VM; remove it there first');
    }
    await mkdir(this.#options.folder, { recursive: true, mode: 0o700 });
    const keys = await makeAgeKeys();
    const sealedPath = join(this.#options.folder, `${vmId}.age`);
    const path = join(this.#options.folder, `${vmId}.image`);
    for (const old of [sealedPath, path]) await rm(old, { force: true });
    const receiving = await receiveImage(this.#options, createWriteStream(sealedPath, { mode: 0o600 }));
    this.#incoming.set(vmId, { sealedPath, path, identity: keys.identity, receiving, opened: false });
    return { address: this.#options.address, port: receiving.port, token: receiving.token, recipient: keys.recipient };
  }

  /** Nothing of an image is decrypted before it is known to be the one that was sent. */
  async open(vmId: VmId, sent: ImageDigest): Promise<void> {
    const incoming = this.#expected(vmId);
    const received = await incoming.receiving.done;
    if (received.sha256 !== sent.sha256 || received.bytes !== sent.bytes) {
      throw new PlimsollError('channel-failed', 'the image that arrived is not the one that was sent; it will not be started');
    }
    incoming.receiving.close();
    const end = await unseal(incoming.sealedPath, incoming.path, incoming.identity).ended;
    if (end.exitCode !== 0) throw ageFailure('open the image', end);
    await rm(incoming.sealedPath, { force: true });
    incoming.opened = true;
  }

  /** May be asked again after a lost answer, also by another process: it then tells how it ended. */
  async restore(vmId: VmId, signal: AbortSignal): Promise<RestoreVerdict> {
    const { hypervisor } = this.#options;
    const incoming = this.#incoming.get(vmId);
    try {
      if (incoming?.opened !== true) throw notExpected(vmId);
      await hypervisor.images.restore(vmId, incoming.path, null, signal);
    } catch (error) {
      // What counts is whether it runs here. libvirt lists a VM from the moment on at which it has opened the image.
      const view = await hypervisor.findVm(vmId, signal);
      if (view !== null && view.state !== 'running') throw error;
      await this.discard(vmId);
      return view === null ? { kind: 'refused', refusal: refusalOf(error, 'hypervisor-failed') } : { kind: 'running' };
    }
    await this.discard(vmId);
    return { kind: 'running' };
  }

  async discard(vmId: VmId): Promise<void> {
    const incoming = this.#incoming.get(vmId);
    if (incoming === undefined) return;
    this.#incoming.delete(vmId);
    incoming.receiving.close();
    for (const path of [incoming.sealedPath, incoming.path]) await rm(path, { force: true });
  }

  #expected(vmId: VmId): Incoming {
    const incoming = this.#incoming.get(vmId);
    if (incoming === undefined) throw notExpected(vmId);
    return incoming;
  }
}

function notExpected(vmId: VmId): PlimsollError {
  return new PlimsollError('channel-failed', `this host has no opened image of VM ${vmId}; its agent may have been restarted`);
}
