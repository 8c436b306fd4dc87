import { type Refusal, type RefusalCode, refusalOf } from '#core/model/result.ts';

/** What the wire carries of a refusal's sentence; a longer one would cost the whole message, and the line. */
const sentenceLengthMax = 4096;

/** As `refusalOf`, with a sentence that fits the wire. */
export function shortRefusalOf(error: unknown, fallback: RefusalCode = 'internal'): Refusal {
  return shortened(refusalOf(error, fallback));
}

export function shortened({ code, message }: Refusal): Refusal {
  return { code, message: message.slice(0, sentenceLengthMax) };
}
