import type { Command } from 'commander';
import { callOf, countArgument, durationArgument, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { printAudit, printGrant, printGrants } from './security-printer.ts';

const lifetimeMsDefault = 3_600_000;

const examples = `
A grant lets migrations from one host to another go without IPsec for a time, through a weaker channel or in PLAIN TEXT, for emergencies.
One person requests it, another one approves it, everything is in the audit.

The controller does not check who somebody is: it takes the name that comes with the command (SUDO_USER, else the login name), and
whoever may open its socket (root) can give any name. Two persons guard against a mistake made alone, not against an administrator who
wants to cheat.

Examples:
  plimsoll grant request host1 host2 --reason "charon crashes, host1 is failing" --lifetime 30m
  plimsoll grant approve 1a2b3c4d5e6f
  plimsoll migrate web1 host2 --channel none --grant 1a2b3c4d5e6f`;

interface RequestOptions {
  readonly reason: string;
  readonly lifetime: number;
}

/** `grant request|approve|list|withdraw`. */
export function addGrantCommands(program: Command): void {
  const grant = program.command('grant').description('break-glass permission to migrate without IPsec').addHelpText('after', examples);

  withController(
    grant
      .command('request')
      .description('ask for a grant; another person has to approve it')
      .argument('<from>', 'host that would send without IPsec')
      .argument('<to>', 'host that would receive'),
  )
    .requiredOption('--reason <text>', 'why, for the audit')
    .option('--lifetime <time>', 'how long it is good for, counted from now, 1m to 8h (default: 1h)', durationArgument, lifetimeMsDefault)
    .action(async (fromHostId: string, toHostId: string, options: RequestOptions, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.requestGrant({ fromHostId, toHostId, reason: options.reason, lifetimeMs: options.lifetime }), form, printGrant);
    });

  for (const [verb, description] of [
    ['approve', 'approve a grant that another person has requested'],
    ['withdraw', 'end a grant early'],
  ] as const) {
    withController(grant.command(verb).description(description).argument('<grant>', 'its id')).action(
      async (grantId: string, _options, command: Command) => {
        const { client, form } = await callOf(command);
        show(await client.changeGrant(grantId, verb), form, printGrant);
      },
    );
  }

  withWatch(grant.command('list').alias('ls').description('list grants, newest first'))
    .option('--limit <count>', 'at most this many', countArgument, 50)
    .action(async (options: { readonly limit: number }, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.grants(options.limit), print: printGrants }, call);
    });
}

/** `audit list`. */
export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description("who did what with the cluster's security");

  withWatch(audit.command('list', { isDefault: true }).alias('ls').description('list the audit, newest first'))
    .option('--limit <count>', 'at most this many', countArgument, 50)
    .addHelpText('after', '\nExamples:\n  plimsoll audit list\n  plimsoll audit list --limit 1000 -o json')
    .action(async (options: { readonly limit: number }, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.audit(options.limit), print: printAudit }, call);
    });
}
