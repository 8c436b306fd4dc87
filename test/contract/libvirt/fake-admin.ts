import type { FakeProcedures, FakeRequest } from './fake-procedures.ts';
import { FakeFault } from './fake-wire.ts';

const max = 4 * 1024 * 1024;

/** What the fake daemon does for each procedure number of admin_protocol.x; its servers are `admin` and `libvirtd`. */
export const fakeAdminProcedures: FakeProcedures = new Map([
  [1, ({ args }: FakeRequest): void => void args.u32()],
  [2, (): void => undefined],
  [5, ({ args, body }: FakeRequest): void => void body.string(server(args.string(max), args.u32()), max)],
  [18, updateTlsFiles],
]);

function server(name: string, _flags: number): string {
  if (name !== 'admin' && name !== 'libvirtd') throw new FakeFault(95, `Server not found: No server named '${name}'`, 7);
  return name;
}

function updateTlsFiles({ fake, args }: FakeRequest): void {
  server(args.string(max), args.u32());
  if (fake.identity === null) throw new FakeFault(1, 'internal error: no tls service found, unable to update tls files', 7);
  if (fake.identityOnDisk < 0) throw new FakeFault(38, "Cannot read CA certificate '/etc/pki/CA/cacert.pem': No such file or directory", 7);
  fake.identity = fake.identityOnDisk;
}
