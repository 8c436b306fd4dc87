import type { PlanResource } from '#wire/api.ts';
import { type Command, Option } from 'commander';
import type { ControllerClient } from './client.ts';
import { CliError } from './errors.ts';
import { printMigrations } from './migration-printer.ts';
import { objectives, type OfflineOptions } from './offline-plan.ts';
import { printOfflinePlan } from './offline-plan-printer.ts';
import { callOf, effortArgument, movesArgument, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { printPlan } from './plan-printer.ts';

const examples = `
Examples:
  plimsoll plan                  the newest plan: moves, reasons, what was skipped and why
  plimsoll plan new              plan now; moves nothing
  plimsoll plan apply p-42       start the moves of a plan
  plimsoll plan --watch          follow the planner
  plimsoll plan -t monday.json   what it would do with a snapshot; needs no controller
  plimsoll plan -t ganeti.data -U ganeti.util --objective hbal -S after.data
                                 for a cluster of Ganeti, by hbal's own score`;

/** `plan [show|new|apply]`. */
export function addPlanCommands(program: Command): void {
  const plan = program.command('plan').description('what the planner would move, and why').addHelpText('after', examples);

  withOffline(
    withWatch(plan.command('show', { isDefault: true }).description('show a plan').argument('[plan]', 'its id (default: the newest)')),
  ).action(async (planId: string | undefined, options: Partial<OfflineOptions>, command: Command) => {
    if (options.textData !== undefined) {
      if (planId !== undefined) throw new CliError('usage', 'a plan for a file has no id: leave it out');
      const { planOffline } = await import('./offline-plan.ts');
      const given = options as OfflineOptions;
      return show(await planOffline(given), given.output, printOfflinePlan);
    }
    const stray = [options.util && '--util', options.saveCluster && '--save-cluster', options.maxMoves && '--max-moves'].find(Boolean);
    if (stray) throw new CliError('usage', `${stray} is for a cluster in a file: name it with -t FILE`);
    const call = await callOf(command);
    return showView({ read: () => readPlan(call.client, planId), print: printPlan }, call);
  });

  withController(plan.command('new').description('plan now and show the plan; moves nothing')).action(
    async (_options, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.makePlan(), form, printPlan);
    },
  );

  withController(plan.command('apply').description('start the moves of a plan').argument('<plan>', 'its id')).action(
    async (planId: string, _options, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.applyPlan(planId), form, printMigrations);
    },
  );
}

/** A cluster in a file is planned for here, without a controller. */
function withOffline(command: Command): Command {
  return command
    .option('-t, --text-data <file>', "plan for the cluster in this file: a snapshot, or a .data file of Ganeti's hbal")
    .option('-U, --util <file>', "hbal's utilisation of the instances (default: FILE.util beside FILE.data)")
    .addOption(new Option('--objective <name>', 'by the policy, or by the score that hbal has').choices(objectives).default('plimsoll'))
    .option('-l, --max-moves <n>', 'no more moves than this', movesArgument)
    .addOption(
      new Option('--effort <n>', 'changes tried for each VM to make better use of the moves (default: quick)').argParser(effortArgument),
    )
    .option('-S, --save-cluster <file>', 'write the cluster after the last move, in the format of hbal')
    .option('-f, --force', 'over a file that is there already', false);
}

function readPlan(client: ControllerClient, planId: string | undefined): Promise<PlanResource> {
  return planId === undefined ? client.latestPlan() : client.plan(planId);
}
