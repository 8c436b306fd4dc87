import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { type Api, createApi } from '#controller/api/api.ts';
import type { ControllerService } from '#controller/service.ts';
import { createFakeService, type FakeService } from './fake-service.ts';
import { type CliOptions, type CliRun, runCli } from './run-cli.ts';

export interface Served {
  /** Serves the fake on the socket of this test, until the test is over. */
  serve(replaced?: Partial<ControllerService>): Promise<FakeService>;
  /** The command line, told of that socket. */
  cli(line: string, options?: CliOptions): Promise<CliRun>;
  /** Ends the API before its test is over. */
  stop(): Promise<void>;
  /** Of this test, with the socket in it. */
  readonly folder: string;
  readonly socketPath: string;
}

/** The REST API over the fake service and the command line in front of it; each test of the file gets a socket of its own. */
export function servedCli(): Served {
  const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const opened: Api[] = [];
  let folder = '';
  const socket = (): string => join(folder, 'c.sock');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'plimsoll-cli-'));
  });

  afterEach(async () => {
    for (const api of opened.splice(0)) await api.close();
    rmSync(folder, { recursive: true, force: true });
  });

  return {
    get folder() {
      return folder;
    },
    get socketPath() {
      return socket();
    },
    serve: async (replaced = {}) => {
      const service = createFakeService(replaced);
      const api = await createApi(service, { log, version: '0.1.0' });
      opened.push(api);
      await api.listen({ path: socket() });
      return service;
    },
    stop: async () => {
      await opened[0]?.close();
    },
    cli: (line, options = {}) => runCli(line.split(' '), { ...options, env: { PLIMSOLL_CONTROLLER: `unix:${socket()}`, ...options.env } }),
  };
}
