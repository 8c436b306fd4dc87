import { type Command, InvalidArgumentError, Option } from 'commander';
import { controllerSocket } from './address.ts';
import type { ControllerClient } from './client.ts';
import { parseDuration } from './format.ts';
import { interruptSignal } from './interrupt.ts';
import type { OutputForm } from './output.ts';

/** What every command that asks the controller needs. */
export interface Call {
  readonly client: ControllerClient;
  readonly form: OutputForm;
  readonly watch: boolean;
  readonly signal: AbortSignal;
}

interface CallOptions {
  readonly controller?: string;
  readonly output: OutputForm;
  readonly watch?: boolean;
}

/** `--controller` and `-o`, on every command that asks the controller. */
export function withController(command: Command): Command {
  return command.addOption(controllerOption().env('PLIMSOLL_CONTROLLER')).addOption(outputOption());
}

export function withWatch(command: Command): Command {
  return withController(command).option('-w, --watch', 'show again every 2 s until Ctrl-C', false);
}

export function outputOption(): Option {
  return new Option('-o, --output <form>', 'table, or json: the REST resource itself').choices(['table', 'json']).default('table');
}

export function configOption(defaultPath: string): Option {
  return new Option('-c, --config <file>', 'configuration file').default(defaultPath);
}

/** The address and form asked for; finds the controller, so it fails when there is none. */
export async function callOf(command: Command): Promise<Call> {
  const options: CallOptions = command.optsWithGlobals();
  const signal = interruptSignal();
  const socketPath = controllerSocket(options.controller);
  // The schemas behind the client cost most of the CLI's start: help and wrong usage do without them.
  const { ControllerClient } = await import('./client.ts');
  return { client: new ControllerClient(socketPath, signal), form: options.output, watch: options.watch ?? false, signal };
}

/** Argument parser of lengths of time. */
export function durationArgument(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === null) throw new InvalidArgumentError('Write a length of time such as 90s, 30m, 1h or 2d.');
  return durationMs;
}

/** Argument parser of counts from 1. */
export function countArgument(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('Write a whole number from 1.');
  return Number(text);
}

/** Also understood before the command, where it wins over the environment. */
export function controllerOption(): Option {
  return new Option(
    '--controller <address>',
    "unix:/path of the controller's socket (default: the installed controller, else the only lab)",
  );
}
