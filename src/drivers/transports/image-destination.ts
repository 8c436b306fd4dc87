import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { PlimsollError, type Refusal, refusalOf } from '#core/model/result.ts';
import type { VmId } from '#core/model/vm.ts';
import type { ImageDigest, ImageOffer, IncomingImages, RestoreVerdict } from '#core/transports.ts';

import { ageFailure, makeAgeKeys, unseal } from './age.ts';
import { readNote, removeNote, writeNote } from './durable-note.ts';
import { receiveImage, type Receiving } from './image-line.ts';
import type { ImageHypervisor } from './image-source.ts';

export interface ImageDestinationOptions {
  readonly hypervisor: ImageHypervisor;
  /**
   * Holds opened images, in plain text: root only, and better on an encrypted disk. `sweep` removes the images; the notes of those
   * that were being restored stay, so a folder that does not survive a restart of the host forgets them with the host's VMs.
   */
  readonly folder: string;
  /** Where senders reach us outside of any channel. */
  readonly address: string;
  /** Where they reach us through IPsec. */
  readonly channelAddresses: readonly string[];
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
  stage: 'offered' | 'opened' | 'restoring';
}

const incomingMax = 2;

/** The destination's end on a real host. The keys are made for one image and are never stored. */
export class LocalImageDestination implements IncomingImages {
  readonly #options: ImageDestinationOptions;
  readonly #incoming = new Map<VmId, Incoming>();

  constructor(options: ImageDestinationOptions) {
    this.#options = options;
  }

  async sweep(): Promise<void> {
    const { folder } = this.#options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) if (!name.endsWith('.json')) await rm(join(folder, name), { recursive: true, force: true });
  }

  async standing(vmId: VmId): Promise<'offered' | 'opened' | 'restoring' | 'begun' | null> {
    const stage = this.#incoming.get(vmId)?.stage ?? null;
    if (stage === 'restoring') return stage;
    return (await readNote(this.#notePath(vmId))) === null ? stage : 'begun';
  }

  async offer(vmId: VmId, signal: AbortSignal, at: string | null = null): Promise<ImageOffer> {
    const address = at ?? this.#options.address;
    if (address !== this.#options.address && !this.#options.channelAddresses.includes(address))
      throw new PlimsollError('channel-failed', `this host does not have the address ${address}: check 'addresses' in its agent.yaml`);
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
    const receiving = await receiveImage({ ...this.#options, address }, createWriteStream(sealedPath, { mode: 0o600 }));
    this.#incoming.set(vmId, { sealedPath, path, identity: keys.identity, receiving, stage: 'offered' });
    return { address, port: receiving.port, token: receiving.token, recipient: keys.recipient };
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
    if (this.#incoming.get(vmId) !== incoming) {
      await rm(incoming.path, { force: true });
      throw notExpected(vmId);
    }
    if (end.exitCode !== 0) throw ageFailure('open the image', end);
    await rm(incoming.sealedPath, { force: true });
    incoming.stage = 'opened';
  }

  /** May be asked again after a lost answer, also by another process: it then tells how it ended, or rejects when nobody knows. */
  async restore(vmId: VmId, signal: AbortSignal): Promise<RestoreVerdict> {
    const incoming = this.#incoming.get(vmId);
    if (incoming?.stage === 'restoring') throw busy(vmId);
    const isOpened = incoming?.stage === 'opened';
    if (incoming !== undefined && isOpened) incoming.stage = 'restoring';
    const isBegun = (await readNote(this.#notePath(vmId))) !== null;
    try {
      // What was begun once may have run, and ended: its memory must not live again.
      if (incoming === undefined || !isOpened || isBegun) throw notExpected(vmId);
      await writeNote(this.#notePath(vmId), { begun: true });
      await this.#options.hypervisor.images.restore(vmId, incoming.path, null, signal);
    } catch (error) {
      return await this.#afterFailure(vmId, { refusal: refusalOf(error, 'hypervisor-failed'), isUnknown: isBegun }, signal);
    } finally {
      if (incoming?.stage === 'restoring') incoming.stage = 'opened';
    }
    await this.#throwAway(vmId);
    return { kind: 'running' };
  }

  /** What counts is whether it runs here. libvirt lists a VM from the moment on at which it has opened the image. */
  async #afterFailure(
    vmId: VmId,
    { refusal, isUnknown }: { readonly refusal: Refusal; readonly isUnknown: boolean },
    signal: AbortSignal,
  ): Promise<RestoreVerdict> {
    const view = await this.#options.hypervisor.findVm(vmId, signal);
    if (view === null ? isUnknown : view.state !== 'running') throw new PlimsollError('truth-unknown', refusal.message);
    await this.#throwAway(vmId);
    return view === null ? { kind: 'refused', refusal } : { kind: 'running' };
  }

  async discard(vmId: VmId): Promise<void> {
    if (this.#incoming.get(vmId)?.stage === 'restoring') throw busy(vmId);
    await this.#throwAway(vmId);
  }

  async #throwAway(vmId: VmId): Promise<void> {
    const incoming = this.#incoming.get(vmId);
    this.#incoming.delete(vmId);
    incoming?.receiving.close();
    for (const path of [incoming?.sealedPath, incoming?.path]) if (path !== undefined) await rm(path, { force: true });
    await removeNote(this.#notePath(vmId));
  }

  #notePath(vmId: VmId): string {
    return join(this.#options.folder, `${vmId}.json`);
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

function busy(vmId: VmId): PlimsollError {
  return new PlimsollError('vm-busy', `this host is starting VM ${vmId} from its image; wait until it has ended`);
}
