import type { Command } from 'commander';
import { addDrainCommands } from './drain-commands.ts';
import { confirmByTyping } from './confirm.ts';
import { CliError } from './errors.ts';
import { formatDuration } from './format.ts';
import { printHost, printHosts, printToken } from './host-printer.ts';
import { type Call, callOf, durationArgument, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { addJoinCommand } from './process-commands.ts';
import { printCertificates, printRenewals, printRevocation } from './security-printer.ts';

const tokenLifetimeMs = 3_600_000;

const examples = `
Examples:
  plimsoll host list --watch                         load of every host, live
  plimsoll host token host3                          let a host join ('host join' on that host uses the token)
  plimsoll host renew --all                          a new key and certificate for every host; migrations go on
  plimsoll host revoke host3 --reason "disk stolen"  put a host out within 5 s
  plimsoll host drain host3 --dry-run                what would go where, were it emptied for maintenance`;

/** `host list|show|token|join|renew|revoke|cordon|uncordon|drain|restore`. */
export function addHostCommands(program: Command): void {
  const host = program
    .command('host')
    .description('hosts: their load, their certificates, joining and leaving')
    .addHelpText('after', examples);

  withWatch(host.command('list').alias('ls').description('list the hosts with their load')).action(async (_options, command: Command) => {
    const call = await callOf(command);
    await showView({ read: () => call.client.hosts(), print: printHosts }, call);
  });

  withWatch(host.command('show').description('show one host').argument('<host>', 'its name'))
    .option('--certificates', 'its certificates instead', false)
    .action(async (hostId: string, options: { readonly certificates: boolean }, command: Command) => {
      const call = await callOf(command);
      if (options.certificates) await showView({ read: () => call.client.certificates(hostId), print: printCertificates }, call);
      else await showView({ read: () => call.client.host(hostId), print: printHost }, call);
    });

  addTokenCommand(host);
  addJoinCommand(host);
  addRenewCommand(host);
  addRevokeCommand(host);
  addDrainCommands(host);
}

function addTokenCommand(host: Command): void {
  withController(
    host.command('token').description('make a one-time token with which a host may join').argument('<host>', 'the name it will have'),
  )
    .option(
      '--lifetime <time>',
      `how long the token can be used (default: ${formatDuration(tokenLifetimeMs)})`,
      durationArgument,
      tokenLifetimeMs,
    )
    .addHelpText('after', '\nExamples:\n  plimsoll host token host3\n  plimsoll host token host3 --lifetime 15m -o json')
    .action(async (hostId: string, options: { readonly lifetime: number }, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.createToken(hostId, options.lifetime), form, printToken);
    });
}

function addRenewCommand(host: Command): void {
  withController(
    host
      .command('renew')
      .description('give a host a new key and certificate now; channels and migrations go on')
      .argument('[host]', 'its name'),
  )
    .option('--all', 'every connected host', false)
    .addHelpText('after', '\nCertificates renew themselves with a third of their life left. Exit code: 1 when any was not renewed.')
    .action(async (hostId: string | undefined, options: { readonly all: boolean }, command: Command) => {
      if ((hostId === undefined) !== options.all) throw new CliError('usage', 'name one host, or say --all');
      const { client, form } = await callOf(command);
      const renewals = await client.renewCertificates(hostId ?? null);
      show(renewals, form, printRenewals);
      if (renewals.some(({ refusal }) => refusal !== null)) process.exitCode = 1;
    });
}

interface RevokeOptions {
  readonly reason: string;
  readonly yes: boolean;
  readonly dryRun: boolean;
}

function addRevokeCommand(host: Command): void {
  withController(
    host
      .command('revoke')
      .description('put a host out of the cluster: its certificates, its line and its channels end within 5 s')
      .argument('<host>', 'its name'),
  )
    .requiredOption('--reason <text>', 'why, for the audit')
    .option('-y, --yes', 'do not ask for the name to be typed', false)
    .option('-n, --dry-run', 'show the certificates it would lose, change nothing', false)
    .addHelpText('after', "\nIts VMs keep running on it. It can join again with a new token: 'plimsoll host token HOST'.")
    .action(async (hostId: string, options: RevokeOptions, command: Command) => {
      const call = await callOf(command);
      if (options.dryRun) return show(await call.client.certificates(hostId), call.form, printCertificates);
      if (!options.yes) await confirmRevocation(call, hostId);
      show(await call.client.revokeHost(hostId, options.reason), call.form, printRevocation);
    });
}

/** Asked only about a host that exists: a mistyped name is told before it is typed again. */
async function confirmRevocation(call: Call, hostId: string): Promise<void> {
  const { vms } = await call.client.host(hostId);
  const question = `${hostId} will be put out of the cluster: its channels end now, migrations with it are aborted. It has ${vms} VMs, which keep running there.`;
  await confirmByTyping(hostId, question, call.signal);
}
