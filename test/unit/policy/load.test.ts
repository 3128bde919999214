import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { compilePolicy, loadPolicy } from '#src/policy/load.ts';
import { PolicyError } from '#src/policy/problems.ts';
import schema from '#src/policy/schema.json' with { type: 'json' };
import { FIXTURE_TIME_MS, fixture } from '#test/support/policy-text.ts';

const ROOT = new URL('../../../', import.meta.url).pathname;

function failure(run: () => unknown): PolicyError {
  try {
    run();
  } catch (error) {
    if (error instanceof PolicyError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

t.test('loads a file and the files it names', (t) => {
  const directory = t.testdir({
    'policy.yaml': 'version: 1\ndestinations: [{name: d, tls: {ca: pki/ca.pem}}]\n',
    pki: { 'ca.pem': fixture('ca.pem') },
  });
  const policy = loadPolicy(`${directory}/policy.yaml`);
  t.equal(policy.destinations[0]?.tls.ca, fixture('ca.pem'));

  t.equal(loadPolicy(`${directory}/policy.yaml`).revision, policy.revision, 'the same again');
  writeFileSync(`${directory}/pki/ca.pem`, fixture('other-ca.pem'));
  const other = loadPolicy(`${directory}/policy.yaml`);
  t.not(other.revision, policy.revision, 'another CA under the old name');
  t.equal(other.destinations[0]?.tls.ca, fixture('other-ca.pem'));
  t.end();
});

t.test('the revision changes with every file and with the document', (t) => {
  const text = `version: 1
destinations: [{name: d, tls: {ca: ca, client_certificate: {cert: cert, key: key}}}]
`;
  const base: Record<string, string> = {
    '/p/ca': fixture('ca.pem'),
    '/p/cert': fixture('client.pem'),
    '/p/key': fixture('client.key'),
  };
  const revision = (changes: Record<string, string> = {}, document = text): string => {
    const files = { ...base, ...changes };
    const readFile = (path: string): string => files[path] ?? '';
    return compilePolicy(document, { path: '/p/policy.yaml', readFile, nowMs: FIXTURE_TIME_MS }).revision;
  };
  const all = [
    revision(),
    revision({ '/p/ca': fixture('other-ca.pem') }),
    revision({ '/p/cert': `${fixture('client.pem')}${fixture('ca.pem')}` }),
    revision({ '/p/key': `${fixture('client.key')}\n` }),
    revision({}, `${text}# a comment\n`),
  ];
  t.equal(new Set(all).size, all.length);
  t.equal(revision({ '/p/unrelated': 'x' }), all[0]);
  t.end();
});

t.test('errors carry the file, and warnings do not stop a good policy', (t) => {
  const options = { path: '/p/policy.yaml', readFile: () => '' };
  const error = failure(() => compilePolicy('version: 1\nrules: 3\nagnets: 4\n', options));
  t.equal(error.file, '/p/policy.yaml');
  t.match(
    error.message,
    /^\/p\/policy\.yaml:2:8: rules: must be a list .*\n\/p\/policy\.yaml:3:1: agnets: unknown key/,
  );
  const warnings: unknown[] = [];
  const onWarning = (problem: unknown): void => void warnings.push(problem);
  compilePolicy('version: 1\nagents: [{name: a, match: [{uid: 0}]}]\n', { ...options, onWarning });
  t.match(warnings, [{ line: 2, path: 'agents[0].match[0].uid' }]);
  t.end();
});

t.test('text that is no YAML is reported as that alone', (t) => {
  const error = failure(() => compilePolicy('version: [1\nrules: 3', { path: 'p', readFile: () => '' }));
  t.ok(error.problems.length > 0);
  t.notMatch(error.message, /must be a list/);
  t.end();
});

t.test('the number of problems told is bounded', (t) => {
  const keys = Array.from({ length: 3000 }, (_, i) => `k${i}: 1`).join('\n');
  const { problems } = failure(() => compilePolicy(`version: 1\n${keys}`, { path: 'p', readFile: () => '' }));
  t.equal(problems.length, 1001);
  t.match(problems.at(-1), { line: 1002, message: '2000 more problems from here on' });
  t.end();
});

t.test('the example and every policy in the documentation are valid', (t) => {
  const options = { path: `${ROOT}examples/policy.yaml`, readFile: (path: string) => readFileSync(path) };
  const example = compilePolicy(readFileSync(options.path, 'utf8'), options);
  t.ok(example.rules.length > 0);
  const reference = readFileSync(`${ROOT}docs/policy.md`, 'utf8');
  const blocks = [...reference.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  t.ok(blocks.length > 0);
  for (const block of blocks) {
    const text = block.startsWith('version:') ? block : `version: 1\n${block}`;
    const pem = { path: '/p/policy.yaml', readFile: pemByName, nowMs: FIXTURE_TIME_MS };
    t.doesNotThrow(() => compilePolicy(text, pem), block.split('\n', 2).join(' '));
  }
  t.end();
});

/** Stands in for the files the documentation names. */
function pemByName(path: string): string {
  if (path.endsWith('.key')) return fixture('client.key');
  return fixture(path.includes('client') ? 'client.pem' : 'ca.pem');
}

t.test('the reference names every key of the schema', (t) => {
  const reference = readFileSync(`${ROOT}docs/policy.md`, 'utf8');
  const keys = new Set<string>();
  const collect = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if ('properties' in node && typeof node.properties === 'object' && node.properties !== null) {
      for (const key of Object.keys(node.properties)) keys.add(key);
    }
    Object.values(node).forEach(collect);
  };
  collect(schema);
  t.ok(keys.size > 30);
  for (const key of keys) t.ok(reference.includes(`\`${key}\``), key);
  t.end();
});
