/** Common name of the controller's certificate: what an agent demands of whoever answers its dial. */
export const controllerName = 'plimsoll-controller';

export const agentPath = '/v1/agent';
export const joinPath = '/v1/join';

/** Bounds of one open line; both ends use the same. */
export interface LineLimits {
  /** Largest message, in bytes of UTF-8 JSON. */
  readonly messageBytesMax: number;
  /** Bytes that may wait for a slow peer before the line is closed with reason `backpressure`. */
  readonly bufferedBytesMax: number;
  readonly pingIntervalMs: number;
  /** A peer not heard for this long is dead: the line closes with reason `dead-peer`. */
  readonly deadPeerMs: number;
  /** How long a closing handshake may take before the connection is cut. */
  readonly closeMsMax: number;
}

export const lineLimits: LineLimits = {
  messageBytesMax: 4 * 1024 * 1024,
  bufferedBytesMax: 8 * 1024 * 1024,
  pingIntervalMs: 5_000,
  deadPeerMs: 15_000,
  closeMsMax: 1_000,
};

/** Bounds of the listener. */
export const serverLimits = {
  /** Room for 10,000 hosts and their redials after a restart. */
  connectionsMax: 12_000,
  tlsHandshakeMsMax: 10_000,
  requestMsMax: 10_000,
  headerBytesMax: 8 * 1024,
  joinBodyBytesMax: 32 * 1024,
  joinsInFlightMax: 16,
  joinMsMax: 20_000,
} as const;

/** Bounds of an agent's calls. */
export const clientLimits = {
  dialMsMax: 10_000,
  joinMsMax: 30_000,
  /** Certificates are small; the revocation lists that come with them grow with the revoked hosts. */
  joinReplyBytesMax: 4 * 1024 * 1024,
  refusalBytesMax: 64 * 1024,
  chainCertificatesMax: 8,
} as const;
