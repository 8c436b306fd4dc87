import { type Static, Type } from 'typebox';
import { AddressesSchema, HostIdSchema, strict } from './resources.ts';

const Path = Type.String({ pattern: '^/', minLength: 2, maxLength: 1024 });

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
    ipsec: Type.Optional(Type.Object({ viciSocket: Type.Optional(Path) }, strict)),
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
  readonly channelWatch: { readonly intervalMs: number; readonly readingMsMax: number };
  readonly cgroup: { readonly cpuDirectory: string; readonly pressureDirectory: string } | null;
  readonly memoryCapacityBytes: number | null;
}

export function agentConfigOf(file: AgentConfigFile): AgentConfig {
  return {
    hostId: file.hostId,
    controllerUrl: file.controller,
    addresses: file.addresses,
    identityDir: file.identityDir ?? '/etc/plimsoll/pki',
    stateDir: file.stateDir ?? '/var/lib/plimsoll',
    sampleIntervalMs: file.sampleIntervalMs ?? 3000,
    libvirtSocket: file.libvirt?.socket ?? '/run/libvirt/libvirt-sock',
    libvirtUri: file.libvirt?.uri ?? 'qemu:///system',
    viciSocket: file.ipsec?.viciSocket ?? '/run/charon.vici',
    channelWatch: { intervalMs: file.channelWatch?.intervalMs ?? 500, readingMsMax: file.channelWatch?.readingMsMax ?? 2000 },
    cgroup: file.capacity?.cgroup ?? null,
    memoryCapacityBytes: file.capacity?.memoryBytes ?? null,
  };
}
