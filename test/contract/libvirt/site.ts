import { join } from 'node:path';

import { exampleOptions } from '#core/migration/forecast-examples.ts';
import { createLibvirtHypervisor, type LibvirtDriver, type LibvirtHypervisorOptions } from '#drivers/libvirt/hypervisor.ts';

import { FakeLibvirtd } from './fake-libvirtd.ts';
import { RealLibvirtd } from './real-libvirtd.ts';
import { createTestPki, type TestPki } from './test-pki.ts';

/** One daemon of a site, fake or real. */
export interface Daemon {
  readonly socketPath: string;
  /** Where it keeps saved VMs. */
  readonly saveFolder: string;
  /** Where a peer sends its VMs. */
  readonly address: string;
  hypervisor(options?: Partial<LibvirtHypervisorOptions>): LibvirtDriver;
  /** The daemon dies and its VMs live on; `revive` starts it again. */
  crash(): Promise<void>;
  revive(): Promise<void>;
  /** The daemon stops to answer, and goes on later. */
  stall(): void;
  unstall(): void;
  /** Puts a new certificate where the daemon reads it. */
  renewIdentity(): void;
  /** Fingerprint of the certificate that it shows to clients now. */
  shownIdentity(): string;
  /** Makes the daemon ping its clients; a real one does so by itself after a second of silence. */
  ping(): void;
}

/** A live migration without anything special. */
export const plainOptions = exampleOptions();

/** Two daemons that can migrate to each other. */
export interface Site {
  readonly source: Daemon;
  readonly destination: Daemon;
  /** Nothing comes through between the two until `joinLink`. */
  loseLink(): void;
  joinLink(): void;
  stop(): Promise<void>;
}

/** What the contract suite runs against. `missing` says why not; null when it can run. */
export interface SiteKind {
  readonly name: string;
  readonly missing: string | null;
  start(): Promise<Site>;
}

export async function startFakeSite(): Promise<Site> {
  const peers = new Map<string, FakeLibvirtd>();
  const daemons: FakeLibvirtd[] = [];
  const start = async (address: string): Promise<Daemon> => {
    const fake = await FakeLibvirtd.start({ uri: `fake://${address}`, peers, copyMs: 700 });
    daemons.push(fake);
    return fakeDaemon(fake, address);
  };
  return {
    source: await start('127.0.0.21'),
    destination: await start('127.0.0.22'),
    loseLink: () => {
      for (const daemon of daemons) daemon.loseLink();
    },
    joinLink: () => undefined,
    stop: async () => {
      for (const daemon of daemons) await daemon.stop();
    },
  };
}

function fakeDaemon(fake: FakeLibvirtd, address: string): Daemon {
  return {
    socketPath: fake.socketPath,
    saveFolder: fake.saveFolder,
    address,
    hypervisor: (options = {}) =>
      createLibvirtHypervisor({
        socketPath: fake.socketPath,
        uri: 'qemu:///system',
        pkiPath: '/nowhere',
        saveFolder: fake.saveFolder,
        destinationUri: (request) => `fake://${request.peerAddress}`,
        ...options,
      }),
    crash: async () => fake.crash(),
    revive: async () => fake.listen(),
    stall: () => {
      fake.mood = 'stall';
    },
    unstall: () => {
      fake.mood = 'answer';
    },
    renewIdentity: () => {
      fake.identityOnDisk += 1;
    },
    shownIdentity: () => `generation ${fake.identity}`,
    ping: () => fake.ping(),
  };
}

/** Real daemons in one network namespace, each with TLS on an address of its own. */
export async function startRealSite(): Promise<Site> {
  const addresses = { source: '127.0.0.11', destination: '127.0.0.12' };
  const pki = createTestPki([addresses.source, addresses.destination]);
  const source = await RealLibvirtd.start({ tlsAddress: addresses.source, pki: pki.folderOf(addresses.source) });
  const destination = await RealLibvirtd.start({
    tlsAddress: addresses.destination,
    pki: pki.folderOf(addresses.destination),
    peer: source,
  });
  return {
    source: realDaemon(source, addresses.source, pki),
    destination: realDaemon(destination, addresses.destination, pki),
    // A black hole, as a cut cable is: nobody is told, and libvirt's keep-alive finds out.
    loseLink: () => {
      const rule = (way: string) => `add rule inet lost out ip ${way} ${addresses.destination} drop`;
      const chain = 'add table inet lost; add chain inet lost out { type filter hook output priority 0; }';
      source.run('nft', `${chain}; ${rule('daddr')}; ${rule('saddr')}`);
    },
    joinLink: () => void source.run('nft', 'delete table inet lost'),
    stop: async () => {
      await destination.stop();
      await source.stop();
      pki.remove();
    },
  };
}

function realDaemon(real: RealLibvirtd, address: string, pki: TestPki): Daemon {
  const pkiPath = pki.folderOf(address);
  const saveFolder = join(real.folder, 'lib/qemu/save');
  return {
    socketPath: real.socketPath,
    saveFolder,
    address,
    hypervisor: (options = {}) =>
      createLibvirtHypervisor({ socketPath: real.socketPath, uri: 'qemu:///system', pkiPath, saveFolder, ...options }),
    crash: async () => real.crashDaemon(),
    revive: async () => real.startDaemon(),
    stall: () => real.signalDaemon('STOP'),
    unstall: () => real.signalDaemon('CONT'),
    renewIdentity: () => pki.renew(address),
    shownIdentity: () => {
      const files = `-CAfile ${pkiPath}/cacert.pem -cert ${pkiPath}/clientcert.pem -key ${pkiPath}/clientkey.pem`;
      const ask = `openssl s_client -connect ${address}:16514 -verify_return_error ${files} </dev/null 2>/dev/null`;
      return real.run('sh', '-c', `${ask} | openssl x509 -noout -fingerprint -sha256`);
    },
    ping: () => undefined,
  };
}

/**
 * The smallest guest there is: firmware that finds nothing to boot and halts. `ballast` is a file that QEMU puts into its memory from
 * 16 MiB on, so that there is something to send.
 */
export function guestXml(
  name: string,
  more: { readonly uuid?: string; readonly memoryMib?: number; readonly vcpus?: number; readonly ballast?: string } = {},
): string {
  const uuid = more.uuid === undefined ? '' : `<uuid>${more.uuid}</uuid>`;
  const loader = `<qemu:arg value='-device'/><qemu:arg value='loader,file=${more.ballast},addr=0x1000000,force-raw=on'/>`;
  const ballast = more.ballast === undefined ? '' : `<qemu:commandline>${loader}</qemu:commandline>`;
  const namespace = more.ballast === undefined ? '' : ` xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'`;
  return `<domain type='qemu'${namespace}><name>${name}</name>${uuid}<memory unit='MiB'>${more.memoryMib ?? 64}</memory><vcpu>${more.vcpus ?? 1}</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/></devices>${ballast}</domain>`;
}
