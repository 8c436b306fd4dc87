/**
 * The long-running processes that the CLI starts, and the check of their configuration. The one file of the
 * CLI that reaches beyond the wire: everything behind it is imported only when it is asked for.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CliError, codeOf } from './errors.ts';
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

/** A receipt out of a file; nobody has checked it. */
export interface ReceiptFile {
  readonly migrationId: string;
  readonly valid: null;
  readonly keyId: string;
  readonly statement: unknown;
  readonly envelope: unknown;
}

export type ReceiptVerdict =
  | {
      readonly valid: true;
      readonly statement: unknown;
      readonly signedBy: { readonly commonName: string; readonly certificateSha256: string; readonly rootName: string };
    }
  | { readonly valid: false; readonly why: string };

/** Reads a receipt without checking it. Throws `input-invalid` for a file that holds none. */
export async function readReceiptFile(path: string): Promise<ReceiptFile> {
  const { parseEnvelope, parseJson } = await import('#core/access/envelope.ts');
  const { decodeBase64 } = await import('#core/access/base64.ts');
  const text = await envelopeText(path);
  const envelope = parseEnvelope(text);
  const statement = parseJson(new TextDecoder().decode(decodeBase64(envelope?.payload ?? '') ?? new Uint8Array()));
  if (typeof statement !== 'object' || statement === null || !('migrationId' in statement))
    throw new CliError('input-invalid', `${path} holds no receipt: give it what 'plimsoll receipt show MIGRATION -o json' printed`);
  return {
    migrationId: String(statement.migrationId),
    valid: null,
    keyId: envelope?.signatures[0]?.keyid ?? '',
    statement,
    envelope: parseJson(text),
  };
}

/** Checks a receipt with the cluster's root certificate alone. Throws `input-invalid` for a CA file that is none. */
export async function verifyReceiptFile(path: string, caPath: string): Promise<ReceiptVerdict> {
  const { verifyReceipt } = await import('#drivers/pki/verify-receipt.ts');
  return verifyReceipt(await envelopeText(path), await readText(caPath));
}

/** The envelope of a file that holds it alone, or the REST resource around it. */
async function envelopeText(path: string): Promise<string> {
  const { parseJson } = await import('#core/access/envelope.ts');
  const text = await readText(path);
  const value = parseJson(text);
  return typeof value === 'object' && value !== null && 'envelope' in value ? JSON.stringify(value.envelope) : text;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new CliError('input-invalid', `${path} cannot be read (${codeOf(cause)}): name a file that is there`, { cause });
  }
}

/** The one-time token out of a file, or of standard input for `-`. Throws `input-invalid` when there is none. */
export async function readToken(path: string): Promise<string> {
  if (path === '-' && process.stdin.isTTY) process.stderr.write('Token: ');
  const token = (path === '-' ? await firstLine() : await readText(path)).trim();
  if (token === '') throw new CliError('input-invalid', `there is no token in ${path === '-' ? 'standard input' : path}`);
  return token;
}

async function firstLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin, signal: interruptSignal() });
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
  }
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
