import type { RuleKind } from '#wire/rule-schemas.ts';
import { type Command, Argument } from 'commander';
import { selectorsArgument } from './label-arguments.ts';
import { callOf, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import {
  daysArgument,
  kindArgument,
  kinds,
  listArgument,
  offsetArgument,
  ruleOf,
  type RuleOptions,
  timeOfDayArgument,
} from './rule-arguments.ts';
import { printRule, printRules } from './rule-printer.ts';

const examples = `
Kinds:
  pin            the VMs run on the named hosts only
  affinity       the VMs run together on one host
  anti-affinity  no two of the VMs run on one host
  ignore         the balancer never moves them; people may
  blackout       the balancer does not move them in this time ('*': nothing at all)
  window         the balancer moves them in this time only

A VM is named by its name, its UUID, a name with * for any text, or a label that it has been given with 'plimsoll vm set': label:key=value,
or label:key for any value. A rule means the VMs that have the label now, and those that get it later. Placement rules (pin, affinity, anti-affinity) bind everybody;
the balancer moves a VM that is placed against one. Quote a * so that the shell leaves it alone.

Examples:
  plimsoll rule add anti-affinity web-apart --vm 'web-*'
  plimsoll rule add affinity shop-together --vm label:app=shop
  plimsoll rule add ignore by-hand --vm label:manual,db-1
  plimsoll rule add pin licensed --vm db-1,db-2 --host host1,host2
  plimsoll rule add blackout nightly --vm '*' --from 22:00 --until 06:00 --days mon-fri --offset +01:00
  plimsoll rule list -o json
  plimsoll rule remove web-apart`;

/** `rule add|list|remove`. */
export function addRuleCommands(program: Command): void {
  const rule = program.command('rule').description('where VMs may run, and when the balancer may move them').addHelpText('after', examples);

  withController(
    rule
      .command('add')
      .description('make a rule')
      .addArgument(new Argument('<kind>', kinds.join(', ')).argParser(kindArgument))
      .argument('<name>', 'the name it will have'),
  )
    .option('--vm <names>', "VMs: names, UUIDs, names with *, or label:key=value; 'web-*,db-1', or given again", selectorsArgument, [])
    .option('--host <names>', 'pin: hosts they may run on', listArgument, [])
    .option('--from <time>', 'blackout, window: when it begins, such as 22:00', timeOfDayArgument)
    .option('--until <time>', 'blackout, window: when it ends; before --from: on the next day', timeOfDayArgument)
    .option(
      '--days <days>',
      'blackout, window: days on which it begins, such as mon-fri (default: every day)',
      daysArgument,
      daysArgument('mon-sun'),
    )
    .option('--offset <offset>', 'blackout, window: of these times from UTC, such as +01:00 (default: utc)', offsetArgument, 0)
    .addHelpText('after', examples)
    .action(async (kind: RuleKind, name: string, options: RuleOptions, command: Command) => {
      const wanted = ruleOf(kind, name, options);
      const { client, form } = await callOf(command);
      show(await client.placement.addRule(wanted), form, printRule);
    });

  withWatch(rule.command('list').alias('ls').description('list the rules, with what of them cannot be kept')).action(
    async (_options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.placement.rules(), print: printRules }, call);
    },
  );

  withController(rule.command('remove').alias('rm').description('remove a rule').argument('<name>', 'its name')).action(
    async (name: string, _options, command: Command) => {
      const { client, form } = await callOf(command);
      show(await client.placement.removeRule(name), form, (removed) => `removed: ${printRule(removed)}`);
    },
  );
}
