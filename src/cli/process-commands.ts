import { type Command, Option } from 'commander';
import { configOption, outputOption } from './options.ts';
import { type OutputForm, show, writeLine } from './output.ts';
import { checkAgentConfig, checkControllerConfig, joinAgent, runAgent, runController, runLab } from './processes.ts';

interface JoinOptions {
  readonly config: string;
  readonly token: string;
  readonly caFingerprint: string;
}

const agentConfigPath = '/etc/plimsoll/agent.yaml';
const controllerConfigPath = '/etc/plimsoll/controller.yaml';

/** `lab …`: everything behind it belongs to the lab's own program. */
export function addLabCommand(program: Command): void {
  program
    .command('lab')
    .description("a real cluster on this machine to try things in ('plimsoll lab --help')")
    .argument('[arguments...]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .action(async (args: readonly string[]) => {
      process.exitCode = await runLab(args);
    });
}

/** `controller run|config check`. */
export function addControllerCommands(program: Command): void {
  const controller = program.command('controller').description('the central server');

  controller
    .command('run')
    .description('run the controller in the foreground until SIGINT or SIGTERM')
    .addOption(configOption(controllerConfigPath))
    .action((options: { readonly config: string }) => runController(options.config));

  addConfigCheck(controller, controllerConfigPath, checkControllerConfig);
}

/** `agent run|join|config check`. */
export function addAgentCommands(program: Command): void {
  const agent = program.command('agent').description('the part that runs on each host');

  agent
    .command('run')
    .description('run the agent in the foreground until SIGINT or SIGTERM')
    .addOption(configOption(agentConfigPath))
    .action((options: { readonly config: string }) => runAgent(options.config));

  agent
    .command('join')
    .description("get this host's certificate with a one-time token (made by 'plimsoll host token')")
    .addOption(configOption(agentConfigPath))
    .addOption(new Option('--token <token>', 'the one-time token').env('PLIMSOLL_JOIN_TOKEN').makeOptionMandatory())
    .addOption(
      new Option('--ca-fingerprint <fingerprint>', "the cluster CA's fingerprint, as 'host token' printed it").makeOptionMandatory(),
    )
    .addHelpText('after', '\nThe token can also come from PLIMSOLL_JOIN_TOKEN, out of sight of the process list.')
    .action(async (options: JoinOptions) => {
      await joinAgent({ configPath: options.config, token: options.token, caFingerprint: options.caFingerprint });
      writeLine(`This host has joined. Start its agent with: plimsoll agent run --config ${options.config}`);
    });

  addConfigCheck(agent, agentConfigPath, checkAgentConfig);
}

function addConfigCheck(parent: Command, defaultPath: string, check: (path: string) => Promise<object>): void {
  parent
    .command('config')
    .description('look at a configuration file')
    .command('check')
    .description('check a configuration file without using it')
    .argument('[file]', 'configuration file', defaultPath)
    .addOption(outputOption())
    .addHelpText('after', '\nWith -o json it prints the settings with their defaults filled in.')
    .action(async (file: string, options: { readonly output: OutputForm }) => {
      show(await check(file), options.output, () => `${file} is valid.`);
    });
}
