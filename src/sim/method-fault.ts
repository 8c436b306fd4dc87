import type { TransferOptions } from '#core/model/method.ts';
import type { Refusal } from '#core/model/result.ts';

/** What libvirt 9.0 and QEMU 7.2 refuse. */
export function methodFaultOf({ method, streams, compression }: TransferOptions): Refusal | null {
  if (compression === 'zlib' || compression === 'zstd')
    return unsupported(`libvirt 9.0 does not know compression by ${compression}: use xbzrle, or none`);
  const isPostCopy = method === 'hybrid' || method === 'post-copy';
  if (isPostCopy && streams > 1) return unsupported('QEMU 7.2 cannot go on as post-copy after several streams: use one stream');
  return null;
}

function unsupported(message: string): Refusal {
  return { code: 'method-unsupported', message };
}
