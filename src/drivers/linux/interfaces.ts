import { IpCommand, type IpOptions } from './ip-command.ts';

/**
 * The network interfaces of this process's network namespace, by netlink: the tree in /sys is that of the namespace in which it was
 * mounted, which may be another one.
 */
export class LinuxInterfaces {
  readonly #ip: IpCommand;

  constructor(options: IpOptions = {}) {
    this.#ip = new IpCommand(options);
  }

  /** Names of the bridges. Rejects with `channel-failed` when `ip` cannot be run. */
  async bridges(signal: AbortSignal): Promise<readonly string[]> {
    const links = await this.#ip.links(signal);
    return links.filter(({ kind }) => kind === 'bridge').map(({ name }) => name);
  }

  async has(name: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#ip.links(signal)).some((link) => link.name === name);
  }
}
