import { dataPorts as libvirtPorts } from '#core/channel/guard-rules.ts';
import { PlimsollError } from '#core/model/result.ts';
import { type Static, Type } from 'typebox';
import { AddressesSchema, HostIdSchema, strict } from './resources.ts';

const Path = Type.String({ pattern: '^/', minLength: 2, maxLength: 1024 });

const Port = Type.Integer({ minimum: 1, maximum: 65_535 });

/** `agent.yaml`. Everything but the host's name, its addresses and the controller has a default. */
export const AgentConfigSchema = Type.Object(
  {
    hostId: HostIdSchema,
    controller: Type.String({ pattern: '^https://', maxLength: 512, description: 'Such as https://10.0.0.10:7443' }),
    addresses: AddressesSchema,
    identityDir: Type.Optional(Path),
    stateDir: Type.Optional(Path),
    sampleIntervalMs: Type.Optional(Type.Integer({ minimum: 200, maximum: 600_000 })),
    libvirt: Type.Optional(Type.Object({ socket: Type.Optional(Path), uri: Type.Optional(Type.String({ minLength: 3 })) }, strict)),
    ipsec: Type.Optional(
      Type.Object(
        {
          viciSocket: Type.Optional(Path),
          /** The longest wait for a new SA. The controller waits 30 s for it and for what comes with it. */
          establishMsMax: Type.Optional(Type.Integer({ minimum: 1000, maximum: 25_000 })),
        },
        strict,
      ),
    ),
    /** For channels of kind ssh, which is weaker than IPsec; without it they are refused. */
    ssh: Type.Optional(
      Type.Object(
        {
          user: Type.String({
            pattern: '^[a-z_][a-z0-9_-]{0,31}$',
            description: "Account on the other hosts that may open libvirt's socket and forward ports; it needs no shell",
          }),
          keyFile: Path,
          knownHostsFile: Path,
          port: Type.Optional(Port),
          dataPorts: Type.Optional(Type.Object({ first: Port, last: Port }, strict)),
        },
        strict,
      ),
    ),
    /** For VMs that arrive as sealed images. */
    images: Type.Optional(
      Type.Object(
        {
          port: Type.Optional(Port),
          folder: Type.Optional(Path),
          bytesMax: Type.Optional(Type.Integer({ minimum: 2 ** 20, maximum: 2 ** 50 })),
        },
        strict,
      ),
    ),
    /** How the channel is watched during a migration. For a slow host; longer means that a channel's loss is noticed later. */
    channelWatch: Type.Optional(
      Type.Object(
        {
          intervalMs: Type.Optional(Type.Integer({ minimum: 100, maximum: 10_000 })),
          readingMsMax: Type.Optional(Type.Integer({ minimum: 100, maximum: 60_000 })),
        },
        strict,
      ),
    ),
    capacity: Type.Optional(
      Type.Object(
        {
          /** For a host that is confined to a cgroup: its CPU quota is the capacity. */
          cgroup: Type.Optional(Type.Object({ cpuDirectory: Path, pressureDirectory: Path }, strict)),
          memoryBytes: Type.Optional(Type.Integer({ minimum: 1 })),
        },
        strict,
      ),
    ),
  },
  strict,
);

export type AgentConfigFile = Static<typeof AgentConfigSchema>;

/** The file with its defaults filled in. */
export interface AgentConfig {
  readonly hostId: string;
  readonly controllerUrl: string;
  readonly addresses: AgentConfigFile['addresses'];
  readonly identityDir: string;
  readonly stateDir: string;
  readonly sampleIntervalMs: number;
  readonly libvirtSocket: string;
  readonly libvirtUri: string;
  readonly viciSocket: string;
  readonly establishMsMax: number;
  /** Null: this host sends nothing by ssh. */
  readonly ssh: {
    readonly user: string;
    readonly keyFile: string;
    readonly knownHostsFile: string;
    readonly port: number;
    readonly dataPorts: { readonly first: number; readonly last: number };
  } | null;
  readonly images: { readonly port: number; readonly folder: string; readonly bytesMax: number };
  readonly channelWatch: { readonly intervalMs: number; readonly readingMsMax: number };
  readonly cgroup: { readonly cpuDirectory: string; readonly pressureDirectory: string } | null;
  readonly memoryCapacityBytes: number | null;
}

/** Beside the ports that libvirt hands out by itself, which the guard drops outside IPsec. */
const imagePort = 49_220;
const sshDataPorts = { first: 49_224, last: 49_239 };
const imageBytesMax = 2 ** 40;

/** Throws `config-invalid` for ports that cannot be used together. */
export function agentConfigOf(file: AgentConfigFile): AgentConfig {
  const stateDir = file.stateDir ?? '/var/lib/plimsoll';
  return {
    hostId: file.hostId,
    controllerUrl: file.controller,
    addresses: file.addresses,
    identityDir: file.identityDir ?? '/etc/plimsoll/pki',
    stateDir,
    sampleIntervalMs: file.sampleIntervalMs ?? 3000,
    libvirtSocket: file.libvirt?.socket ?? '/run/libvirt/libvirt-sock',
    libvirtUri: file.libvirt?.uri ?? 'qemu:///system',
    viciSocket: file.ipsec?.viciSocket ?? '/run/charon.vici',
    establishMsMax: file.ipsec?.establishMsMax ?? 10_000,
    ...weakerChannelsOf(file, stateDir),
    channelWatch: { intervalMs: file.channelWatch?.intervalMs ?? 500, readingMsMax: file.channelWatch?.readingMsMax ?? 2000 },
    cgroup: file.capacity?.cgroup ?? null,
    memoryCapacityBytes: file.capacity?.memoryBytes ?? null,
  };
}

function weakerChannelsOf(file: AgentConfigFile, stateDir: string): Pick<AgentConfig, 'ssh' | 'images'> {
  const ssh = file.ssh ? { port: 22, dataPorts: sshDataPorts, ...file.ssh } : null;
  const images = { port: imagePort, folder: `${stateDir}/incoming-images`, bytesMax: imageBytesMax, ...file.images };
  if (ssh !== null) mustBeFree('ssh.dataPorts', ssh.dataPorts);
  mustBeFree('images.port', { first: images.port, last: images.port });
  return { ssh, images };
}

function mustBeFree(what: string, { first, last }: { readonly first: number; readonly last: number }): void {
  if (first > last) throw new PlimsollError('config-invalid', `${what}: the first port ${first} is above the last one ${last}`);
  if (last < libvirtPorts.first || first > libvirtPorts.last) return;
  throw new PlimsollError(
    'config-invalid',
    `${what}: ${libvirtPorts.first} to ${libvirtPorts.last} are the ports that libvirt hands out by itself: choose others`,
  );
}
