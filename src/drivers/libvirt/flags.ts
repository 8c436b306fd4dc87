// Numbers of libvirt's public headers that this driver uses (libvirt-domain.h). They are a stable ABI.

/** virDomainState. */
export const domainState = {
  noState: 0,
  running: 1,
  blocked: 2,
  paused: 3,
  shutdown: 4,
  shutoff: 5,
  crashed: 6,
  pmSuspended: 7,
} as const;

/** virConnectListAllDomainsFlags. */
export const listFlag = { active: 1, inactive: 2, persistent: 4 } as const;

/** virConnectGetAllDomainStatsFlags: `noWait` skips what a busy monitor cannot answer, so one stuck VM does not stall the sample. */
export const statsFlag = { active: 1, inactive: 2, running: 16, noWait: 0x2000_0000 } as const;

/** virDomainStatsTypes. */
export const statsGroup = { state: 1, cpu: 2, balloon: 4, vcpu: 8, interface: 16, block: 32 } as const;

/** virDomainMigrateFlags. TUNNELLED (4) is left out on purpose: it runs without QEMU's return path. */
export const migrateFlag = {
  live: 1,
  peerToPeer: 2,
  persistDestination: 8,
  undefineSource: 16,
  unsafe: 512,
  abortOnError: 4096,
  autoConverge: 8192,
  postCopy: 32_768,
  tls: 65_536,
} as const;

/** virDomainJobType. */
export const jobType = { none: 0, bounded: 1, unbounded: 2, completed: 3, failed: 4, cancelled: 5 } as const;

/** virDomainJobOperation. */
export const jobOperation = { migrationIn: 4, migrationOut: 5 } as const;

/** virDomainGetJobStatsFlags. */
export const jobStatsFlag = { completed: 1, keepCompleted: 2 } as const;

/** virDomainAbortJobFlagsValues: makes an abort in the post-copy phase possible. */
export const abortJobFlag = { postCopy: 1 } as const;

/** virDomainXMLFlags. */
export const xmlFlag = { secure: 1, inactive: 2, migratable: 8 } as const;

/** virDomainCreateFlags. */
export const createFlag = { paused: 1 } as const;

/** virDomainUndefineFlagsValues. */
export const undefineFlag = { managedSave: 1, snapshotsMetadata: 2, nvram: 4, keepNvram: 8 } as const;

/** VIR_DRV_FEATURE_*: asking for this one makes the daemon start keep-alive on this connection. */
export const feature = { programKeepAlive: 10 } as const;

/** virDomainEventID. */
export const eventId = { lifecycle: 0, migrationIteration: 20, jobCompleted: 21 } as const;

/** virErrorNumber used in decisions. */
export const serverFault = {
  internalError: 1,
  noSupport: 3,
  noDomain: 42,
  operationInvalid: 55,
  operationAborted: 78,
  operationUnsupported: 84,
} as const;
