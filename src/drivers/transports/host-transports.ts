import { PlimsollError, type Refusal } from '#core/model/result.ts';
import type { IncomingImages, KeptImages, OtherChannelKind, Transports } from '#core/transports.ts';

import type { SshOptions } from './ssh-forward.ts';
import { sealedImageTransport } from './sealed-image.ts';
import { sshTransport } from './ssh-transport.ts';
import { directTransport, type LiveMigrator } from './transport.ts';

export interface HostTransportsOptions {
  readonly hypervisor: LiveMigrator;
  readonly kept: KeptImages;
  readonly incoming: IncomingImages;
  /** Null where ssh is not configured. */
  readonly ssh: SshOptions | null;
}

const withoutSsh: Refusal = {
  code: 'profile-unsupported',
  message:
    "this host has no ssh channel: give agent.yaml 'ssh: { user, keyFile, knownHostsFile }', let that user in on the destination, and start the agent again",
};

/** Every channel of this host that is not IPsec, by its kind. */
export function hostTransports({ hypervisor, kept, incoming, ssh }: HostTransportsOptions): Transports {
  const live = { 'qemu-tls': directTransport('qemu-tls', hypervisor), none: directTransport('none', hypervisor) };
  const fault = (kind: OtherChannelKind): Refusal | null => (kind === 'ssh' && ssh === null ? withoutSsh : null);
  return {
    kept,
    incoming,
    fault,
    migrate: async (kind, request, peerImages, onProgress, signal) => {
      switch (kind) {
        case 'none':
        case 'qemu-tls':
          return live[kind].migrate(request, onProgress, signal);
        case 'ssh':
          if (ssh === null) throw new PlimsollError(withoutSsh.code, withoutSsh.message);
          return sshTransport(ssh, hypervisor).migrate(request, onProgress, signal);
        case 'sealed-image':
          return sealedImageTransport(kept, () => peerImages).migrate(request, onProgress, signal);
        default:
          return kind satisfies never;
      }
    },
  };
}
