// Bounds of libvirt's wire protocol (src/rpc/virnetprotocol.x and src/remote/remote_protocol.x of libvirt 9.0).
// A daemon that announces more than these is either broken or hostile: the decoder refuses before it allocates.

/** Bytes of the length word that precedes each packet; it counts itself. */
export const lengthWordBytes = 4;
/** Bytes of the header after the length word: program, version, procedure, type, serial, status. */
export const headerBytes = 24;
/** Longest message without its length word (VIR_NET_MESSAGE_MAX, 32 MiB). */
export const messageBytesMax = 32 * 1024 * 1024;
/** Longest packet as the length word counts it. */
export const packetBytesMax = messageBytesMax + lengthWordBytes;
/** Longest string (REMOTE_STRING_MAX, 4 MiB). */
export const stringBytesMax = 4 * 1024 * 1024;
/** REMOTE_MIGRATE_COOKIE_MAX. */
export const migrateCookieBytesMax = 4 * 1024 * 1024;
/** REMOTE_DOMAIN_LIST_MAX; also bounds the records of one bulk statistics reply. */
export const domainsMax = 16_384;
/** REMOTE_CONNECT_GET_ALL_DOMAIN_STATS_MAX: typed parameters per domain in a bulk statistics reply. */
export const domainStatsParamsMax = 262_144;
/** REMOTE_DOMAIN_JOB_STATS_MAX. */
export const jobStatsParamsMax = 64;
/** REMOTE_DOMAIN_MIGRATE_PARAM_LIST_MAX. */
export const migrateParamsMax = 64;
/** REMOTE_NODE_CPU_STATS_MAX and REMOTE_NODE_MEMORY_STATS_MAX. */
export const nodeStatsMax = 16;
/** REMOTE_AUTH_TYPE_LIST_MAX. */
export const authTypesMax = 20;
/** REMOTE_NETWORK_LIST_MAX. */
export const networksMax = 16_384;
