/** A strict reader of Prometheus' text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/). */

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly series: readonly Series[];
}

const namePattern = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const seriesPattern = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const labelPattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;
const numberPattern = /^[+-]?(?:Inf|NaN|\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;

/** Throws an Error that says which line is wrong, and how. */
export function readExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const families = new Map<string, Family>();
  for (const block of blocksOf(text)) {
    const family = familyOf(block);
    if (families.has(family.name)) throw new Error(`${family.name} comes twice`);
    checkFamily(family);
    families.set(family.name, family);
  }
  return families;
}

/** Each family begins with its HELP. Empty lines mean nothing. */
function blocksOf(text: string): readonly (readonly string[])[] {
  const blocks: string[][] = [];
  for (const line of text.split('\n').filter((one) => one !== '')) {
    if (line.startsWith('# HELP ')) blocks.push([line]);
    else if (blocks.length === 0) throw new Error(`before the first HELP: ${line}`);
    else blocks.at(-1)?.push(line);
  }
  return blocks;
}

function familyOf([helpLine = '', typeLine = '', ...lines]: readonly string[]): Family {
  const help = /^# HELP (\S+) (.+)$/.exec(helpLine);
  const type = /^# TYPE (\S+) (counter|gauge|histogram|summary|untyped)$/.exec(typeLine);
  if (help === null || type === null || help[1] !== type[1]) throw new Error(`HELP and TYPE do not fit: ${helpLine} / ${typeLine}`);
  return { name: help[1] ?? '', type: type[2] ?? '', help: help[2] ?? '', series: lines.map(seriesOf) };
}

function seriesOf(line: string): Series {
  const [, name = '', labels = '', value = ''] = seriesPattern.exec(line) ?? [];
  if (!namePattern.test(name) || !numberPattern.test(value)) throw new Error(`no series: ${line}`);
  return { name, labels: labelsOf(labels, line), value: numberOf(value) };
}

function labelsOf(text: string, line: string): Readonly<Record<string, string>> {
  const found = [...text.matchAll(labelPattern)];
  if (found.map(([all]) => all).join('') !== text || text.endsWith(',')) throw new Error(`wrong labels: ${line}`);
  const labels = Object.fromEntries(found.map(([, name = '', value = '']) => [name, value]));
  if (Object.keys(labels).length !== found.length) throw new Error(`a label twice: ${line}`);
  return labels;
}

function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}

function checkFamily(family: Family): void {
  const { name, type, series } = family;
  const keys = series.map(({ name: own, labels }) => `${own} ${keyOf(labels)}`);
  if (new Set(keys).size !== keys.length) throw new Error(`${name} has a series twice`);
  const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  for (const one of series)
    if (!suffixes.some((suffix) => one.name === `${name}${suffix}`)) throw new Error(`${one.name} does not belong to ${name}`);
  if (type === 'counter' && !series.every(({ value }) => value >= 0)) throw new Error(`${name} is a counter below 0`);
  if (type === 'histogram') checkHistogram(family);
}

/** The same for the same labels, in whatever order; without the label `left`. */
function keyOf(labels: Readonly<Record<string, string>>, left?: string): string {
  const names = Object.keys(labels).filter((name) => name !== left);
  return JSON.stringify(names.toSorted((one, other) => (one < other ? -1 : 1)).map((name) => [name, labels[name]]));
}

/** Buckets grow with their bounds up to `+Inf`, which is the count. */
function checkHistogram({ name, series }: Family): void {
  for (const count of series.filter((one) => one.name === `${name}_count`)) {
    const own = series.filter((one) => keyOf(one.labels, 'le') === keyOf(count.labels));
    const buckets = own.filter((one) => one.name === `${name}_bucket`);
    const grows = buckets.every(
      (one, index) =>
        index === 0 ||
        (numberOf(one.labels['le'] ?? 'NaN') > numberOf(buckets[index - 1]?.labels['le'] ?? 'NaN') &&
          one.value >= (buckets[index - 1]?.value ?? 0)),
    );
    const last = buckets.at(-1);
    if (!grows || last?.labels['le'] !== '+Inf' || last.value !== count.value) throw new Error(`the buckets of ${name} are wrong`);
    if (!own.some((one) => one.name === `${name}_sum`)) throw new Error(`${name} has no sum`);
  }
}
