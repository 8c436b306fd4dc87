import type { PlanResource } from '#wire/api.ts';
import type { AppliedResource } from '#wire/plan-api.ts';
import { directions, strategies } from '#wire/planning-words.ts';
import { type Command, Option } from 'commander';
import type { ControllerClient } from './client.ts';
import { CliError } from './errors.ts';
import { objectives, type OfflineOptions } from './offline-plan.ts';
import { printOfflinePlan } from './offline-plan-printer.ts';
import { type Call, callOf, effortArgument, limitArgument, movesArgument, withController, withWatch } from './options.ts';
import { show, showView, writeLine, writeNote } from './output.ts';
import { printApplied, printExplanation, printPlans, printRejected, printRollback } from './plan-life-printer.ts';
import { printPlan } from './plan-printer.ts';
import { followPlan, isUnmade } from './plan-watch.ts';

const examples = `
Examples:
  plimsoll plan                  the newest plan: moves, reasons, what was skipped and why
  plimsoll plan new              plan now; moves nothing
  plimsoll plan explain          why each move, and why others not
  plimsoll plan apply p-42       start the moves of a plan
  plimsoll plan reject p-42      say no to it
  plimsoll plan --watch          follow the planner
  plimsoll plan -t monday.json   what it would do with a snapshot; needs no controller
  plimsoll plan -t monday.json --strategy pack
                                 which hosts could be emptied, and for how much
  plimsoll plan -t ganeti.data -U ganeti.util --objective hbal -S after.data
                                 for a cluster of Ganeti, by hbal's own score`;

const listHelp = `
States: open (can be applied), superseded (the same, but a newer plan was made since), applied, rejected, expired, empty (no moves).`;

const explainHelp = `
Examples:
  plimsoll plan explain                why each move of the newest plan, with what the score is made of
  plimsoll plan explain newest web1    why web1 moves, or stays
  plimsoll plan explain p-42           also what became of it: moved, failed, not started and why`;

const applyHelp = `
Each move is judged again right before it starts; what the cluster does not want any more is not done, and told. A move that has to wait for
another one starts by itself while the plan is valid. Exit code: 1 when a move was not started (with --watch: or failed).

Examples:
  plimsoll plan apply p-42 --dry-run         what would start, wait, or not be made
  plimsoll plan apply p-42 --watch           start all moves, and follow them
  plimsoll plan apply p-42 --only web1       only this one; the others can be applied until the plan expires`;

const rejectHelp = `
Moves that have not started are not started any more: not by this plan, and the balancer does not propose them again for a time
(policy.rejectedMsMin, an hour). Migrations under way go on; the answer says how to end them.

Examples:
  plimsoll plan reject p-42 --reason "not before the release"`;

const rollbackHelp = `
Newest move first, by ordinary migrations: their checks, rules, cordons and room hold, cool-downs do not. What cannot come back is named
with the reason. Asked again it goes on with what is left. Exit code: 1 when something is left where it is.

Examples:
  plimsoll plan rollback p-42 --dry-run
  plimsoll plan rollback p-42`;

/** `plan [show|new|list|explain|apply|reject|rollback]`. */
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
    const stray = [
      options.util && '--util',
      options.saveCluster && '--save-cluster',
      options.maxMoves && '--max-moves',
      options.strategy && '--strategy',
      options.direction && '--direction',
    ].find(Boolean);
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

  addReadingCommands(plan);
  addOrderCommands(plan);
}

function addReadingCommands(plan: Command): void {
  withWatch(plan.command('list').alias('ls').description('list plans, newest first, and how each stands'))
    .option('--limit <count>', 'at most this many', limitArgument, 20)
    .addHelpText('after', listHelp)
    .action(async (options: { readonly limit: number }, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.plans.list(options.limit), print: printPlans }, call);
    });

  withWatch(
    plan
      .command('explain')
      .description('why each move, why others not, and what became of it')
      .argument('[plan]', 'its id (default: the newest; also the word newest)')
      .argument('[vm]', 'only this VM: its name or UUID'),
  )
    .addHelpText('after', explainHelp)
    .action(async (planId: string | undefined, vm: string | undefined, _options, command: Command) => {
      const call = await callOf(command);
      const chosen = planId === undefined || planId === 'newest' ? null : planId;
      await showView({ read: () => call.client.plans.explain(chosen, vm ?? null), print: printExplanation }, call);
    });
}

interface ApplyOptions {
  readonly only: readonly string[];
  readonly dryRun: boolean;
  readonly watch: boolean;
}

function addOrderCommands(plan: Command): void {
  withController(plan.command('apply').description('start the moves of a plan, or some of them').argument('<plan>', 'its id'))
    .option('--only <vm>', 'only the move of this VM, by name or UUID; may be given again', collected, [])
    .option('-n, --dry-run', 'judge each move as it would be now; start none', false)
    .option('-w, --watch', 'follow the moves to their end; Ctrl-C only stops the watching', false)
    .addHelpText('after', applyHelp)
    .action(async (planId: string, options: ApplyOptions, command: Command) => {
      const call = await callOf(command);
      const applied = await call.client.plans.apply(planId, options.only.length === 0 ? null : options.only, options.dryRun);
      if (options.watch && !options.dryRun) await followApplied(call, applied);
      else show(applied, call.form, printApplied);
      if (applied.notStarted.length > 0) process.exitCode = 1;
    });

  withController(plan.command('reject').description('say no to a plan, or cancel the rest of one').argument('<plan>', 'its id'))
    .option('--reason <text>', 'why, for the others and the audit', '')
    .addHelpText('after', rejectHelp)
    .action(async (planId: string, options: { readonly reason: string }, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.plans.reject(planId, options.reason), form, printRejected);
    });

  withController(plan.command('rollback').description('bring VMs back to where a plan has moved them from').argument('<plan>', 'its id'))
    .option('-n, --dry-run', 'make all checks and show what would be brought back; move nothing', false)
    .addHelpText('after', rollbackHelp)
    .action(async (planId: string, options: { readonly dryRun: boolean }, command: Command) => {
      const { client, form } = await callOf(command);
      const rollback = await client.plans.rollBack(planId, options.dryRun);
      show(rollback, form, printRollback);
      if (rollback.steps.some(({ state }) => state === 'left')) process.exitCode = 1;
    });
}

function collected(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** Says what has started, and follows that to its end. Exit code 1 when a move failed, or was not started. */
export async function followApplied(call: Call, applied: AppliedResource): Promise<void> {
  if (call.form === 'table') writeNote(printApplied(applied));
  const ended = await followPlan(call.client, applied.planId, call.signal);
  if (call.form === 'json') show(ended, 'json', printExplanation);
  else
    writeLine(
      `Plan ${applied.planId}: ${ended.moves.filter(({ standing }) => standing.state === 'moved').length} of ${ended.moves.length} moved.`,
    );
  if (ended.moves.some(isUnmade)) process.exitCode = 1;
}

/** A cluster in a file is planned for here, without a controller. */
function withOffline(command: Command): Command {
  return command
    .option('-t, --text-data <file>', "plan for the cluster in this file: a snapshot, or a .data file of Ganeti's hbal")
    .option('-U, --util <file>', "hbal's utilisation of the instances (default: FILE.util beside FILE.data)")
    .addOption(new Option('--objective <name>', 'by the policy, or by the score that hbal has').choices(objectives).default('plimsoll'))
    .addOption(new Option('--strategy <name>', "instead of the strategy of the file's policy").choices(strategies))
    .addOption(new Option('--direction <name>', 'instead of its direction: who begins').choices(directions))
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
