import type { PlanResource } from '#wire/api.ts';
import type { Command } from 'commander';
import type { ControllerClient } from './client.ts';
import { printMigrations } from './migration-printer.ts';
import { callOf, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { printPlan } from './plan-printer.ts';

const examples = `
Examples:
  plimsoll plan                  the newest plan: moves, reasons, what was skipped and why
  plimsoll plan new              plan now; moves nothing
  plimsoll plan apply p-42       start the moves of a plan
  plimsoll plan --watch          follow the planner`;

/** `plan [show|new|apply]`. */
export function addPlanCommands(program: Command): void {
  const plan = program.command('plan').description('what the planner would move, and why').addHelpText('after', examples);

  withWatch(plan.command('show', { isDefault: true }).description('show a plan').argument('[plan]', 'its id (default: the newest)')).action(
    async (planId: string | undefined, _options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => readPlan(call.client, planId), print: printPlan }, call);
    },
  );

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

function readPlan(client: ControllerClient, planId: string | undefined): Promise<PlanResource> {
  return planId === undefined ? client.latestPlan() : client.plan(planId);
}
