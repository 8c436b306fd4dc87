import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PlimsollError } from '#core/model/result.ts';
import { type Scenario, scenarioOf } from '#sim/scenario.ts';
import { parse } from 'yaml';

/** The scenario folders beside this file, by name. */
export async function scenarioNames(): Promise<readonly string[]> {
  const entries = await readdir(import.meta.dirname, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted();
}

/** Reads and checks one folder. Throws `config-invalid` that names the folder, the file, the place and the fault. */
export async function loadScenario(name: string): Promise<Scenario> {
  try {
    return scenarioOf(await readYaml(name, 'cluster.yaml'), (await readYaml(name, 'events.yaml')) ?? []);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new PlimsollError('config-invalid', `scenario ${name}: ${why}`, { cause: error });
  }
}

export function scenarioFile(name: string, file: string): string {
  return join(import.meta.dirname, name, file);
}

async function readYaml(name: string, file: string): Promise<unknown> {
  return parse(await readFile(scenarioFile(name, file), 'utf8')) as unknown;
}
