import { Argument, type Command } from 'commander';
import { callOf, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';
import { printMode, printStatus } from './status-printer.ts';

/** `status` and `mode`. */
export function addStatusCommands(program: Command): void {
  withWatch(program.command('status').description('show the controller: mode, hosts, migrations under way')).action(
    async (_options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.status(), print: printStatus }, call);
    },
  );

  addModeCommand(program, 'mode');
}

/** The same at two places; `name` is how it is called there. */
export function addModeCommand(parent: Command, name: string): void {
  withController(
    parent
      .command('mode')
      .description('show or change what the controller does with its plans')
      .addArgument(
        new Argument('[mode]', 'observe: plans, moves nothing; approve: a person applies; automatic: moves').choices([
          'observe',
          'approve',
          'automatic',
        ]),
      ),
  )
    .addHelpText('after', `\nExamples:\n  plimsoll ${name}\n  plimsoll ${name} automatic`)
    .action(async (mode: string | undefined, _options, command: Command) => {
      const { client, form } = await callOf(command);
      show(mode === undefined ? await client.status() : await client.setMode(mode), form, printMode);
    });
}
