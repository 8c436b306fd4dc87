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

/** virDomainPausedReason. `migration` also of a VM that was suspended while it was being migrated (seen with libvirt 9.0). */
export const pausedReason = { user: 1, migration: 2, postCopy: 12, postCopyFailed: 13 } as const;

/** virDomainShutoffReason. */
export const shutoffReason = { unknown: 0, shutdown: 1, destroyed: 2, crashed: 3, migrated: 4, saved: 5, failed: 6 } as const;

/** virDomainRunningReason. */
export const runningReason = { postCopy: 10, postCopyFailed: 11 } as const;

/** virDomainStatsTypes. */
export const statsGroup = { state: 1, cpu: 2, balloon: 4, vcpu: 8, interface: 16, block: 32, dirtyRate: 512 } as const;

/** virDomainMigrateFlags. TUNNELLED (4) is left out on purpose: it runs without QEMU's return path. */
export const migrateFlag = {
  live: 1,
  peerToPeer: 2,
  persistDestination: 8,
  undefineSource: 16,
  unsafe: 512,
  compressed: 2048,
  abortOnError: 4096,
  autoConverge: 8192,
  postCopy: 32_768,
  tls: 65_536,
  parallel: 131_072,
  postCopyResume: 524_288,
} as const;

/** virDomainMigrateMaxSpeedFlags: sets the cap of the post-copy phase instead. */
export const maxSpeedFlag = { postCopy: 1 } as const;

/** The largest speed that libvirt takes (INT64_MAX bytes in MiB, QEMU_DOMAIN_MIG_BANDWIDTH_MAX); it stands for "no cap". */
export const uncappedMebibytesPerSecond = 8_796_093_022_207;

/**
 * virDomainDirtyRateCalcFlags. DIRTY_BITMAP (1) is left out on purpose: asked for it, QEMU 7.2 without KVM dies, and the guest with it
 * (seen with libvirt 9.0: "shutting down, reason=crashed"). DIRTY_RING (2) needs KVM with a ring of its own.
 */
export const dirtyRateMode = { pageSampling: 0 } as const;

/** virDomainDirtyRateStatus. */
export const dirtyRateStatus = { unstarted: 0, measuring: 1, measured: 2 } as const;

/** virCPUCompareResult. */
export const cpuComparison = { incompatible: 0, identical: 1, superset: 2 } as const;

/** virConnectCompareCPUFlags: with it an incompatible CPU is refused with a text that names the features. */
export const compareCpuFlag = { failIncompatible: 1 } as const;

/** virConnectListAllNetworksFlags. */
export const networkListFlag = { inactive: 1, active: 2 } as const;

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

/** virDomainCreateFlags. `forceBoot` throws away a managed saved image. */
export const createFlag = { paused: 1, forceBoot: 8 } as const;

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
  invalidArgument: 8,
  noDomain: 42,
  operationInvalid: 55,
  operationAborted: 78,
  operationUnsupported: 84,
  resourceBusy: 87,
} as const;
