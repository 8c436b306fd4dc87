import type { CheckName, CheckVerdict, Finding } from '#core/model/definition.ts';
import type { Refusal, RefusalCode } from '#core/model/result.ts';
import type { Fact } from './preflight-input.ts';

/** One observation. A check may make several; its finding is the worst of them. */
export interface Note {
  readonly verdict: CheckVerdict;
  readonly code: RefusalCode | null;
  readonly sentence: string;
}

export function pass(sentence: string): Note {
  return { verdict: 'pass', code: null, sentence };
}

export function warn(sentence: string): Note {
  return { verdict: 'warn', code: null, sentence };
}

export function unknown(sentence: string): Note {
  return { verdict: 'unknown', code: null, sentence };
}

export function refuse(code: RefusalCode, sentence: string): Note {
  return { verdict: 'refuse', code, sentence };
}

/** A refusal of somebody else, with the host named in front where its sentence does not name it. */
export function refuseFor(hostId: string, { code, message }: Refusal): Note {
  const words = message.split(/[^\w.-]+/u).map((word) => word.replace(/\.+$/u, ''));
  return refuse(code, words.includes(hostId) ? message : `${hostId}: ${message}`);
}

export function noteOf(fact: Fact, hostId: string, sentences: { readonly fine: string; readonly notLookedAt: string }): Note {
  if (fact === null) return pass(sentences.fine);
  if (fact === 'not-looked-at') return unknown(sentences.notLookedAt);
  return refuseFor(hostId, fact);
}

const severity: readonly CheckVerdict[] = ['pass', 'unknown', 'warn', 'refuse'];

/** A VM may have hundreds of disks; an operator reads the first few of what is wrong with them. */
const toldMax = 6;
/** Paths can have 4096 bytes. */
const sentenceCharactersMax = 600;

/** The first few of many, such as `a, b, c and 20 more`. */
export function few(items: readonly string[]): string {
  const more = items.length > toldMax ? ` and ${items.length - toldMax} more` : '';
  return `${items.slice(0, toldMax).join(', ')}${more}`;
}

/**
 * The finding of a check: its worst verdict, the code of its first refusal, and all sentences that matter, the worst first. What
 * passed is told only where all did; beside a refusal, what could not be looked at no longer matters.
 */
export function findingOf(check: CheckName, notes: readonly Note[]): Finding {
  const rank = (note: Note): number => severity.indexOf(note.verdict);
  const sorted = notes.toSorted((one, other) => rank(other) - rank(one));
  const [worst = unknown('nothing was looked at')] = sorted;
  const isTold = ({ verdict }: Note): boolean =>
    verdict === worst.verdict || verdict === 'warn' || (verdict === 'unknown' && worst.verdict === 'warn');
  const sentences = [...new Set(sorted.filter(isTold).map((note) => tidy(note.sentence)))];
  const told = sentences.length === 0 ? [worst.sentence] : sentences.slice(0, toldMax);
  const more = sentences.length > toldMax ? [`and ${sentences.length - toldMax} more of this kind`] : [];
  return { check, verdict: worst.verdict, code: worst.code, sentence: [...told, ...more].join('; ') };
}

/** Without the white space and punctuation at its end that would not go with what follows, and not endless. */
function tidy(sentence: string): string {
  const short = sentence.length > sentenceCharactersMax ? `${sentence.slice(0, sentenceCharactersMax)}...` : sentence;
  return short === sentence ? sentence.trim().replace(/[\s.;:,]+$/u, '') : short;
}
