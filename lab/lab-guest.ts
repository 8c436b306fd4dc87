import { callClient } from './client/connection.ts';
import type { GuestBeats, ProbeReport, Steering } from './client/protocol.ts';
import { readDiskLog } from './disk-log.ts';
import type { DiskLog } from './disk-log.ts';
import { clientSocket, diskPath } from './layout.ts';
import type { Layout } from './layout.ts';
import type { GuestRecord } from './record.ts';

/** A guest of the lab, as the outside client reaches it. */
export class LabGuest {
  readonly name: string;
  readonly uuid: string;
  readonly address: string;
  /** The secret in every page of its working set. */
  readonly marker: string;
  readonly firstHost: string;
  readonly #lab: Layout;

  constructor(lab: Layout, record: GuestRecord) {
    this.#lab = lab;
    this.name = record.name;
    this.uuid = record.uuid;
    this.address = record.address;
    this.marker = record.marker;
    this.firstHost = record.firstHost;
  }

  /** Sets the load from now on; what is not named stays. Returns what the guest confirmed. */
  steer(wanted: Partial<Steering>): Promise<Steering> {
    return callClient(clientSocket(this.#lab), 'steer', { address: this.address, ...wanted });
  }

  /** @returns undefined before the first beat. */
  async beats(): Promise<GuestBeats | undefined> {
    const all = await callClient(clientSocket(this.#lab), 'beats', {});
    return all.find((b) => b.guest === this.name);
  }

  /** Begins to measure downtime from outside with an echo every `intervalMs` (default 5). */
  async startProbe(intervalMs = 5): Promise<void> {
    await callClient(clientSocket(this.#lab), 'startProbe', { guest: this.name, address: this.address, intervalMs });
  }

  probe(): Promise<ProbeReport> {
    return callClient(clientSocket(this.#lab), 'probe', { guest: this.name });
  }

  stopProbe(): Promise<ProbeReport> {
    return callClient(clientSocket(this.#lab), 'stopProbe', { guest: this.name });
  }

  diskLog(): Promise<DiskLog> {
    return readDiskLog(diskPath(this.#lab, this.name), this.name);
  }
}
