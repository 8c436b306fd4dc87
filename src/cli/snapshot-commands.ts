import type { Command } from 'commander';
import { CliError } from './errors.ts';
import { callOf, controllerOption, outputOption } from './options.ts';
import { type OutputForm, show, writeLine } from './output.ts';
import { readClusterFile, writeHbalFiles, writeNew } from './snapshot-files.ts';
import { printClusterFile, printHbalFiles } from './snapshot-printer.ts';

const examples = `
A snapshot is the whole cluster as the planner sees it: hosts, VMs, smoothed loads, policy, ledger, migrations under way.

Examples:
  plimsoll snapshot save monday.json
  plimsoll snapshot show monday.json                   hosts and VMs, and what is over its line
  plimsoll snapshot export monday.json /tmp/monday     /tmp/monday.data and /tmp/monday.util, for hbal -t and -U
  plimsoll snapshot show ganeti.data                   the other way: what hbal -S or hscan wrote
  plimsoll snapshot show ganeti.data -o json > ganeti.json`;

const stdoutName = '-';

/** `snapshot save|show|export`. */
export function addSnapshotCommands(program: Command): void {
  const snapshot = program.command('snapshot').description('the whole cluster in a file').addHelpText('after', examples);
  addSaveCommand(snapshot);
  addShowCommand(snapshot);
  addExportCommand(snapshot);
}

function addSaveCommand(snapshot: Command): void {
  snapshot
    .command('save')
    .description('save the cluster as it is now')
    .argument('<file>', "where to; '-' is standard output")
    .option('-f, --force', 'over a file that is there already', false)
    .addOption(controllerOption().env('PLIMSOLL_CONTROLLER'))
    .action(async (path: string, options: { readonly force: boolean }, command: Command) => {
      const { client } = await callOf(command);
      const taken = await client.snapshot();
      const text = JSON.stringify(taken, null, 1);
      if (path === stdoutName) return writeLine(text);
      await writeNew(path, `${text}\n`, options.force);
      return writeLine(`Saved ${taken.hosts.length} hosts and ${taken.vms.length} VMs. Look at it with: plimsoll snapshot show ${path}`);
    });
}

interface ReadOptions {
  readonly util?: string;
}

function addShowCommand(snapshot: Command): void {
  withFile(snapshot.command('show').description('show the hosts and VMs of a snapshot, or of a cluster of hbal'))
    .addOption(outputOption())
    .addHelpText('after', '\nWith -o json it prints the snapshot itself: that is how a cluster of hbal becomes one.')
    .action(async (path: string, options: ReadOptions & { readonly output: OutputForm }) => {
      const file = await readClusterFile(path, options.util ?? null);
      if (options.output === 'json') writeLine(JSON.stringify(file.snapshot, null, 1));
      else show(file, 'table', printClusterFile);
    });
}

function addExportCommand(snapshot: Command): void {
  withFile(snapshot.command('export').description("write a snapshot as Ganeti's hbal reads it, and say what is left out"))
    .argument('<to>', 'writes TO.data and TO.util')
    .option('-f, --force', 'over files that are there already', false)
    .addOption(outputOption())
    .action(async (path: string, to: string, options: ReadOptions & { readonly force: boolean; readonly output: OutputForm }) => {
      if (to === stdoutName) throw new CliError('usage', 'two files are written: name what they begin with');
      show(await writeHbalFiles(await readClusterFile(path, options.util ?? null), to, options.force), options.output, printHbalFiles);
    });
}

function withFile(command: Command): Command {
  return command
    .argument('<file>', "what 'snapshot save' wrote, or a .data file of hbal")
    .option('--util <file>', "hbal's utilisation of the instances (default: FILE.util beside FILE.data)");
}
