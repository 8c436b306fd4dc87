import { Command, type OutputConfiguration } from 'commander';
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { addBalanceCommands } from './balance-commands.ts';
import { addChannelCommands } from './channel-commands.ts';
import { addAuditCommands, addGrantCommands } from './grant-commands.ts';
import { fold } from './fold.ts';
import { addHistoryCommand } from './history-commands.ts';
import { addHostCommands } from './host-commands.ts';
import { addMaintenanceCommands } from './maintenance-commands.ts';
import { addMigrateCommand, addMigrationCommands } from './migration-commands.ts';
import { controllerOption } from './options.ts';
import { terminalColumns } from './output.ts';
import { addPlanCommands } from './plan-commands.ts';
import { addReceiptCommands } from './receipt-commands.ts';
import { addAgentCommands, addControllerCommands, addLabCommand } from './process-commands.ts';
import { addRuleCommands } from './rule-commands.ts';
import { addSimCommands } from './sim-commands.ts';
import { addSnapshotCommands } from './snapshot-commands.ts';
import { addStatusCommands } from './status-commands.ts';
import { addVmCommands } from './vm-commands.ts';

const examples = `
Examples:
  plimsoll host list --watch               load of every host, live
  plimsoll plan                            what the planner would move, and why
  plimsoll balance status                  how balancing stands, and what the forecasts were worth
  plimsoll vm check web1                   where can it go, and why not there?
  plimsoll migrate web1 host2 --dry-run    how would it be moved, and what would that cost?
  plimsoll channel prove host1 host2       is the way between them protected?
  plimsoll migration list -o json          for scripts
  plimsoll history --since 24h             what migrations did cost, against what was predicted

The controller is found at --controller or PLIMSOLL_CONTROLLER (unix:/path), else the installed one, else the only lab.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted. PLIMSOLL_DEBUG=1 adds stack traces to errors.`;

/** The whole command line. A wrong one throws commander's error after its message was written to `output` (default: this process's). */
export function createProgram(output: OutputConfiguration = {}): Command {
  const program = new Command('plimsoll')
    .description('Keeps every host below its load line, and moves virtual machines through channels that are proven to be encrypted.')
    .version(packageVersion())
    .addOption(controllerOption())
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({ writeOut: writeFolded, ...output, outputError: (text, write) => write(usageMessage(text)) })
    .addHelpText('after', examples);
  addStatusCommands(program);
  addHostCommands(program);
  addMaintenanceCommands(program);
  addVmCommands(program);
  addRuleCommands(program);
  addPlanCommands(program);
  addBalanceCommands(program);
  addMigrateCommand(program);
  addMigrationCommands(program);
  addHistoryCommand(program);
  addReceiptCommands(program);
  addChannelCommands(program);
  addGrantCommands(program);
  addAuditCommands(program);
  addSnapshotCommands(program);
  addSimCommands(program);
  addControllerCommands(program);
  addAgentCommands(program);
  addLabCommand(program);
  return program;
}

/** The library breaks its own lines only, not those of the examples. */
function writeFolded(text: string): void {
  process.stdout.write(fold(text, terminalColumns()));
}

/** `plimsoll: usage: unknown command 'hots' (Did you mean host?)` */
function usageMessage(text: string): string {
  return `plimsoll: usage: ${text
    .replace(/^error: /, '')
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')}\n`;
}

function packageVersion(): string {
  const path = findPackageJSON('..', import.meta.url);
  if (path === undefined) return 'unknown';
  const manifest: unknown = JSON.parse(readFileSync(path, 'utf8'));
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
}
