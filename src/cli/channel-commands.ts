import { type Command, Option } from 'commander';
import { printChannel, printChannels, printProve, printReset, printTune } from './channel-printer.ts';
import { callOf, durationArgument, withController, withWatch } from './options.ts';
import { show, showView } from './output.ts';

const profiles = ['esp-tunnel', 'esp-transport', 'ah', 'ah+esp'] as const;
type Profile = (typeof profiles)[number];

const examples = `
Channels are made for each migration by themselves; these commands look at them and try them out.

Examples:
  plimsoll channel list                     every pair of hosts with a channel
  plimsoll channel prove host1 host2        make one, prove it, take it down
  plimsoll channel tune host1 host2         what larger packets would gain; --apply keeps them
  plimsoll channel reset host1 host2        end it, put network settings back`;

/** `channel list|show|prove|tune|reset`. */
export function addChannelCommands(program: Command): void {
  const channel = program
    .command('channel')
    .description('IPsec channels between hosts: state, proof, packet sizes')
    .addHelpText('after', examples);

  withWatch(channel.command('list').alias('ls').description('list the channels')).action(async (_options, command: Command) => {
    const call = await callOf(command);
    await showView({ read: () => call.client.channels(), print: printChannels }, call);
  });

  withWatch(pair(channel.command('show').description('show what stands between two hosts'))).action(
    async (one: string, other: string, _options, command: Command) => {
      const call = await callOf(command);
      await showView({ read: () => call.client.channel(one, other), print: printChannel }, call);
    },
  );

  addProve(channel);
  addTune(channel);

  withController(pair(channel.command('reset').description('end a channel and put the network settings of both hosts back')))
    .option('-n, --dry-run', 'show what stands there, change nothing', false)
    .action(async (one: string, other: string, options: { readonly dryRun: boolean }, command: Command) => {
      const { client, form } = await callOf(command);
      if (options.dryRun) return show(await client.channel(one, other), form, printChannel);
      const reset = await client.resetChannel(one, other);
      show(reset, form, printReset);
      if (reset.ends.some(({ refusal }) => refusal !== null)) process.exitCode = 1;
    });
}

function addProve(channel: Command): void {
  withController(pair(channel.command('prove').description('make a channel and prove it: probes cross inside, plain text is dropped')))
    .option('--keep', 'leave the channel up')
    .addOption(profileOption())
    .addHelpText('after', '\nExit code: 0 when the channel is proven, 1 when it is not. Takes some seconds; Ctrl-C stops the waiting only.')
    .action(async (from: string, to: string, options: { readonly keep?: boolean; readonly profile?: Profile }, command: Command) => {
      const { client, form } = await callOf(command);
      const body = { ...(options.keep === true ? { keep: true } : {}), ...profileOf(options) };
      const prove = await client.proveChannel(from, to, body);
      show(prove, form, printProve);
      if (prove.proof === null) process.exitCode = 1;
    });
}

interface TuneOptions {
  readonly apply: boolean;
  readonly stream?: number;
  readonly profile?: Profile;
}

function addTune(channel: Command): void {
  withController(
    pair(
      channel
        .command('tune')
        .description('measure the path between two hosts and compare packet sizes; without --apply nothing stays changed'),
    ),
  )
    .option('--apply', 'keep the better settings until the channel is closed or reset', false)
    .option('--stream <time>', 'length of each of the two measuring streams, 200ms to 15s (default: 2s)', durationArgument)
    .addOption(profileOption())
    .addHelpText(
      'after',
      '\nTakes half a minute, on a path that swallows large packets up to two. MTUs are raised only where the policy allows it.',
    )
    .action(async (from: string, to: string, options: TuneOptions, command: Command) => {
      const { client, form } = await callOf(command);
      const stream = options.stream === undefined ? {} : { streamMs: options.stream };
      show(await client.tuneChannel(from, to, { apply: options.apply, ...stream, ...profileOf(options) }), form, printTune);
    });
}

function pair(command: Command): Command {
  return command.argument('<host>', 'one end').argument('<host>', 'the other end');
}

function profileOption(): Option {
  return new Option('--profile <profile>', "another profile than the policy's, to compare").choices(profiles);
}

function profileOf({ profile }: { readonly profile?: Profile }): { readonly profile?: Profile } {
  return profile === undefined ? {} : { profile };
}
