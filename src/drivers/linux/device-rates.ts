/** Bytes per second through a kind of devices: those that are hardware, so that a bridge, a bond or a VM's tap is not counted again. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeviceBytes } from './kernel-files.ts';

/** Means since the previous reading; null on the first one and where there is no device. */
export interface DeviceRates {
  readonly inBytesPerSecond: number | null;
  readonly outBytesPerSecond: number | null;
}

interface Reading {
  readonly atMs: number;
  readonly devices: ReadonlyMap<string, DeviceBytes>;
}

const unknown: DeviceRates = { inBytesPerSecond: null, outBytesPerSecond: null };

export class DeviceMeter {
  /** `/sys/class/net` or `/sys/block`: hardware has a `device` there. */
  readonly #classDirectory: string;
  #previous: Reading | null = null;

  constructor(classDirectory: string) {
    this.#classDirectory = classDirectory;
  }

  /** `devices`: what the kernel lists now, at this monotonic time. Never rejects. */
  async rates(devices: readonly DeviceBytes[], atMs: number): Promise<DeviceRates> {
    const isHardware = await Promise.all(devices.map(({ name }) => this.#isHardware(name)));
    const now: Reading = { atMs, devices: new Map(devices.filter((_, index) => isHardware[index]).map((device) => [device.name, device])) };
    const before = this.#previous;
    if (before !== null && atMs <= before.atMs) return unknown;
    this.#previous = now;
    if (before === null) return unknown;
    return ratesBetween(before, now);
  }

  async #isHardware(name: string): Promise<boolean> {
    // The kernel writes a slash in a disk's name as an exclamation mark in sysfs.
    const path = join(this.#classDirectory, name.replaceAll('/', '!'), 'device');
    return access(path).then(
      () => true,
      () => false,
    );
  }
}

/** Of the devices that were there both times; one whose counters step back was taken out and put in again. */
function ratesBetween(before: Reading, now: Reading): DeviceRates {
  const seconds = (now.atMs - before.atMs) / 1000;
  let [inBytes, outBytes, counted] = [0, 0, 0];
  for (const [name, device] of now.devices) {
    const earlier = before.devices.get(name);
    if (earlier === undefined || device.inBytes < earlier.inBytes || device.outBytes < earlier.outBytes) continue;
    inBytes += device.inBytes - earlier.inBytes;
    outBytes += device.outBytes - earlier.outBytes;
    counted += 1;
  }
  return counted === 0 ? unknown : { inBytesPerSecond: inBytes / seconds, outBytesPerSecond: outBytes / seconds };
}
