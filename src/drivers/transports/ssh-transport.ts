import { setTimeout as sleep } from 'node:timers/promises';

import { PlimsollError } from '#core/model/result.ts';

import { openSshForward, sshCipher, type SshOptions } from './ssh-forward.ts';
import { liveRequest, type LiveMigrator, type Transport } from './transport.ts';

const noticeMs = 500;

/**
 * Live migration through forwards of ssh: control connection and data stream both end on the loopback address of the two hosts.
 * Every process of either host can reach that port; who watches the network sees ssh only. Never libvirt's `--tunnelled`.
 */
export function sshTransport(options: SshOptions, hypervisor: LiveMigrator): Transport {
  return {
    kind: 'ssh',
    migrate: async (request, onProgress, signal) => {
      const forward = await openSshForward(options, { hostId: request.peerHostId, underlay: request.peerUnderlay }, signal);
      try {
        const through = { controlSocket: forward.controlSocket, dataPort: forward.dataPort };
        const either = AbortSignal.any([signal, forward.lost]);
        const outcome = await hypervisor.migrate({ ...liveRequest(request, 'none'), through }, onProgress, either);
        return { ...outcome, cipher: sshCipher };
      } catch (error) {
        throw signal.aborted ? error : await explained(error, forward.lost);
      } finally {
        await forward.close();
      }
    },
  };
}

/**
 * When ssh ended, that is why the migration failed; libvirt may notice it a moment earlier than we do. Only for failures after
 * which the VM runs here: what else libvirt says must reach the caller as it is.
 */
async function explained(failure: unknown, lost: AbortSignal): Promise<unknown> {
  if (!(failure instanceof PlimsollError) || (failure.code !== 'aborted' && failure.code !== 'hypervisor-failed')) return failure;
  if (!lost.aborted) await sleep(noticeMs, undefined, { signal: lost }).catch(() => undefined);
  const why: unknown = lost.reason;
  return why instanceof PlimsollError ? new PlimsollError(why.code, `${why.message}; the VM stays here`, { cause: failure }) : failure;
}
