/**
 * A strict reader of Prometheus' text format 0.0.4, for tests: what it does not know is an error, so are samples
 * without HELP and TYPE, a name twice, a counter without `_total`, and a label set twice.
 */
export interface Read {
  readonly type: string;
  readonly help: string;
  /** By label set as it stands, `''` for none. */
  readonly samples: ReadonlyMap<string, number>;
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABELS = /^\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)+\}$/;

export function readExposition(text: string): ReadonlyMap<string, Read> {
  const families = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let name = '';
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.slice(0, -1).split('\n')) {
    const help = new RegExp(`^# HELP (${NAME}) (.+)$`).exec(line);
    const type = new RegExp(`^# TYPE (${NAME}) (counter|gauge)$`).exec(line);
    const sample = new RegExp(`^(${NAME})(\\{.*\\})? (\\S+)$`).exec(line);
    if (help !== null) {
      name = help[1] ?? '';
      if (families.has(name)) throw new Error(`${name} twice`);
      families.set(name, { type: '', help: help[2] ?? '', samples: new Map() });
    } else if (type !== null) {
      const family = families.get(type[1] ?? '');
      if (family === undefined || type[1] !== name || family.type !== '') throw new Error(line);
      family.type = type[2] ?? '';
      if (family.type === 'counter' && !name.endsWith('_total')) throw new Error(`${name} is a counter`);
    } else if (sample !== null && !line.startsWith('#')) {
      const [, of, labels = '', value = ''] = sample;
      const family = families.get(name);
      if (of !== name || family === undefined || family.type === '') throw new Error(line);
      if (labels !== '' && !LABELS.test(labels)) throw new Error(line);
      if (family.samples.has(labels)) throw new Error(`${line}: twice`);
      if (!Number.isFinite(Number(value))) throw new Error(line);
      family.samples.set(labels, Number(value));
    } else throw new Error(line);
  }
  return families;
}
