import type { Command } from 'commander';
import { callOf, outputOption, withController } from './options.ts';
import { type OutputForm, show, writeLine } from './output.ts';
import { readReceiptFile, verifyReceiptFile } from './processes.ts';
import { printReceipt, printVerdict } from './receipt-printer.ts';

const examples = `
Examples:
  plimsoll receipt show 1a2b3c4d5e6f                       ask the controller
  plimsoll receipt show 1a2b3c4d5e6f -o json > receipt.json
  plimsoll receipt show ./receipt.json                     read a file; its signature is not checked
  plimsoll receipt verify ./receipt.json --ca ca.crt       check it, anywhere, without the controller
  plimsoll receipt schema > receipt.schema.json`;

/** `receipt show|verify|schema`. */
export function addReceiptCommands(program: Command): void {
  const receipt = program.command('receipt').description('signed records of migrations').addHelpText('after', examples);

  withController(
    receipt
      .command('show')
      .description('show a receipt and whether its signature holds')
      .argument('<migration>', "the migration's id, or the path of a file (with a / in it)"),
  )
    .addHelpText('after', '\nExit code: 0 when the signature is valid, 1 when it is not. Of a file it is not checked: see receipt verify.')
    .action(async (reference: string, options: { readonly output: OutputForm }, command: Command) => {
      if (reference.includes('/')) return show(await readReceiptFile(reference), options.output, printReceipt);
      const { client, form } = await callOf(command);
      const resource = await client.receipt(reference);
      show(resource, form, printReceipt);
      if (!resource.valid) process.exitCode = 1;
    });

  receipt
    .command('verify')
    .description("check a receipt with the cluster's root certificate alone, offline")
    .argument('<file>', "what 'receipt show -o json' printed, or the envelope in it")
    .requiredOption('--ca <file>', "the cluster's root certificate (ca.crt of any host)")
    .addOption(outputOption())
    .addHelpText('after', '\nExit code: 0 when it is valid, 1 when it is not.')
    .action(async (file: string, options: { readonly ca: string; readonly output: OutputForm }) => {
      const verdict = await verifyReceiptFile(file, options.ca);
      show(verdict, options.output, printVerdict);
      if (!verdict.valid) process.exitCode = 1;
    });

  receipt
    .command('schema')
    .description('print the JSON schema of what a receipt states')
    .action(async () => {
      const { receiptJsonSchema } = await import('#wire/receipt-schema.ts');
      writeLine(JSON.stringify(receiptJsonSchema, null, 2));
    });
}
