import type { Command } from 'commander';
import { printBalance } from './balance-printer.ts';
import { confirmByTyping } from './confirm.ts';
import { CliError } from './errors.ts';
import { callOf, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { followApplied } from './plan-commands.ts';
import { printPlan } from './plan-printer.ts';
import { addModeCommand } from './status-commands.ts';

const examples = `
Examples:
  plimsoll balance status            what was planned, which hosts are not believed, what the forecasts were worth
  plimsoll balance mode automatic    plan, and move
  plimsoll balance now               plan now, and move now
  plimsoll balance status -o json    for scripts`;

const nowHelp = `
In mode automatic the moves are started at once. In mode approve it asks, or takes --yes for an answer. In mode observe nothing moves: it
shows the plan, and how to change the mode. Ctrl-C only stops the watching.
Exit code: 0 all moved or nothing to do, 1 refused, failed or not started, 130 no longer watched.`;

/** `balance [status|mode|now]`. */
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
  addModeCommand(balance, 'balance mode');
  withController(balance.command('now').description('plan now, start the moves and follow them to their end'))
    .option('-y, --yes', 'do not ask before the moves are started', false)
    .addHelpText('after', nowHelp)
    .action(balanceNow);
}

async function balanceNow(options: { readonly yes: boolean }, command: Command): Promise<void> {
  const call = await callOf(command);
  const { mode } = await call.client.status();
  const plan = await call.client.makePlan();
  const nothing = plan.moves.length === 0;
  if (call.form === 'table' || nothing || mode === 'observe') show(plan, call.form, printPlan);
  if (nothing) return;
  if (mode === 'observe')
    throw new CliError('mode-forbids', "the mode is observe, nothing moves: 'plimsoll balance mode approve' allows it");
  const count = plan.moves.length === 1 ? '1 move' : `${plan.moves.length} moves`;
  if (mode === 'approve' && !options.yes) await confirmByTyping('yes', `The ${count} of plan ${plan.planId} will be started.`, call.signal);
  const applied = await call.client.plans.apply(plan.planId, null);
  await followApplied(call, applied);
}
