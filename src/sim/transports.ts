import { moveImage } from '#core/migration/image-move.ts';
import type { Clock } from '#core/ports.ts';
import type { IncomingImages, KeptImages, OtherChannelKind, Transports } from '#core/transports.ts';
import type { SimHypervisor } from './hypervisor.ts';

const ciphers: Readonly<Record<OtherChannelKind, string | null>> = {
  none: null,
  'qemu-tls': 'simulated TLS',
  ssh: 'simulated ssh',
  'sealed-image': 'simulated age',
};

/** The channels of one host that are not IPsec, each of which it has. */
export class SimTransports implements Transports {
  readonly kept: KeptImages;
  readonly incoming: IncomingImages;
  readonly #hypervisor: SimHypervisor;
  readonly #clock: Clock;

  constructor(hypervisor: SimHypervisor, images: { readonly kept: KeptImages; readonly incoming: IncomingImages }, clock: Clock) {
    this.#hypervisor = hypervisor;
    this.kept = images.kept;
    this.incoming = images.incoming;
    this.#clock = clock;
  }

  readonly fault: Transports['fault'] = () => null;

  readonly migrate: Transports['migrate'] = async (kind, request, peerImages, onProgress, signal) => {
    const cipher = ciphers[kind];
    if (kind === 'sealed-image') {
      const ends = { source: this.kept, destination: peerImages, clock: this.#clock };
      return { ...(await moveImage(ends, request.vmId, onProgress, signal)), cipher };
    }
    const { peerUnderlay: peerAddress, ...rest } = request;
    const live = { ...rest, peerAddress, streamSecurity: kind === 'qemu-tls' ? kind : 'none', isForwarded: kind === 'ssh' } as const;
    return { ...(await this.#hypervisor.migrate(live, onProgress, signal)), cipher };
  };
}
