import { type Command, Option } from 'commander';
import { configOption, outputOption } from './options.ts';
import { type OutputForm, show, writeLine } from './output.ts';
import { checkAgentConfig, checkControllerConfig, joinAgent, readToken, runAgent, runController, runLab } from './processes.ts';

interface JoinOptions {
  readonly config: string;
  readonly tokenFile: string;
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

  addJoinCommand(agent);
  addConfigCheck(agent, agentConfigPath, checkAgentConfig);
}

/** `join`, of the agent and of the host: the same. Runs on the host that joins. */
export function addJoinCommand(parent: Command): void {
  parent
    .command('join')
    .description("on the host that joins: get its certificate with a one-time token (made by 'plimsoll host token')")
    .addOption(configOption(agentConfigPath))
    // Never the token itself: everybody on this host can see a process's arguments and its user its environment.
    .requiredOption('--token-file <file>', "file that holds the one-time token; '-' is standard input")
    .addOption(
      new Option(
        '--ca-fingerprint <fingerprint>',
        "the fingerprint of the cluster's root, as 'host token' printed it",
      ).makeOptionMandatory(),
    )
    .addHelpText('after', '\nExamples:\n  plimsoll host join --token-file - --ca-fingerprint sha256:0123…')
    .action(async (options: JoinOptions) => {
      await joinAgent({ configPath: options.config, token: await readToken(options.tokenFile), caFingerprint: options.caFingerprint });
      writeLine(`This host has joined. Start its agent with: plimsoll agent run --config ${options.config}`);
    });
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
