import { NotedReader } from './noted-reader.ts';

// How each packet of the fixtures is laid out, read off libvirt's protocol description a second time: the driver's procedures are
// checked against these, and these against real packets.

export type Side = 'call' | 'reply' | 'error' | 'event' | 'keep-alive';

interface Layout {
  readonly name: string;
  readonly call?: (reader: NotedReader) => unknown;
  readonly reply?: (reader: NotedReader) => unknown;
  readonly event?: (reader: NotedReader) => unknown;
}

export interface NotedPacket {
  readonly side: Side;
  readonly procedure: number;
  readonly name: string;
  readonly serial: number;
  readonly lines: readonly string[];
  /** What the body says, in the shape of the driver's procedure. */
  readonly value: unknown;
}

function domain(reader: NotedReader, name = 'domain'): unknown {
  return { name: reader.string(`${name}.name`), uuid: reader.uuid(`${name}.uuid`), id: reader.i32(`${name}.id`) };
}

function typedParams(reader: NotedReader): unknown {
  return reader.list('params', (index) => {
    const field = reader.string(`params[${index}].field`);
    const type = ['', 'i32', 'u32', 'i64', 'u64', 'f64', 'bool', 'string'][reader.u32(`params[${index}].type`)];
    const name = `params[${index}].value`;
    switch (type) {
      case 'i32':
        return { field, type, value: reader.i32(name) };
      case 'u32':
        return { field, type, value: reader.u32(name) };
      case 'u64':
        return { field, type, value: reader.u64(name) };
      case 'bool':
        return { field, type, value: reader.i32(name) !== 0 };
      case 'string':
        return { field, type, value: reader.string(name) };
      case undefined:
      default:
        throw new Error(`no captured packet has a parameter of type ${type}`);
    }
  });
}

function nodeStats(reader: NotedReader): unknown {
  const stats = reader.list('stats', (index) => ({
    field: reader.string(`stats[${index}].field`),
    value: reader.u64(`stats[${index}].value`),
  }));
  return { stats, available: reader.i32('available') };
}

function nodeInfo(reader: NotedReader): unknown {
  let model = '';
  for (let index = 0; index < 32; index += 1) {
    const code = reader.i32(`model[${index}]`);
    if (code !== 0) model += String.fromCodePoint(code);
  }
  return {
    model,
    memoryKib: reader.u64('memory, KiB'),
    cpus: reader.i32('cpus'),
    mhz: reader.i32('mhz'),
    nodes: reader.i32('nodes'),
    sockets: reader.i32('sockets'),
    cores: reader.i32('cores'),
    threads: reader.i32('threads'),
  };
}

const nothing = (): undefined => undefined;
const domainOnly = (reader: NotedReader): unknown => domain(reader);
const domainFlags = (reader: NotedReader): unknown => ({ domain: domain(reader), flags: reader.u32('flags') });
const text =
  (name: string) =>
  (reader: NotedReader): unknown =>
    reader.string(name);

const layouts: Readonly<Record<number, Layout>> = {
  1: {
    name: 'CONNECT_OPEN',
    call: (r) => ({ uri: r.optional('uri', () => r.string('uri')), flags: r.u32('flags') }),
    reply: nothing,
  },
  2: { name: 'CONNECT_CLOSE', call: nothing, reply: nothing },
  3: { name: 'CONNECT_GET_TYPE', call: nothing, reply: text('type') },
  4: { name: 'CONNECT_GET_VERSION', call: nothing, reply: (r) => r.u64('version') },
  6: { name: 'NODE_GET_INFO', call: nothing, reply: nodeInfo },
  9: { name: 'DOMAIN_CREATE', call: domainOnly, reply: nothing },
  14: { name: 'DOMAIN_GET_XML_DESC', call: domainFlags, reply: text('xml') },
  23: { name: 'DOMAIN_LOOKUP_BY_NAME', call: text('name'), reply: domainOnly },
  24: { name: 'DOMAIN_LOOKUP_BY_UUID', call: (r) => r.uuid('uuid'), reply: domainOnly },
  28: { name: 'DOMAIN_RESUME', call: domainOnly, reply: nothing },
  34: { name: 'DOMAIN_SUSPEND', call: domainOnly, reply: nothing },
  59: { name: 'CONNECT_GET_HOSTNAME', call: nothing, reply: text('hostname') },
  60: { name: 'CONNECT_SUPPORTS_FEATURE', call: (r) => r.i32('feature'), reply: (r) => r.i32('supported') !== 0 },
  66: { name: 'AUTH_LIST', call: nothing, reply: (r) => r.list('types', (index) => r.u32(`types[${index}]`)) },
  102: { name: 'NODE_GET_FREE_MEMORY', call: nothing, reply: (r) => r.u64('free, bytes') },
  151: { name: 'DOMAIN_IS_PERSISTENT', call: domainOnly, reply: (r) => r.i32('persistent') === 1 },
  157: { name: 'CONNECT_GET_LIB_VERSION', call: nothing, reply: (r) => r.u64('version') },
  164: { name: 'DOMAIN_ABORT_JOB', call: domainOnly, reply: nothing },
  166: {
    name: 'DOMAIN_MIGRATE_SET_MAX_DOWNTIME',
    call: (r) => {
      const value = { domain: domain(r), downtimeMs: Number(r.u64('downtime, ms')) };
      r.u32('flags');
      return value;
    },
    reply: nothing,
  },
  182: { name: 'DOMAIN_MANAGED_SAVE', call: domainFlags, reply: nothing },
  183: { name: 'DOMAIN_HAS_MANAGED_SAVE_IMAGE', call: domainFlags, reply: (r) => r.i32('result') === 1 },
  196: { name: 'DOMAIN_CREATE_WITH_FLAGS', call: domainFlags, reply: domainOnly },
  212: { name: 'DOMAIN_GET_STATE', call: domainFlags, reply: (r) => ({ state: r.i32('state'), reason: r.i32('reason') }) },
  227: {
    name: 'NODE_GET_CPU_STATS',
    call: (r) => {
      const value = { cpu: r.i32('cpu'), nparams: r.i32('nparams') };
      r.u32('flags');
      return value;
    },
    reply: nodeStats,
  },
  228: {
    name: 'NODE_GET_MEMORY_STATS',
    call: (r) => {
      const value = { nparams: r.i32('nparams'), cell: r.i32('cell') };
      r.u32('flags');
      return value;
    },
    reply: nodeStats,
  },
  231: { name: 'DOMAIN_UNDEFINE_FLAGS', call: domainFlags, reply: nothing },
  233: {
    name: 'DOMAIN_RESTORE_FLAGS',
    call: (r) => ({ path: r.string('from'), xml: r.optional('xml', () => r.string('xml')), flags: r.u32('flags') }),
    reply: nothing,
  },
  234: { name: 'DOMAIN_DESTROY_FLAGS', call: domainFlags, reply: nothing },
  273: {
    name: 'CONNECT_LIST_ALL_DOMAINS',
    call: (r) => {
      r.i32('need_results');
      return r.u32('flags');
    },
    reply: (r) => {
      const domains = r.list('domains', (index) => domain(r, `domains[${index}]`));
      r.u32('ret');
      return domains;
    },
  },
  298: { name: 'DOMAIN_GET_JOB_STATS', call: domainFlags, reply: (r) => ({ type: r.i32('type'), params: typedParams(r) }) },
  305: {
    name: 'DOMAIN_MIGRATE_PERFORM3_PARAMS',
    call: (r) => {
      const value = { domain: domain(r), destinationUri: r.optional('dconnuri', () => r.string('dconnuri')), params: typedParams(r) };
      r.opaque('cookie_in');
      return { ...value, flags: r.u32('flags') };
    },
    reply: (r) => r.opaque('cookie_out'),
  },
  316: {
    name: 'CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY',
    call: (r) => ({ eventId: r.i32('event id'), domain: r.optional('domain', () => domain(r)) }),
    reply: (r) => r.i32('callback id'),
  },
  317: { name: 'CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY', call: (r) => r.i32('callback id'), reply: nothing },
  318: {
    name: 'DOMAIN_EVENT_CALLBACK_LIFECYCLE',
    event: (r) => ({
      kind: 'lifecycle',
      callbackId: r.i32('callback id'),
      domain: domain(r),
      event: r.i32('event'),
      detail: r.i32('detail'),
    }),
  },
  344: {
    name: 'CONNECT_GET_ALL_DOMAIN_STATS',
    call: (r) => ({
      domains: r.list('domains', (index) => domain(r, `domains[${index}]`)),
      stats: r.u32('stats'),
      flags: r.u32('flags'),
    }),
    reply: (r) => r.list('records', (index) => ({ domain: domain(r, `records[${index}]`), params: typedParams(r) })),
  },
  350: {
    name: 'DOMAIN_DEFINE_XML_FLAGS',
    call: (r) => ({ xml: r.string('xml'), flags: r.u32('flags') }),
    reply: domainOnly,
  },
  359: {
    name: 'DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION',
    event: (r) => ({ kind: 'migration-iteration', callbackId: r.i32('callback id'), domain: domain(r), iteration: r.i32('iteration') }),
  },
  363: {
    name: 'DOMAIN_EVENT_CALLBACK_JOB_COMPLETED',
    event: (r) => ({ kind: 'job-completed', callbackId: r.i32('callback id'), domain: domain(r), params: typedParams(r) }),
  },
};

const types = ['call', 'reply', 'message', 'stream'] as const;

/** Reads a packet into notes and value; null when no layout knows it. Throws when bytes are left over. */
export function notePacket(bytes: Uint8Array): NotedPacket | null {
  const reader = new NotedReader(bytes);
  reader.u32('length');
  const program = reader.hex32('program');
  reader.u32('version');
  const procedure = reader.u32('procedure');
  const type = types[reader.u32('type', ', one of 0 call, 1 reply, 2 message, 3 stream')];
  const serial = reader.u32('serial');
  const failed = reader.u32('status', ', one of 0 ok, 1 error') === 1;
  const layout = layouts[procedure];
  const keepAlive = program === 0x6b65_6570;
  if (!keepAlive && layout === undefined) return null;
  const side = keepAlive ? 'keep-alive' : type === 'call' ? 'call' : type === 'message' ? 'event' : failed ? 'error' : 'reply';
  const name = keepAlive ? `KEEPALIVE_${procedure === 1 ? 'PING' : 'PONG'}` : (layout?.name ?? '');
  const read = side === 'keep-alive' ? nothing : side === 'error' ? noteFault : layout?.[side];
  if (read === undefined) return null;
  const value = read(reader);
  if (reader.left !== 0) throw new Error(`${reader.left} bytes of ${name} are not explained`);
  return { side, procedure, name, serial, lines: reader.lines, value };
}

function noteFault(reader: NotedReader): unknown {
  const code = reader.i32('code');
  const from = reader.i32('domain');
  const message = reader.optional('message', () => reader.string('message'));
  const level = reader.i32('level');
  reader.optional('dom', () => domain(reader));
  for (const name of ['str1', 'str2', 'str3']) reader.optional(name, () => reader.string(name));
  reader.i32('int1');
  reader.i32('int2');
  reader.optional('net', () => [reader.string('net.name'), reader.uuid('net.uuid')]);
  return { code, domain: from, message, level };
}
