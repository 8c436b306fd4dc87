import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError, codeOf } from './errors.ts';

/** The texts of a scenario folder; nothing in them has been looked at. */
export interface ScenarioTexts {
  readonly folder: string;
  readonly clusterPath: string;
  readonly cluster: string;
  readonly eventsPath: string;
  readonly events: string;
  /** Null where the folder has none. */
  readonly expectedLog: string | null;
}

const fileBytesMax = 16 * 1024 * 1024;

const advice = "a scenario folder holds cluster.yaml and events.yaml ('plimsoll sim run --help' shows both)";

/** Reads a folder. Throws CliError `input-invalid` that names what is not there. */
export async function readScenarioFolder(folder: string): Promise<ScenarioTexts> {
  const clusterPath = join(folder, 'cluster.yaml');
  const eventsPath = join(folder, 'events.yaml');
  await mustBeFolder(folder);
  return {
    folder,
    clusterPath,
    cluster: await mustRead(clusterPath),
    eventsPath,
    events: await mustRead(eventsPath),
    expectedLog: await readIfThere(join(folder, 'expected.log')),
  };
}

async function mustBeFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((cause: unknown) => {
    throw new CliError('input-invalid', `${folder} cannot be read (${codeOf(cause)}): ${advice}`, { cause });
  });
  if (!found.isDirectory()) throw new CliError('input-invalid', `${folder} is not a folder: ${advice}`);
}

async function mustRead(path: string): Promise<string> {
  const text = await readIfThere(path);
  if (text === null) throw new CliError('input-invalid', `there is no ${path}: ${advice}; events.yaml may be empty`);
  return text;
}

/** Null where there is no such file. */
async function readIfThere(path: string): Promise<string | null> {
  try {
    const { size } = await stat(path);
    if (size > fileBytesMax) throw new CliError('input-invalid', `${path} is larger than ${fileBytesMax} bytes: it is not of a scenario`);
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    if (codeOf(cause) === 'ENOENT') return null;
    throw new CliError('input-invalid', `${path} cannot be read (${codeOf(cause)})`, { cause });
  }
}
