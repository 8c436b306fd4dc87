import { type Command, InvalidArgumentError, Option } from 'commander';
import { isIP } from 'node:net';
import { controllerSocket } from './address.ts';
import type { ControllerClient } from './client.ts';
import { parseDuration } from './format.ts';
import { interruptSignal } from './interrupt.ts';
import type { OutputForm } from './output.ts';
import { type Moment, parseMoment, parseRate } from './quantities.ts';

/** What every command that asks the controller needs. */
export interface Call {
  readonly client: ControllerClient;
  readonly form: OutputForm;
  readonly watch: boolean;
  readonly signal: AbortSignal;
}

interface CallOptions {
  readonly controller?: string;
  readonly output: string;
  readonly watch?: boolean;
}

/** `--controller` and `-o`, on every command that asks the controller. */
export function withController(command: Command, output: Option = outputOption()): Command {
  return command.addOption(controllerOption().env('PLIMSOLL_CONTROLLER')).addOption(output);
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
  const form = options.output === 'json' ? 'json' : 'table';
  return { client: new ControllerClient(socketPath, signal), form, watch: options.watch ?? false, signal };
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

/** Argument parser of how many moves a plan may have. */
export function movesArgument(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('Write a whole number from 1.');
  return Number(text);
}

/** Argument parser of how hard to search. */
export function effortArgument(text: string): number {
  if (!/^(?:0|[1-9]\d{0,5})$/.test(text))
    throw new InvalidArgumentError('Write a whole number from 0 to 999999; 20 is quick, 20000 takes its time.');
  return Number(text);
}

/** The API gives no more at once. */
const limitMax = 1000;

/** Argument parser of how many to list. */
export function limitArgument(text: string): number {
  if (!/^[1-9]\d{0,3}$/.test(text) || Number(text) > limitMax)
    throw new InvalidArgumentError(`Write a whole number from 1 to ${limitMax}.`);
  return Number(text);
}

/** Argument parser of TCP connections; QEMU takes more, but nobody has seen a use for them. */
export function streamsArgument(text: string): number {
  if (!/^[1-9]\d?$/.test(text) || Number(text) > 64) throw new InvalidArgumentError('Write a whole number from 1 to 64.');
  return Number(text);
}

/** Argument parser of downtime limits. */
export function downtimeArgument(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === null || durationMs === 0) throw new InvalidArgumentError('Write a length of time such as 300ms or 2s.');
  return durationMs;
}

/** Argument parser of bandwidth caps, in bytes per second; 0 for `none`. */
export function rateArgument(text: string): number {
  const bytesPerSecond = text === 'none' ? 0 : parseRate(text);
  if (bytesPerSecond === null || (bytesPerSecond === 0 && text !== 'none'))
    throw new InvalidArgumentError('Write bytes or bits per second with a unit such as 100MiB, 12.5MB or 800Mbit, or none for no cap.');
  return bytesPerSecond;
}

/** Argument parser of where a VM is reached: an address, or `none`. */
export function addressArgument(text: string): string {
  // The zone of a link-local address means something on one machine only.
  if (text !== 'none' && (isIP(text) === 0 || text.includes('%')))
    throw new InvalidArgumentError('Write an IP address such as 192.0.2.7, or none.');
  return text;
}

/** Argument parser of yes and no. */
export function yesNoArgument(text: string): boolean {
  if (text !== 'yes' && text !== 'no') throw new InvalidArgumentError('Write yes or no.');
  return text === 'yes';
}

/** Argument parser of SLA classes: the name of one, or `none`. */
export function classArgument(text: string): string {
  if (!isWord(text)) throw new InvalidArgumentError('Write the name of a class of policy.classes such as critical, or none.');
  return text;
}

/** Argument parser of tenants: a name, or `none`. */
export function tenantArgument(text: string): string {
  if (!isWord(text))
    throw new InvalidArgumentError('Write up to 64 small letters, digits, dots, dashes and underscores such as acme, or none.');
  return text;
}

function isWord(text: string): boolean {
  return /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/.test(text);
}

/** Argument parser of the first moment wanted. */
export function sinceArgument(text: string): number {
  return momentOf(text).firstMs;
}

/** Argument parser of the first moment no longer wanted: a date means the end of its day. */
export function untilArgument(text: string): number {
  return momentOf(text).endMs;
}

function momentOf(text: string): Moment {
  const moment = parseMoment(text, Date.now());
  if (moment === null)
    throw new InvalidArgumentError('Write a date such as 2026-11-01 or 2026-11-01T14:05 (UTC), or how long ago, such as 24h or 7d.');
  return moment;
}

/** Also understood before the command, where it wins over the environment. */
export function controllerOption(): Option {
  return new Option(
    '--controller <address>',
    "unix:/path of the controller's socket (default: the installed controller, else the only lab)",
  );
}
