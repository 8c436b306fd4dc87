import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { decodeDomain, decodeTypedParams, decodeUuid, encodeDomain, encodeTypedParam } from '#drivers/libvirt/values.ts';
import type { XdrDecoder } from '#drivers/libvirt/xdr-decoder.ts';
import type { XdrEncoder } from '#drivers/libvirt/xdr-encoder.ts';

import { fakeStats, parseFakeDomain, refOf, type FakeDomain } from './fake-domain.ts';
import type { FakeLibvirtd } from './fake-libvirtd.ts';
import { FakeFault, type FakePeer } from './fake-wire.ts';

export interface FakeRequest {
  readonly fake: FakeLibvirtd;
  readonly client: FakePeer;
  readonly args: XdrDecoder;
  readonly body: XdrEncoder;
}

export type FakeProcedures = ReadonlyMap<number, Run>;

type Run = (request: FakeRequest) => void | Promise<void>;

const max = 4 * 1024 * 1024;
const notRunning = 'Requested operation is not valid: domain is not running';

/** What the fake daemon does for each procedure number of remote_protocol.x. */
export const fakeProcedures: FakeProcedures = new Map<number, Run>([
  [1, ({ args }) => void [args.optional((d) => d.string(max)), args.u32()]],
  [2, () => undefined],
  [3, ({ body }) => void body.string('QEMU', max)],
  [4, ({ body }) => void body.u64(7_002_022n)],
  [6, nodeInfo],
  [7, ({ body }) => void body.string(hostCapabilities, max)],
  [9, ({ fake, args }) => startSaved(fake, domainOf(fake, args), false)],
  [10, createXml],
  [14, ({ fake, args, body }) => withFlags(fake, args, (domain) => body.string(domain.xml, max))],
  [15, ({ fake, args, body }) => void body.i32(domainOf(fake, args).autostart ? 1 : 0)],
  [23, lookupByName],
  [24, ({ fake, args, body }) => encodeDomain(body, refOf(fake.find(decodeUuid(args))))],
  [28, resume],
  [29, setAutostart],
  [33, ({ fake, args }) => fake.stopDomain(domainOf(fake, args), 0)],
  [34, suspend],
  [59, ({ body }) => void body.string('fake-libvirtd', max)],
  [60, ({ args, body }) => void body.i32(args.i32() === 10 ? 1 : 0)],
  [66, ({ fake, body }) => void body.array(fake.authTypes, 20, (inner, type) => inner.u32(type))],
  [70, ({ body }) => void body.i32(1)],
  [102, ({ body }) => void body.u64(8n * 1024n ** 3n)],
  [151, ({ fake, args, body }) => void body.i32(domainOf(fake, args).persistent ? 1 : 0)],
  [157, ({ body }) => void body.u64(9_000_000n)],
  [164, ({ fake, args }) => fake.abortJob(domainOf(fake, args), false)],
  [166, ({ fake, args }) => void [domainOf(fake, args), args.u64(), args.u32()]],
  [182, ({ fake, args }) => withFlags(fake, args, (domain) => saveDomain(fake, domain))],
  [183, ({ fake, args, body }) => withFlags(fake, args, (domain) => body.i32(existsSync(imagePath(fake, domain)) ? 1 : 0))],
  [196, createWithFlags],
  [207, ({ fake, args }) => void [domainOf(fake, args), args.u64(), args.u32()]],
  [212, ({ fake, args, body }) => withFlags(fake, args, (domain) => body.i32(domain.state).i32(domain.reason))],
  [227, nodeStats(['kernel', 'user', 'idle', 'iowait'], false)],
  [228, nodeStats(['total', 'free', 'buffers', 'cached'], true)],
  [231, undefine],
  [233, restoreImage],
  [234, destroy],
  [273, listAll],
  [283, ({ args, body }) => void [args.i32(), args.u32(), body.array(fakeNetworks, 16_384, encodeNetwork).u32(fakeNetworks.length)]],
  [298, jobStats],
  [305, migrate],
  [306, finishMigration],
  [316, ({ fake, client, args, body }) => void body.i32(fake.register(client, eventArgs(args)))],
  [317, deregister],
  [342, domainCapabilities],
  [344, allStats],
  [350, defineXml],
  [364, ({ fake, args }) => withFlags(fake, args, (domain) => fake.startPostCopy(domain))],
  [393, compareCpu],
  [427, startDirtyLook],
  [442, ({ fake, args }) => withFlags(fake, args, (domain, flags) => fake.abortJob(domain, (flags & 1) !== 0))],
]);

function refuse(number: number, message: string): never {
  throw new FakeFault(number, message);
}

function domainOf(fake: FakeLibvirtd, args: XdrDecoder): FakeDomain {
  return fake.find(decodeDomain(args).uuid);
}

function withFlags(fake: FakeLibvirtd, args: XdrDecoder, use: (domain: FakeDomain, flags: number) => unknown): void {
  const ref = decodeDomain(args);
  const flags = args.u32();
  use(fake.find(ref.uuid), flags);
}

function eventArgs(args: XdrDecoder): number {
  const id = args.i32();
  args.optional(decodeDomain);
  return id;
}

function nodeInfo({ body }: FakeRequest): void {
  for (let index = 0; index < 32; index += 1) body.i32('x86_64'.charCodeAt(index) || 0);
  body.u64(24_684_084n);
  for (const value of [2, 2_000, 1, 1, 2, 1]) body.i32(value);
}

/** Asked for 0 parameters it answers how many there are. The two procedures have these two numbers in opposite order. */
function nodeStats(fields: readonly string[], nparamsFirst: boolean): Run {
  return ({ args, body }) => {
    const first = args.i32();
    const second = args.i32();
    args.u32();
    const nparams = nparamsFirst ? first : second;
    body.array(nparams === 0 ? [] : fields, 16, (inner, field) => inner.string(field, max).u64(1_000_000_000n));
    body.i32(fields.length);
  };
}

function insert(fake: FakeLibvirtd, xml: string, persistent: boolean): FakeDomain {
  const parsed = parseFakeDomain(xml) ?? refuse(27, 'XML error: expecting root element of domain');
  const existing = [...fake.domains.values()].find((domain) => domain.name === parsed.name);
  if (existing !== undefined && (!persistent || existing.uuid !== parsed.uuid))
    refuse(9, `operation failed: domain '${parsed.name}' already exists`);
  const domain = existing ?? parsed;
  domain.persistent = persistent || domain.persistent;
  fake.domains.set(domain.uuid, domain);
  return domain;
}

function createXml({ fake, args, body }: FakeRequest): void {
  const xml = args.string(max);
  const flags = args.u32();
  const domain = insert(fake, xml, false);
  fake.start(domain, (flags & 1) !== 0);
  encodeDomain(body, refOf(domain));
}

function defineXml({ fake, args, body }: FakeRequest): void {
  const xml = args.string(max);
  args.u32();
  const domain = insert(fake, xml, true);
  fake.lifecycle(domain, 0, 0);
  encodeDomain(body, refOf(domain));
}

function undefine({ fake, args }: FakeRequest): void {
  withFlags(fake, args, (domain, flags) => {
    if (existsSync(imagePath(fake, domain)) && domain.id < 0) {
      if ((flags & 1) === 0) refuse(55, 'Requested operation is not valid: Refusing to undefine while domain managed save image exists');
      rmSync(imagePath(fake, domain));
    }
    if (!domain.persistent) refuse(55, 'Requested operation is not valid: cannot undefine transient domain');
    domain.persistent = false;
    fake.lifecycle(domain, 1, 0);
    if (domain.id < 0) fake.domains.delete(domain.uuid);
  });
}

function createWithFlags({ fake, args, body }: FakeRequest): void {
  withFlags(fake, args, (domain, flags) => {
    // As virtlockd answers for a lease that somebody else holds.
    if (domain.xml.includes('<key>held</key>')) refuse(87, `resource busy: Lockspace resource 'held' is locked`);
    startSaved(fake, domain, (flags & 1) !== 0);
    encodeDomain(body, refOf(domain));
  });
}

function imagePath(fake: FakeLibvirtd, domain: FakeDomain): string {
  return join(fake.saveFolder, `${domain.name}.save`);
}

function saveDomain(fake: FakeLibvirtd, domain: FakeDomain): void {
  if (!domain.persistent) refuse(55, 'Requested operation is not valid: cannot do managed save for transient domain');
  mkdirSync(fake.saveFolder, { recursive: true });
  writeFileSync(imagePath(fake, domain), JSON.stringify({ uuid: domain.uuid, xml: domain.xml }));
  fake.stopDomain(domain, 4);
}

/** A start of a domain that was saved is a start from its image, which is used up. */
function startSaved(fake: FakeLibvirtd, domain: FakeDomain, paused: boolean): void {
  fake.start(domain, paused);
  rmSync(imagePath(fake, domain), { force: true });
}

function restoreImage({ fake, args }: FakeRequest): void {
  const path = args.string(max);
  args.optional((d) => d.string(max));
  args.u32();
  if (!existsSync(path)) refuse(38, `Failed to open file '${path}': No such file or directory`);
  const { uuid, xml } = JSON.parse(readFileSync(path, 'utf8')) as { readonly uuid: string; readonly xml: string };
  if ((fake.domains.get(uuid)?.id ?? -1) >= 0) refuse(55, 'Requested operation is not valid: domain is already active');
  const name = parseFakeDomain(xml)?.name;
  if ([...fake.domains.values()].some((other) => other.name === name && other.uuid !== uuid))
    refuse(9, `operation failed: domain '${name}' already exists with another uuid`);
  const domain = fake.domains.get(uuid) ?? { ...(parseFakeDomain(xml) ?? refuse(27, 'XML error')), uuid };
  fake.domains.set(uuid, domain);
  fake.start(domain, false);
}

function lookupByName({ fake, args, body }: FakeRequest): void {
  const name = args.string(max);
  const found = [...fake.domains.values()].find((domain) => domain.name === name);
  encodeDomain(body, refOf(found ?? refuse(42, `Domain not found: no domain with matching name '${name}'`)));
}

function suspend({ fake, args }: FakeRequest): void {
  const domain = domainOf(fake, args);
  if (domain.id < 0) refuse(55, notRunning);
  if (domain.state === 3) return;
  // libvirt counts a suspension during a migration as part of it.
  Object.assign(domain, { state: 3, reason: fake.moveOf(domain) === null ? 1 : 2 });
  fake.lifecycle(domain, 3, 0);
}

function setAutostart({ fake, args }: FakeRequest): void {
  const domain = domainOf(fake, args);
  const autostart = args.i32() !== 0;
  if (!domain.persistent) refuse(55, 'Requested operation is not valid: cannot set autostart for transient domain');
  domain.autostart = autostart;
}

function resume({ fake, args }: FakeRequest): void {
  const domain = domainOf(fake, args);
  if (domain.id < 0) refuse(55, notRunning);
  if (domain.state === 1) refuse(55, 'Requested operation is not valid: domain is already running');
  Object.assign(domain, { state: 1, reason: 5 });
  fake.lifecycle(domain, 4, 0);
}

/** virConnectListAllDomainsFlags: groups of flags; within one group any may match. */
function matches(domain: FakeDomain, flags: number): boolean {
  const groups: readonly (readonly [number, boolean])[][] = [
    [
      [1, domain.id >= 0],
      [2, domain.id < 0],
    ],
    [
      [4, domain.persistent],
      [8, !domain.persistent],
    ],
    [
      [16, domain.state === 1],
      [32, domain.state === 3],
      [64, domain.state === 5],
    ],
  ];
  return groups.every((group) => {
    const asked = group.filter(([flag]) => (flags & flag) !== 0);
    return asked.length === 0 || asked.some(([, holds]) => holds);
  });
}

function listAll({ fake, args, body }: FakeRequest): void {
  args.i32();
  const flags = args.u32();
  const found = [...fake.domains.values()].filter((domain) => matches(domain, flags)).map(refOf);
  body.array(found, 16_384, encodeDomain).u32(found.length);
}

function allStats({ fake, args, body }: FakeRequest): void {
  const asked = args.array(16_384, 24, decodeDomain);
  args.u32();
  const flags = args.u32();
  const chosen =
    asked.length > 0 ? asked.map((ref) => fake.find(ref.uuid)) : [...fake.domains.values()].filter((domain) => matches(domain, flags));
  const nowMs = performance.now();
  body.array(chosen, 16_384, (inner, domain) => {
    encodeDomain(inner, refOf(domain));
    inner.array(fakeStats(domain, nowMs), 262_144, encodeTypedParam);
  });
}

function jobStats({ fake, args, body }: FakeRequest): void {
  withFlags(fake, args, (domain) => {
    if (domain.id < 0) refuse(55, notRunning);
    if (domain.job?.side === 'in') refuse(84, 'Operation not supported: migration statistics are available only on the source host');
    body.i32(domain.job === null ? 0 : 2).array(domain.job?.side === 'out' ? domain.job.params : [], 64, encodeTypedParam);
  });
}

async function migrate({ fake, args, body }: FakeRequest): Promise<void> {
  const ref = decodeDomain(args);
  const destinationUri = args.optional((d) => d.string(max));
  decodeTypedParams(args);
  args.opaque(max);
  await fake.migrate(ref.uuid, destinationUri, args.u32());
  body.opaque(new Uint8Array(), max);
}

function destroy({ fake, args }: FakeRequest): void {
  withFlags(fake, args, (domain) => {
    if (domain.job?.side === 'in' && domain.job.orphaned) refuse(68, 'Timed out during operation: cannot acquire state change lock');
    fake.stopDomain(domain, 1);
  });
}

/** Only the end of one that was cancelled, which has no domain to answer with. */
function finishMigration({ fake, args }: FakeRequest): void {
  const name = decodeTypedParams(args).find(({ field }) => field === 'destination_name')?.value;
  args.opaque(max);
  const [, cancelled] = [args.u32(), args.i32()];
  const domain = [...fake.domains.values()].find((one) => one.name === name);
  if (cancelled !== 1 || domain?.job?.side !== 'in')
    refuse(55, `Requested operation is not valid: domain '${String(name)}' is not being migrated`);
  fake.stopDomain(domain, 5);
  refuse(8, 'invalid argument: monitor must not be NULL');
}

const fakeMachine = 'pc-i440fx-7.2';
const hostCapabilities =
  `<capabilities><host/><guest><os_type>hvm</os_type><arch name='x86_64'>` +
  `<machine>${fakeMachine}</machine><machine canonical='${fakeMachine}'>pc</machine></arch></guest></capabilities>`;
const fakeNetworks: readonly string[] = ['default'];

function encodeNetwork(body: XdrEncoder, name: string): void {
  body.string(name, max);
  body.fixedOpaque(new Uint8Array(16), 16);
}

function emulatorChoice(args: XdrDecoder): readonly (string | null)[] {
  return Array.from({ length: 4 }, () => args.optional((d) => d.string(max)));
}

function domainCapabilities({ args, body }: FakeRequest): void {
  const [emulator, , machine] = emulatorChoice(args);
  args.u32();
  if (machine !== 'pc' && machine !== fakeMachine)
    refuse(8, `invalid argument: the machine '${machine}' is not supported by emulator '${emulator}'`);
  body.string(`<domainCapabilities><path>${emulator}</path><machine>${fakeMachine}</machine></domainCapabilities>`, max);
}

/** A host whose processor can do what qemu64 can, and no more. */
function compareCpu({ args, body }: FakeRequest): void {
  emulatorChoice(args);
  const xml = args.string(max);
  const flags = args.u32();
  const isKnown = /<model[^>]*>qemu64</u.test(xml);
  if (!isKnown && (flags & 1) !== 0)
    refuse(91, 'the CPU is incompatible with host CPU: Host CPU does not provide required features: avx512f');
  body.i32(isKnown ? 2 : 0);
}

function startDirtyLook({ fake, args }: FakeRequest): void {
  const domain = domainOf(fake, args);
  const seconds = args.i32();
  args.u32();
  if (domain.id < 0) refuse(55, notRunning);
  if (seconds < 1 || seconds > 60) refuse(8, 'invalid argument: seconds=0 is invalid');
  domain.dirtyLook = { startedMs: performance.now(), seconds };
}

function deregister({ client, args }: FakeRequest): void {
  const id = args.i32();
  if (!client.callbacks.delete(id)) refuse(1, `internal error: domain event callback ${id} not registered`);
}
