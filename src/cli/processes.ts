/**
 * The long-running processes that the CLI starts, and the check of their configuration. The one file of the
 * CLI that reaches beyond the wire: everything behind it is imported only when it is asked for.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { CliError } from './errors.ts';
import { interruptSignal } from './interrupt.ts';

export interface JoinRequest {
  readonly configPath: string;
  readonly token: string;
  readonly caFingerprint: string;
}

/** Runs the controller in this process until SIGINT or SIGTERM; a clean stop resolves. */
export async function runController(configPath: string): Promise<void> {
  const main = await import('#controller/main.ts');
  await main.runController(configPath, interruptSignal());
}

/** Runs the agent in this process until SIGINT or SIGTERM; a clean stop resolves. */
export async function runAgent(configPath: string): Promise<void> {
  const main = await import('#agent/main.ts');
  await main.runAgent(configPath, interruptSignal());
}

/** Exchanges a one-time token for this host's certificate. */
export async function joinAgent(request: JoinRequest): Promise<void> {
  const main = await import('#agent/main.ts');
  await main.joinAgent(request, interruptSignal());
}

/** The controller's configuration with its defaults filled in; throws `config-invalid` with file, line and column. */
export async function checkControllerConfig(path: string): Promise<object> {
  const { loadYamlConfig } = await import('#drivers/config/yaml-config.ts');
  const { ControllerConfigSchema, controllerConfigOf } = await import('#wire/controller-config.ts');
  return controllerConfigOf(loadYamlConfig(path, ControllerConfigSchema));
}

/** The agent's configuration with its defaults filled in; throws `config-invalid` with file, line and column. */
export async function checkAgentConfig(path: string): Promise<object> {
  const { loadYamlConfig } = await import('#drivers/config/yaml-config.ts');
  const { AgentConfigSchema, agentConfigOf } = await import('#wire/agent-config.ts');
  return agentConfigOf(loadYamlConfig(path, AgentConfigSchema));
}

/** Runs the lab's own program with these arguments as a child process; resolves with its exit code. */
export function runLab(args: readonly string[]): Promise<number> {
  return runChild(fileURLToPath(import.meta.resolve('#lab/main.ts')), args);
}

/**
 * Runs a script under this Node with this process's standard streams; resolves with its exit code, or
 * 128 + n when signal n ended it. Signals sent to this process are passed on.
 */
export function runChild(script: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, script, ...args], { stdio: 'inherit' });
    const forwarding = forwardedSignals().map((name) => ({ name, forward: () => child.kill(name) }));
    for (const { name, forward } of forwarding) process.on(name, forward);
    const settle = () => {
      for (const { name, forward } of forwarding) process.off(name, forward);
    };
    child.once('error', (cause) => {
      settle();
      reject(new CliError('child-failed', `cannot start ${script}: ${cause.message}`, { cause }));
    });
    child.once('exit', (code, signal) => {
      settle();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/**
 * A terminal sends Ctrl-C to its whole process group, so the child has it already: passed on as well it would
 * count as the second one, which means "at once". It is then only kept from ending this process.
 */
function forwardedSignals(): readonly NodeJS.Signals[] {
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  if (!onTerminal) return ['SIGINT', 'SIGTERM', 'SIGHUP'];
  process.on('SIGINT', keepAlive);
  return ['SIGTERM', 'SIGHUP'];
}

function keepAlive(): void {
  // The child decides when it is over.
}
