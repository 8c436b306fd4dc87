/**
 * A host's end of the channels that are not IPsec, as an agent would have it, run inside a host of the lab. Speaks JSON lines:
 * `{ id, method, args }` or `{ id, abort: true }` comes in, `{ id, value }` or `{ id, error: { code, message } }` goes out.
 */
import { createInterface } from 'node:readline';

import { refusalOf } from '#core/model/result.ts';
import { createLibvirtHypervisor } from '#drivers/libvirt/hypervisor.ts';
import { LocalImageDestination } from '#drivers/transports/image-destination.ts';
import { LocalImageSource } from '#drivers/transports/image-source.ts';
import type { ImageDigest } from '#drivers/transports/image-line.ts';
import type { ImageOffer } from '#drivers/transports/sealed-image.ts';
import { sshTransport } from '#drivers/transports/ssh-transport.ts';
import { directTransport, type TransportRequest } from '#drivers/transports/transport.ts';

const [underlay = ''] = process.argv.slice(2);
const hypervisor = createLibvirtHypervisor({
  socketPath: '/run/libvirt/libvirt-sock',
  uri: 'qemu:///system',
  pkiPath: '/etc/plimsoll/pki/libvirt',
});
const ssh = sshTransport(
  {
    user: 'root',
    keyFile: '/etc/plimsoll/ssh/id',
    knownHostsFile: '/etc/plimsoll/ssh/known_hosts',
    port: 22,
    runFolder: '/run/plimsoll',
    peerSocketPath: '/run/libvirt/libvirt-sock',
    dataPorts: { first: 49_224, last: 49_239 },
    connectDeadlineMs: 10_000,
  },
  hypervisor,
);
const live = { ssh, 'qemu-tls': directTransport('qemu-tls', hypervisor), none: directTransport('none', hypervisor) };
const source = new LocalImageSource({ hypervisor, stateFolder: '/var/lib/plimsoll/images', silenceMsMax: 30_000 });
const destination = new LocalImageDestination({
  hypervisor,
  folder: '/var/lib/plimsoll/incoming',
  address: underlay,
  channelAddresses: [],
  port: 49_220,
  bytesMax: 2 ** 32,
  arrivalMsMax: 120_000,
  silenceMsMax: 30_000,
});

const nothing = (): void => undefined;
const methods: Readonly<Record<string, (signal: AbortSignal, ...args: never[]) => Promise<unknown>>> = {
  migrate: async (signal, kind: keyof typeof live, request: TransportRequest) => live[kind].migrate(request, nothing, signal),
  pid: async () => process.pid,
  reload: async (signal) => hypervisor.reloadCertificates(signal),
  'source.save': async (signal, vmId: string) => source.save(vmId, nothing, signal),
  'source.send': async (signal, vmId: string, offer: ImageOffer) => source.send(vmId, offer, nothing, signal),
  'source.giveAway': async (signal, vmId: string) => source.giveAway(vmId, signal),
  'source.takeBack': async (signal, vmId: string) => source.takeBack(vmId, signal),
  'source.forget': async (_signal, vmId: string) => source.forget(vmId),
  'source.recover': async (signal) => source.recover(signal),
  'destination.offer': async (signal, vmId: string) => destination.offer(vmId, signal),
  'destination.open': async (_signal, vmId: string, sent: ImageDigest) => destination.open(vmId, sent),
  'destination.restore': async (signal, vmId: string) => destination.restore(vmId, signal),
  'destination.discard': async (_signal, vmId: string) => destination.discard(vmId),
};
const underWay = new Map<number, AbortController>();

interface Order {
  readonly id: number;
  readonly method?: string;
  readonly args?: readonly never[];
  readonly abort?: boolean;
}

async function obey({ id, method = '', args = [] }: Order): Promise<void> {
  const abort = new AbortController();
  underWay.set(id, abort);
  let answer: object;
  try {
    const run = methods[method];
    if (run === undefined) throw new Error(`no method ${method}`);
    answer = { id, value: (await run(abort.signal, ...args)) ?? null };
  } catch (error) {
    answer = { id, error: refusalOf(error) };
  }
  underWay.delete(id);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

await destination.sweep();
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order;
  if (order.abort === true) underWay.get(order.id)?.abort();
  else void obey(order);
}
await hypervisor.close();
