import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import type { Progress } from '#core/model/migration.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { VmId, VmView } from '#core/model/vm.ts';
import type { ImageDigest, ImageOffer, KeptImages } from '#core/transports.ts';

import { ageFailure, seal } from './age.ts';
import { readNote, removeNote, writeNote } from './durable-note.ts';
import { sendImage } from './image-line.ts';

/** What the hypervisor of one host does with images. */
export interface VmImages {
  save(vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<SavedVm>;
  isSaved(vmId: VmId, signal: AbortSignal): Promise<boolean>;
  startSaved(vmId: VmId, signal: AbortSignal): Promise<void>;
  keepImage(vmId: VmId, signal: AbortSignal): Promise<SavedVm>;
  keptPath(vmId: VmId): string;
  release(vmId: VmId, signal: AbortSignal): Promise<void>;
  restore(vmId: VmId, path: string, definitionXml: string | null, signal: AbortSignal): Promise<void>;
  define(vmId: VmId, definitionXml: string, signal: AbortSignal): Promise<void>;
}

export interface SavedVm {
  readonly vmName: string;
  readonly path: string;
  readonly definitionXml: string;
}

export interface ImageHypervisor {
  readonly images: VmImages;
  findVm(vmId: VmId, signal: AbortSignal): Promise<VmView | null>;
}

export interface ImageSourceOptions {
  readonly hypervisor: ImageHypervisor;
  /** For what must be known after a crash of this process; root only. */
  readonly stateFolder: string;
  readonly silenceMsMax: number;
}

/** What a crash must not make us forget; the rest is read from the hypervisor. */
interface Note {
  /** Null until the VM is about to be given away. */
  readonly definitionXml: string | null;
  /** The destination may have been told to start it. */
  readonly given: boolean;
}

const emptyNote: Note = { definitionXml: null, given: false };

const vmIdPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/u;

/** The source's end on a real host. Construct, then `recover` once before any move. */
export class LocalImageSource implements KeptImages {
  readonly #options: ImageSourceOptions;
  readonly #paths = new Map<VmId, string>();

  constructor(options: ImageSourceOptions) {
    this.#options = options;
  }

  /**
   * After a crash: starts what was saved and not given away; no destination was ever told to start that. Answers the VMs that
   * were given away and whose end is not known here: `takeBack` or `forget` them when the destination has been asked.
   */
  async recover(signal: AbortSignal): Promise<readonly VmId[]> {
    const unknown: VmId[] = [];
    for (const [vmId, standing] of await this.standings()) {
      if (standing === 'given') unknown.push(vmId);
      else await this.takeBack(vmId, signal);
    }
    return unknown;
  }

  async standings(): Promise<ReadonlyMap<VmId, 'kept' | 'given'>> {
    const found = new Map<VmId, 'kept' | 'given'>();
    for (const vmId of await this.#noted()) found.set(vmId, (await this.#readNote(vmId)).given ? 'given' : 'kept');
    return found;
  }

  async save(vmId: VmId, onProgress: (progress: Progress) => void, signal: AbortSignal): Promise<void> {
    await this.#note(vmId, emptyNote);
    const { path } = await this.#options.hypervisor.images.save(vmId, onProgress, signal);
    this.#paths.set(vmId, path);
  }

  async send(vmId: VmId, offer: ImageOffer, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<ImageDigest> {
    const path = this.#paths.get(vmId);
    if (path === undefined) throw new PlimsollError('internal', `there is no saved image of VM ${vmId} to send`);
    const age = seal(path, offer.recipient);
    try {
      const sent = await sendImage({ ...offer, silenceMsMax: this.#options.silenceMsMax }, age.stdout, onBytes, signal);
      const end = await age.ended;
      if (end.exitCode !== 0) throw ageFailure('seal the image', end);
      return sent;
    } finally {
      await age.stop();
    }
  }

  async giveAway(vmId: VmId, signal: AbortSignal): Promise<void> {
    const { images } = this.#options.hypervisor;
    const { definitionXml } = await images.keepImage(vmId, signal);
    await this.#note(vmId, { definitionXml, given: false });
    await images.release(vmId, signal);
    await this.#note(vmId, { definitionXml, given: true });
  }

  async takeBack(vmId: VmId, signal: AbortSignal): Promise<void> {
    const { hypervisor } = this.#options;
    const { definitionXml } = await this.#readNote(vmId);
    const view = await hypervisor.findVm(vmId, signal);
    if (view?.jobActive === true) throw new PlimsollError('vm-busy', `libvirt still works on VM ${view.name}; wait until it has ended`);
    if (view === null) {
      if (definitionXml === null) throw new PlimsollError('vm-unknown', `VM ${vmId} is not on this host and was not given away by it`);
      await hypervisor.images.restore(vmId, hypervisor.images.keptPath(vmId), definitionXml, signal);
    } else if (view.state === 'shut-off') {
      // Without image it had stopped before it was saved, or somebody used the image up: a start would be a boot.
      if (await hypervisor.images.isSaved(vmId, signal)) await hypervisor.images.startSaved(vmId, signal);
    } else if (definitionXml !== null) {
      // Somebody was quicker than `giveAway`: it runs, and may have lost its definition.
      await hypervisor.images.define(vmId, definitionXml, signal);
    }
    await this.forget(vmId);
  }

  async forget(vmId: VmId): Promise<void> {
    await rm(this.#options.hypervisor.images.keptPath(vmId), { force: true });
    await removeNote(this.#notePath(vmId));
    this.#paths.delete(vmId);
  }

  async #noted(): Promise<readonly VmId[]> {
    await mkdir(this.#options.stateFolder, { recursive: true, mode: 0o700 });
    const names = await readdir(this.#options.stateFolder);
    return names.map((name) => name.replace(/\.json$/u, '')).filter((name) => vmIdPattern.test(name));
  }

  async #note(vmId: VmId, note: Note): Promise<void> {
    await writeNote(this.#notePath(vmId), note);
  }

  async #readNote(vmId: VmId): Promise<Note> {
    const note = await readNote(this.#notePath(vmId));
    if (typeof note !== 'object' || note === null || !('definitionXml' in note) || !('given' in note)) return emptyNote;
    return { definitionXml: typeof note.definitionXml === 'string' ? note.definitionXml : null, given: note.given === true };
  }

  #notePath(vmId: VmId): string {
    if (!vmIdPattern.test(vmId)) throw new PlimsollError('input-invalid', `${JSON.stringify(vmId)} is not the id of a VM`);
    return join(this.#options.stateFolder, `${vmId}.json`);
  }
}
