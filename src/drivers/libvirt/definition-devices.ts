import { at, attribute, child, childrenOf } from './definition-query.ts';
import type { Element } from './definition-tree.ts';

/**
 * What keeps a VM on its host: devices of the host that it was given, what libvirt refuses to migrate
 * (qemuMigrationSrcIsAllowed in src/qemu/qemu_migration.c), and what QEMU registers as a migration blocker.
 */
export function hostOnlyDevices(domain: Element): readonly string[] {
  const devices = child(domain, 'devices');
  const each = (name: string, describe: (element: Element) => string | null): readonly (string | null)[] =>
    childrenOf(devices, name).map(describe);
  const found = [
    ...each('hostdev', hostDevice),
    ...each('interface', hostInterface),
    ...each(
      'filesystem',
      (element) => `shared folder ${attribute(child(element, 'target'), 'dir') ?? 'without a name'} (${folderDriver(element)})`,
    ),
    ...each('disk', boundDisk),
    ...each('tpm', hostTpm),
    ...each('shmem', sharedMemory),
    ...each('input', (element) => hostPath(element, 'input device', ['passthrough', 'evdev'])),
    // libvirt repeats the first serial line as a console.
    ...['serial', 'parallel', 'console', 'channel'].flatMap((name) =>
      each(name, (element) => hostPath(element, 'character device', ['dev'])),
    ),
    ...each('smartcard', (element) => (attribute(element, 'mode') === 'passthrough' ? null : "smart card of the host's reader")),
    ...each('video', accelerated),
    encryptedMemory(domain),
    invariantClock(domain),
  ];
  return [...new Set(found.filter((sentence) => sentence !== null))];
}

function hostDevice(element: Element): string | null {
  if (attribute(element, 'mode') === 'capabilities') return `${attribute(element, 'type') ?? 'a'} device of the host`;
  // QEMU takes such a device out by itself before the copy, and the VM goes on with its partner (failover).
  if (isTransient(element)) return null;
  const source = child(element, 'source');
  const address = child(source, 'address');
  const type = attribute(element, 'type') ?? 'a';
  switch (type) {
    case 'pci':
      return `PCI device ${pciAddress(address)}`;
    case 'usb':
      return `USB device ${usbName(source)}`;
    case 'mdev':
      return `mediated device ${attribute(address, 'uuid') ?? 'without an id'}`;
    case 'scsi':
      return `SCSI device ${attribute(child(source, 'adapter'), 'name') ?? attribute(source, 'name') ?? 'without a name'}`;
    case 'scsi_host':
      return `SCSI host ${attribute(source, 'wwpn') ?? 'without a name'}`;
    default:
      return `${type} device of the host`;
  }
}

/** SR-IOV and vDPA: the interface is a piece of the host's network card. */
function hostInterface(element: Element): string | null {
  const type = attribute(element, 'type');
  const mac = attribute(child(element, 'mac'), 'address')?.toLowerCase() ?? 'without an address';
  if (type === 'vdpa') return `vDPA network interface ${mac}`;
  if (type !== 'hostdev' || isTransient(element)) return null;
  const address = at(element, 'source', 'address');
  return `network interface ${mac}, which is a device of the host${address === null ? '' : ` (PCI device ${pciAddress(address)})`}`;
}

function isTransient(element: Element): boolean {
  return attribute(child(element, 'teaming'), 'type') === 'transient';
}

function folderDriver(element: Element): string {
  const driver = attribute(child(element, 'driver'), 'type');
  return driver === 'virtiofs' ? 'virtiofs' : '9p';
}

/** NVMe disks are the host's; of a transient disk the changes are in a file that nobody but the source has. */
function boundDisk(element: Element): string | null {
  const target = attribute(child(element, 'target'), 'dev') ?? 'without a name';
  if (attribute(element, 'type') === 'nvme') return `NVMe disk ${target} (PCI device ${pciAddress(at(element, 'source', 'address'))})`;
  return child(element, 'transient') === null ? null : `transient disk ${target}`;
}

/** libvirt moves the state of its own emulated TPM with the VM. */
function hostTpm(element: Element): string | null {
  const backend = child(element, 'backend');
  switch (attribute(backend, 'type') ?? '') {
    case 'passthrough':
      return `TPM ${attribute(child(backend, 'device'), 'path') ?? 'of the host'}`;
    case 'external':
      return `TPM emulator ${attribute(child(backend, 'source'), 'path') ?? ''}, which libvirt does not start`.replace(' ,', ',');
    default:
      return null;
  }
}

function sharedMemory(element: Element): string | null {
  return attribute(element, 'role') === 'master'
    ? null
    : `memory ${attribute(element, 'name') ?? ''} that it shares with others`.replace('  ', ' ');
}

function hostPath(element: Element, what: string, types: readonly string[]): string | null {
  if (!types.includes(attribute(element, 'type') ?? '')) return null;
  const source = child(element, 'source');
  return `${what} ${attribute(source, 'path') ?? attribute(source, 'evdev') ?? attribute(source, 'dev') ?? 'of the host'}`;
}

/** QEMU blocks a migration with 3D acceleration: its state is in the host's graphics driver. */
function accelerated(element: Element): string | null {
  return attribute(at(element, 'model', 'acceleration'), 'accel3d') === 'yes' ? "3D acceleration by the host's graphics card" : null;
}

function encryptedMemory(domain: Element): string | null {
  const security = child(domain, 'launchSecurity');
  return security === null ? null : `memory encrypted by the host's processor (${attribute(security, 'type') ?? 'launchSecurity'})`;
}

/** libvirt refuses it while the frequency is whatever the host's is. */
function invariantClock(domain: Element): string | null {
  const features = childrenOf(child(domain, 'cpu'), 'feature');
  const isAsked = features.some((feature) => {
    const policy = attribute(feature, 'policy') ?? 'require';
    return attribute(feature, 'name') === 'invtsc' && (policy === 'require' || policy === 'force');
  });
  const timers = childrenOf(child(domain, 'clock'), 'timer');
  const isFixed = timers.some((timer) => attribute(timer, 'name') === 'tsc' && attribute(timer, 'frequency') !== null);
  return isAsked && !isFixed ? 'the CPU feature invtsc without a fixed frequency' : null;
}

/** `0000:01:00.0`, from attributes such as `domain='0x0000' bus='0x01' slot='0x00' function='0x0'`. */
function pciAddress(address: Element | null): string {
  const part = (name: string, digits: number): string => {
    const text = attribute(address, name) ?? '0';
    const value = Number(text);
    return Number.isInteger(value) && value >= 0 ? value.toString(16).padStart(digits, '0') : text;
  };
  return `${part('domain', 4)}:${part('bus', 2)}:${part('slot', 2)}.${part('function', 1)}`;
}

function usbName(source: Element | null): string {
  const [vendor, product] = ['vendor', 'product'].map((name) => attribute(child(source, name), 'id'));
  if (vendor !== null && vendor !== undefined && product !== null && product !== undefined) {
    return `${vendor.replace(/^0x/u, '')}:${product.replace(/^0x/u, '')}`;
  }
  const address = child(source, 'address');
  return `${attribute(address, 'bus') ?? '?'}-${attribute(address, 'device') ?? '?'}`;
}
