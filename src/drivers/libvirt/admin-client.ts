import { openUnixSocket } from './client.ts';
import { Connection } from './connection.ts';
import { LibvirtError } from './errors.ts';
import { serverFault } from './flags.ts';
import { stringBytesMax } from './limits.ts';
import { program } from './message.ts';
import type { Procedure } from './procedures.ts';

export interface AdminOptions {
  /** Such as `/run/libvirt/libvirt-admin-sock`; root only. */
  readonly socketPath: string;
  /** The server of the daemon that listens with TLS: `libvirtd`, or `virtproxyd` of that daemon. */
  readonly server: string;
  readonly callDeadlineMs: number;
}

/** Procedures of libvirt's admin_protocol.x. A server is told by its name alone. */
const connectOpen: Procedure<undefined, void> = {
  number: 1,
  name: 'ADMIN_CONNECT_OPEN',
  encode: (encoder) => encoder.u32(0),
  decode: () => undefined,
};
const connectClose: Procedure<undefined, void> = {
  number: 2,
  name: 'ADMIN_CONNECT_CLOSE',
  encode: () => undefined,
  decode: () => undefined,
};
const lookupServer: Procedure<string, string> = {
  number: 5,
  name: 'ADMIN_CONNECT_LOOKUP_SERVER',
  encode: (encoder, server) => encoder.string(server, stringBytesMax).u32(0),
  decode: (decoder) => decoder.string(stringBytesMax),
};
const serverUpdateTlsFiles: Procedure<string, void> = {
  number: 18,
  name: 'ADMIN_SERVER_UPDATE_TLS_FILES',
  encode: (encoder, server) => encoder.string(server, stringBytesMax).u32(0),
  decode: () => undefined,
};

/**
 * Makes the daemon read the files of its TLS identity again; TLS sessions that are up stay. False when it does not listen with
 * TLS, so that it has no identity to renew. Rejects with `LibvirtError`; the daemon then keeps the identity that it has.
 *
 * libvirt reads `/etc/pki/CA/{cacert,cacrl}.pem` and `/etc/pki/libvirt/{servercert,private/serverkey}.pem` here, whatever
 * libvirtd.conf names (virNetTLSContextReloadForServer, libvirt 9.0): those have to be, or to link to, the host's identity.
 */
export async function updateTlsFiles(options: AdminOptions, signal: AbortSignal): Promise<boolean> {
  const connection = new Connection(await openUnixSocket(options.socketPath, signal), { program: program.admin });
  const wait = { deadlineMs: options.callDeadlineMs, signal };
  try {
    await connection.call(connectOpen, undefined, wait);
    const server = await connection.call(lookupServer, options.server, wait);
    const updated = await connection.call(serverUpdateTlsFiles, server, wait).then(
      () => true,
      (error: unknown) => unlessNoTls(error),
    );
    await connection.call(connectClose, undefined, wait);
    return updated;
  } finally {
    connection.close();
  }
}

/** "No TLS service" is libvirt's only internal error here; what is wrong with a file is a system error (virNetServerUpdateTlsFiles). */
function unlessNoTls(error: unknown): false {
  if (error instanceof LibvirtError && error.server?.code === serverFault.internalError) return false;
  throw error;
}
