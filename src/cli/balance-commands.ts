import type { Command } from 'commander';
import { printBalance } from './balance-printer.ts';
import { callOf, withWatch } from './options.ts';
import { showView } from './output.ts';

const examples = `
Examples:
  plimsoll balance status            what was planned, which hosts are not believed, what the forecasts were worth
  plimsoll balance status -o json    for scripts`;

/** `balance status`. */
export function addBalanceCommands(program: Command): void {
  const balance = program.command('balance').description('how balancing stands').addHelpText('after', examples);
  withWatch(
    balance
      .command('status', { isDefault: true })
      .description('show mode, newest plan, hosts over their line or not believed, and the forecasts'),
  ).action(async (_options, command: Command) => {
    const call = await callOf(command);
    await showView({ read: () => call.client.balance(), print: printBalance }, call);
  });
}
