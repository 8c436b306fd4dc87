import {
  authTypesMax,
  domainsMax,
  domainStatsParamsMax,
  jobStatsParamsMax,
  migrateCookieBytesMax,
  migrateParamsMax,
  networksMax,
  nodeStatsMax,
} from './limits.ts';
import {
  decodeDomain,
  decodeString,
  decodeTypedParams,
  decodeUuid,
  domainBytesMin,
  encodeDomain,
  encodeString,
  encodeTypedParam,
  encodeUuid,
  type DomainRef,
  type TypedParam,
} from './values.ts';
import type { XdrDecoder } from './xdr-decoder.ts';
import type { XdrEncoder } from './xdr-encoder.ts';

/** One remote procedure: its number and name in libvirt's remote_protocol.x, how its arguments go out and its result comes in. */
export interface Procedure<Args, Result> {
  readonly number: number;
  readonly name: string;
  readonly encode: (encoder: XdrEncoder, args: Args) => void;
  readonly decode: (decoder: XdrDecoder) => Result;
}

export interface DomainFlags {
  readonly domain: DomainRef;
  readonly flags: number;
}

/** Counters of the whole machine; libvirt gives nanoseconds for CPU and KiB for memory. */
export interface NodeStat {
  readonly field: string;
  readonly value: bigint;
}

export interface NodeInfo {
  readonly model: string;
  readonly memoryKib: bigint;
  readonly cpus: number;
  readonly mhz: number;
  readonly nodes: number;
  readonly sockets: number;
  readonly cores: number;
  readonly threads: number;
}

export interface DomainState {
  readonly state: number;
  readonly reason: number;
}

export interface DomainStats {
  readonly domain: DomainRef;
  readonly params: readonly TypedParam[];
}

export interface JobStats {
  readonly type: number;
  readonly params: readonly TypedParam[];
}

/** Whose word is asked for; null leaves the choice to libvirt. */
export interface EmulatorChoice {
  /** Path of its program. */
  readonly emulator: string | null;
  readonly architecture: string | null;
  readonly machine: string | null;
  /** `kvm`, `qemu`, ... */
  readonly type: string | null;
}

export interface MigratePerform {
  readonly domain: DomainRef;
  readonly destinationUri: string | null;
  readonly params: readonly TypedParam[];
  readonly flags: number;
}

function procedure<Args, Result>(
  number: number,
  name: string,
  encode: (encoder: XdrEncoder, args: Args) => void,
  decode: (decoder: XdrDecoder) => Result,
): Procedure<Args, Result> {
  return { number, name, encode, decode };
}

const nothingOut = (): void => undefined;
const nothingIn = (): void => undefined;

function domainFlags(encoder: XdrEncoder, args: DomainFlags): void {
  encodeDomain(encoder, args.domain);
  encoder.u32(args.flags);
}

function encodeEmulator(encoder: XdrEncoder, choice: EmulatorChoice): XdrEncoder {
  for (const value of [choice.emulator, choice.architecture, choice.machine, choice.type]) encoder.optional(value, encodeString);
  return encoder;
}

function nodeStats(decoder: XdrDecoder): { readonly stats: NodeStat[]; readonly available: number } {
  const stats = decoder.array(nodeStatsMax, 12, (inner) => ({ field: decodeString(inner), value: inner.u64() }));
  return { stats, available: decoder.i32() };
}

/** `char model[32]` of remote_node_get_info_ret: XDR puts every character into four bytes. */
function decodeModel(decoder: XdrDecoder): string {
  const characters = Array.from({ length: 32 }, () => decoder.i32() & 0xff);
  const end = characters.indexOf(0);
  return Buffer.from(end < 0 ? characters : characters.slice(0, end)).toString('latin1');
}

/** Session and daemon. */
export const authList = procedure(66, 'AUTH_LIST', nothingOut, (d) => d.array(authTypesMax, 4, (inner) => inner.u32()));
export const authPolkit = procedure(70, 'AUTH_POLKIT', nothingOut, (d) => d.i32());
export const connectOpen = procedure(
  1,
  'CONNECT_OPEN',
  (e, args: { readonly uri: string | null; readonly flags: number }) => e.optional(args.uri, encodeString).u32(args.flags),
  nothingIn,
);
export const connectClose = procedure(2, 'CONNECT_CLOSE', nothingOut, nothingIn);
export const getType = procedure(3, 'CONNECT_GET_TYPE', nothingOut, decodeString);
export const getVersion = procedure(4, 'CONNECT_GET_VERSION', nothingOut, (d) => d.u64());
export const getLibVersion = procedure(157, 'CONNECT_GET_LIB_VERSION', nothingOut, (d) => d.u64());
export const getHostname = procedure(59, 'CONNECT_GET_HOSTNAME', nothingOut, decodeString);
export const getCapabilities = procedure(7, 'CONNECT_GET_CAPABILITIES', nothingOut, decodeString);
export const supportsFeature = procedure(
  60,
  'CONNECT_SUPPORTS_FEATURE',
  (e, feature: number) => e.i32(feature),
  (d) => d.i32() !== 0,
);

/** The machine. */
export const nodeGetInfo = procedure(6, 'NODE_GET_INFO', nothingOut, (d): NodeInfo => ({
  model: decodeModel(d),
  memoryKib: d.u64(),
  cpus: d.i32(),
  mhz: d.i32(),
  nodes: d.i32(),
  sockets: d.i32(),
  cores: d.i32(),
  threads: d.i32(),
}));
/** Two calls each: `nparams` 0 asks how many there are. `cpu` and `cell` -1 mean the whole machine. */
export const nodeGetCpuStats = procedure(
  227,
  'NODE_GET_CPU_STATS',
  (e, args: { readonly cpu: number; readonly nparams: number }) => e.i32(args.cpu).i32(args.nparams).u32(0),
  nodeStats,
);
export const nodeGetMemoryStats = procedure(
  228,
  'NODE_GET_MEMORY_STATS',
  (e, args: { readonly cell: number; readonly nparams: number }) => e.i32(args.nparams).i32(args.cell).u32(0),
  nodeStats,
);
export const nodeGetFreeMemory = procedure(102, 'NODE_GET_FREE_MEMORY', nothingOut, (d) => d.u64());

/** What an emulator of this host can give a domain; refused for a machine type or a kind of domain that it does not have. */
export const getDomainCapabilities = procedure(
  342,
  'CONNECT_GET_DOMAIN_CAPABILITIES',
  (e, args: EmulatorChoice) => encodeEmulator(e, args).u32(0),
  decodeString,
);
export const compareHypervisorCpu = procedure(
  393,
  'CONNECT_COMPARE_HYPERVISOR_CPU',
  (e, args: EmulatorChoice & { readonly cpuXml: string; readonly flags: number }) => {
    encodeString(encodeEmulator(e, args), args.cpuXml);
    e.u32(args.flags);
  },
  (d) => d.i32(),
);
export const listAllNetworks = procedure(
  283,
  'CONNECT_LIST_ALL_NETWORKS',
  (e, flags: number) => e.i32(1).u32(flags),
  (d) => {
    const networks = d.array(networksMax, 20, (inner) => ({ name: decodeString(inner), uuid: decodeUuid(inner) }));
    d.u32();
    return networks;
  },
);

/** Domains: find and read. */
export const listAllDomains = procedure(
  273,
  'CONNECT_LIST_ALL_DOMAINS',
  (e, flags: number) => e.i32(1).u32(flags),
  (d) => {
    const domains = d.array(domainsMax, domainBytesMin, decodeDomain);
    d.u32();
    return domains;
  },
);
export const lookupByName = procedure(23, 'DOMAIN_LOOKUP_BY_NAME', encodeString, decodeDomain);
export const lookupByUuid = procedure(24, 'DOMAIN_LOOKUP_BY_UUID', encodeUuid, decodeDomain);
export const getState = procedure(212, 'DOMAIN_GET_STATE', domainFlags, (d): DomainState => ({ state: d.i32(), reason: d.i32() }));
export const getXmlDesc = procedure(14, 'DOMAIN_GET_XML_DESC', domainFlags, decodeString);
export const isPersistent = procedure(151, 'DOMAIN_IS_PERSISTENT', encodeDomain, (d) => d.i32() === 1);
export const getAllDomainStats = procedure(
  344,
  'CONNECT_GET_ALL_DOMAIN_STATS',
  (e, args: { readonly domains: readonly DomainRef[]; readonly stats: number; readonly flags: number }) =>
    e.array(args.domains, domainsMax, encodeDomain).u32(args.stats).u32(args.flags),
  (d) =>
    d.array(domainsMax, domainBytesMin + 4, (inner): DomainStats => ({
      domain: decodeDomain(inner),
      params: decodeTypedParams(inner, domainStatsParamsMax),
    })),
);

/** Domains: define, start, stop. */
export const createXml = procedure(
  10,
  'DOMAIN_CREATE_XML',
  (e, args: { readonly xml: string; readonly flags: number }) => {
    encodeString(e, args.xml);
    e.u32(args.flags);
  },
  decodeDomain,
);
export const defineXmlFlags = procedure(350, 'DOMAIN_DEFINE_XML_FLAGS', createXml.encode, decodeDomain);
export const undefineFlags = procedure(231, 'DOMAIN_UNDEFINE_FLAGS', domainFlags, nothingIn);
export const create = procedure(9, 'DOMAIN_CREATE', encodeDomain, nothingIn);
export const createWithFlags = procedure(196, 'DOMAIN_CREATE_WITH_FLAGS', domainFlags, decodeDomain);
export const destroyFlags = procedure(234, 'DOMAIN_DESTROY_FLAGS', domainFlags, nothingIn);
export const suspend = procedure(34, 'DOMAIN_SUSPEND', encodeDomain, nothingIn);
export const resume = procedure(28, 'DOMAIN_RESUME', encodeDomain, nothingIn);
export const getAutostart = procedure(15, 'DOMAIN_GET_AUTOSTART', encodeDomain, (d) => d.i32() !== 0);
export const setAutostart = procedure(
  29,
  'DOMAIN_SET_AUTOSTART',
  (e, args: { readonly domain: DomainRef; readonly autostart: boolean }) => {
    encodeDomain(e, args.domain);
    e.i32(args.autostart ? 1 : 0);
  },
  nothingIn,
);
export const shutdown = procedure(33, 'DOMAIN_SHUTDOWN', encodeDomain, nothingIn);

/** Domains: saved to disk. A managed saved image belongs to the definition; the next start of the domain is from it. */
export const managedSave = procedure(182, 'DOMAIN_MANAGED_SAVE', domainFlags, nothingIn);
export const hasManagedSaveImage = procedure(183, 'DOMAIN_HAS_MANAGED_SAVE_IMAGE', domainFlags, (d) => d.i32() === 1);
/** `xml` null: the definition that is in the image. */
export const restoreFlags = procedure(
  233,
  'DOMAIN_RESTORE_FLAGS',
  (e, args: { readonly path: string; readonly xml: string | null; readonly flags: number }) => {
    encodeString(e, args.path);
    e.optional(args.xml, encodeString).u32(args.flags);
  },
  nothingIn,
);

/** Jobs and migration. */
export const getJobStats = procedure(298, 'DOMAIN_GET_JOB_STATS', domainFlags, (d): JobStats => ({
  type: d.i32(),
  params: decodeTypedParams(d, jobStatsParamsMax),
}));
export const abortJob = procedure(164, 'DOMAIN_ABORT_JOB', encodeDomain, nothingIn);
export const abortJobFlags = procedure(442, 'DOMAIN_ABORT_JOB_FLAGS', domainFlags, nothingIn);
export const migratePerform3Params = procedure(
  305,
  'DOMAIN_MIGRATE_PERFORM3_PARAMS',
  (e, args: MigratePerform) => {
    encodeDomain(e, args.domain);
    e.optional(args.destinationUri, encodeString);
    e.array(args.params, migrateParamsMax, encodeTypedParam);
    e.opaque(new Uint8Array(), migrateCookieBytesMax).u32(args.flags);
  },
  (d) => d.opaque(migrateCookieBytesMax),
);
/** The destination's last step of a migration; the answer to one that is `cancelled` is an error or a domain that is gone. */
export const migrateFinish3Params = procedure(
  306,
  'DOMAIN_MIGRATE_FINISH3_PARAMS',
  (e, args: { readonly params: readonly TypedParam[]; readonly flags: number; readonly cancelled: boolean }) => {
    e.array(args.params, migrateParamsMax, encodeTypedParam);
    e.opaque(new Uint8Array(), migrateCookieBytesMax).u32(args.flags);
    e.i32(args.cancelled ? 1 : 0);
  },
  (d) => {
    decodeDomain(d);
    d.opaque(migrateCookieBytesMax);
  },
);
export const migrateSetMaxDowntime = procedure(
  166,
  'DOMAIN_MIGRATE_SET_MAX_DOWNTIME',
  (e, args: { readonly domain: DomainRef; readonly downtimeMs: number }) => {
    encodeDomain(e, args.domain);
    e.u64(BigInt(args.downtimeMs)).u32(0);
  },
  nothingIn,
);
/** libvirt counts this one in MiB/s. */
export const migrateSetMaxSpeed = procedure(
  207,
  'DOMAIN_MIGRATE_SET_MAX_SPEED',
  (e, args: { readonly domain: DomainRef; readonly mebibytesPerSecond: number; readonly flags: number }) => {
    encodeDomain(e, args.domain);
    e.u64(BigInt(args.mebibytesPerSecond)).u32(args.flags);
  },
  nothingIn,
);
export const migrateStartPostCopy = procedure(364, 'DOMAIN_MIGRATE_START_POST_COPY', domainFlags, nothingIn);

/** Whole seconds; the result appears among the domain's statistics. */
export const startDirtyRateCalc = procedure(
  427,
  'DOMAIN_START_DIRTY_RATE_CALC',
  (e, args: { readonly domain: DomainRef; readonly seconds: number; readonly flags: number }) => {
    encodeDomain(e, args.domain);
    e.i32(args.seconds).u32(args.flags);
  },
  nothingIn,
);

/** Events: register answers an id that each event of that registration carries. A null domain means all of them. */
export const eventRegister = procedure(
  316,
  'CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY',
  (e, args: { readonly eventId: number; readonly domain: DomainRef | null }) => e.i32(args.eventId).optional(args.domain, encodeDomain),
  (d) => d.i32(),
);
export const eventDeregister = procedure(
  317,
  'CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY',
  (e, callbackId: number) => e.i32(callbackId),
  nothingIn,
);
