import type { Refusal } from '#core/model/result.ts';
import type { HostReading } from '#core/model/sample.ts';
import type { CommandArgs, CommandReply } from '#wire/agent-protocol.ts';
import type { AgentParts } from './parts.ts';

const gibibyte = 1024 ** 3;

/** Whether this host can take the VM: it must not have it already, and the memory must be really free. */
export async function checkDestination(
  parts: AgentParts,
  host: HostReading | null,
  args: CommandArgs<'vm.check-destination'>,
  signal: AbortSignal,
): Promise<CommandReply<'vm.check-destination'>> {
  const hypervisor = await parts.hypervisor.version(signal);
  const own = await parts.hypervisor.findVm(args.vmId, signal);
  // A definition that is shut off here is what an earlier migration left behind; the one that arrives replaces it.
  if (own !== null && own.state !== 'shut-off') {
    return answer(hypervisor, {
      code: 'destination-has-vm',
      message: `the destination has this VM already (${own.state}): stop and undefine it there first`,
    });
  }
  if (host === null)
    return answer(hypervisor, { code: 'host-down', message: 'the destination has not measured itself yet: try again in a few seconds' });
  const freeBytes = host.capacity.memoryBytes - host.memoryUsedBytes;
  if (freeBytes < args.memoryBytes) {
    const figures = `${(args.memoryBytes / gibibyte).toFixed(2)} GiB needed, ${(freeBytes / gibibyte).toFixed(2)} GiB free`;
    return answer(hypervisor, { code: 'no-memory', message: `not enough memory on the destination: ${figures}` });
  }
  return answer(hypervisor, null);
}

function answer(hypervisor: string, refusal: Refusal | null): CommandReply<'vm.check-destination'> {
  return { refusal, hypervisor };
}
