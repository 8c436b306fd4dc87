import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from './errors.ts';

/** Where controllers put their sockets on this machine. */
export interface SocketPlaces {
  readonly installed: string;
  /** Each lab has a folder of its name in here. */
  readonly labsDir: string;
}

const systemPlaces: SocketPlaces = { installed: '/run/plimsoll/controller.sock', labsDir: '/run/plimsoll/lab' };

/**
 * Path of the controller's Unix socket: the address given (`unix:/path`), else the installed controller, else
 * the only lab that is up. Throws CliError `usage`, `controller-unreachable` or `controller-ambiguous`.
 */
export function controllerSocket(given: string | undefined, places: SocketPlaces = systemPlaces): string {
  if (given !== undefined) return pathOf(given);
  if (existsSync(places.installed)) return places.installed;
  const labs = labSockets(places.labsDir);
  const [only] = labs;
  if (only === undefined) {
    throw new CliError(
      'controller-unreachable',
      "no controller runs on this machine: start one with 'plimsoll controller run', bring up a lab with 'plimsoll lab up', or name one with --controller unix:/path",
    );
  }
  if (labs.length > 1) {
    throw new CliError(
      'controller-ambiguous',
      `several labs are up: choose one with --controller ${labs.map((path) => `unix:${path}`).join(' or ')}`,
    );
  }
  return only;
}

function pathOf(address: string): string {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : '';
  if (!path.startsWith('/'))
    throw new CliError('usage', `'${address}' is not a controller's address: write it as unix:/path/to/controller.sock`);
  return path;
}

function labSockets(labsDir: string): readonly string[] {
  if (!existsSync(labsDir)) return [];
  return readdirSync(labsDir)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((lab) => join(labsDir, lab, 'controller.sock'))
    .filter((path) => existsSync(path));
}
