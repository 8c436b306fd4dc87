import { startCapture } from './capture.ts';
import type { Capture } from './capture.ts';
import type { CgroupRoots } from './cgroup.ts';
import { removeLab } from './down.ts';
import { LabError } from './errors.ts';
import { LabClient } from './lab-client.ts';
import { LabGuest } from './lab-guest.ts';
import { layoutOf } from './layout.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import { infrastructureMachine } from './machines.ts';
import { placementOf } from './placement.ts';
import type { LabRecord } from './record.ts';
import { scanCapture } from './scan.ts';
import type { ScanResult } from './scan.ts';

interface AnyHost {
  readonly name: string;
  runningGuests(): Promise<string[]>;
}

/** A lab that is up, whatever its hosts are made of. Handles keep nothing open: several processes may use the same lab. */
export abstract class LabHandle<Host extends AnyHost> {
  readonly name: string;
  readonly record: LabRecord;
  abstract readonly hosts: readonly Host[];
  readonly guests: readonly LabGuest[];
  readonly client: LabClient;
  /** The machine the controller runs on; its service is 'controller'. */
  readonly ctl: Machine;
  /** The machine with the bridge `br0` between the hosts, and the captures: whoever is on it is on the wire. */
  readonly switch: Machine;
  protected readonly layout: Layout;

  constructor(roots: CgroupRoots, record: LabRecord) {
    const layout = layoutOf(record.name, record.index);
    this.name = record.name;
    this.record = record;
    this.guests = record.guests.map((guest) => new LabGuest(layout, guest));
    this.client = new LabClient(layout);
    this.ctl = infrastructureMachine(roots, layout, 'ctl');
    this.switch = infrastructureMachine(roots, layout, 'switch');
    this.layout = layout;
  }

  host(name: string): Host {
    const host = this.hosts.find((h) => h.name === name);
    if (host !== undefined) return host;
    const known = this.hosts.map((h) => h.name).join(', ');
    throw new LabError('lab-unknown-host', `lab '${this.name}' has no host '${name}': its hosts are ${known}`);
  }

  guest(name: string): LabGuest {
    const guest = this.guests.find((g) => g.name === name);
    if (guest !== undefined) return guest;
    const known = this.guests.map((g) => g.name).join(', ') || 'none';
    throw new LabError('lab-unknown-guest', `lab '${this.name}' has no guest '${name}': its guests are ${known}`);
  }

  /** Hosts on which each guest runs, by the word of the daemons; a host that does not answer has none. */
  placement(): Promise<Record<string, string[]>> {
    return placementOf(this.hosts, this.guests);
  }

  startCapture(name = 'capture', signal?: AbortSignal): Promise<Capture> {
    return startCapture(this.layout, this.switch, name, signal);
  }

  /** Looks for every guest's marker in a capture and counts its packets. */
  scan(file: string, signal?: AbortSignal): Promise<ScanResult> {
    return scanCapture(
      file,
      this.guests.map((g) => g.marker),
      signal,
    );
  }

  down(): Promise<void> {
    return removeLab(this.name);
  }
}
