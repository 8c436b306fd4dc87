/** One lab of virtual machines for all suites of this folder: each takes minutes of two cores to start. */
import { openVmLab, type VmLab, vmLabUp } from '#lab/vm/api.ts';

/** A lab that stands already is used and left as it is: for working on these tests. */
const standing = process.env['PLIMSOLL_KERNEL_LAB'];
const name = standing ?? 'kernel';

export const GUEST = 'vm1';

export const kernelLab = (): Promise<VmLab> => openVmLab(name);

/** Guests are small: emulated processors encrypt a few megabytes in a second. */
export const kernelLabOptions = {
  guests: 1,
  guestMemoryMib: 80,
  workingSetMib: 8,
  placement: { vm1: 'host1' },
  controllerConfig: { policy: { downtimeMsMax: 2000 } },
} as const;

/** Vitest's global set-up of the project `kernel`. */
export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (standing !== undefined) return undefined;
  const lab = await vmLabUp({ ...kernelLabOptions, name }, { log: (line) => console.log(`lab: ${line}`) });
  return () => lab.down();
}
