/** What an operator does to a lab that is up: another configuration of the controller, a host that joins again. */
import type { ControllerConfigFile } from '#wire/controller-config.ts';
import { findCgroupRoots } from './cgroup.ts';
import type { Lab } from './lab.ts';
import { layoutOf } from './layout.ts';
import { joinHost, startAgent, startController } from './plimsoll.ts';

/** Restarts the controller with these keys over the configuration that the lab was started with; it answers when this returns. */
export async function reconfigureController(lab: Lab, config: Partial<ControllerConfigFile>, signal?: AbortSignal): Promise<void> {
  const { record } = lab;
  const controllerConfig = { ...record.options.controllerConfig, ...config };
  const layout = layoutOf(record.name, record.index);
  await lab.ctl.stopService('controller', signal);
  await startController(layout, { ...record, options: { ...record.options, controllerConfig } }, lab.ctl, signal);
}

/** Stops a host's agent, gives the host a new identity by a new token, and starts the agent with it. */
export async function joinAgain(lab: Lab, hostName: string, signal?: AbortSignal): Promise<void> {
  const { record } = lab;
  const { machine, name } = lab.host(hostName);
  const host = record.hosts.find((h) => h.name === name);
  if (host === undefined) return;
  await machine.stopService('agent', signal);
  await joinHost(await findCgroupRoots(), layoutOf(record.name, record.index), record, host, machine, signal);
  await startAgent(machine);
}
