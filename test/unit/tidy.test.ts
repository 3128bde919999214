/**
 * The rules of the house that a machine can check: which room may import which (ARCHITECTURE.md), where the test of
 * a file is, and what no file may hold. A rule that is only written down is a rule that is broken by the third
 * month.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import t from 'tap';

const root = join(import.meta.dirname, '../..');
const list = (pattern: string): string[] =>
  globSync(pattern, {
    cwd: root,
    exclude: (path) => /(^|\/)(node_modules|build|\.tap)(\/|$)/.test(String(path)),
  }).sort();
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

const sources = list('src/**/*.ts');
const scripts = list('scripts/**/*.ts');
const tests = list('test/**/*.ts');
const native = [...list('bpf/**/*.{c,h}'), ...list('native/**/*.{c,cc,h}'), ...list('test/**/*.{c,h}')];
const shell = [
  'scripts/test',
  'scripts/demo',
  'scripts/bench',
  'scripts/fuzz',
  'scripts/test-vm',
  'test/vm/guest/run',
  'scripts/bypass',
  'scripts/lib/setup',
  'scripts/lib/build',
  'scripts/lib/clang-format-check',
  '.ci/run',
  'bin/sluice',
];
const everything = [...sources, ...scripts, ...tests, ...native, ...shell];

/** A room may import rooms of its own rank or an earlier one. */
const RANKS = [
  ['core'],
  ['kernel'],
  ['flow'],
  ['identity'],
  ['policy'],
  ['mask'],
  ['tls'],
  ['protocols'],
  ['proxy'],
  ['approval', 'recorder', 'flowlog', 'store'],
  ['api', 'console', 'daemon', 'cli'],
];
const rankOf = (room: string): number => RANKS.findIndex((rooms) => rooms.includes(room));

/** Modules named in `import … from`, `export … from`, `import '…'` and `import(…)`. */
function importsOf(text: string): string[] {
  const pattern = /\bfrom\s+'([^']+)'|\bimport\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** `src/policy/x.ts` of a relative import in `file`; null for anything that is not one. */
function target(file: string, specifier: string): string | null {
  return specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : null;
}

const roomOf = (path: string): string => path.split('/')[1] ?? '';

t.test('rooms import only rooms before them', async (t) => {
  const wrong: string[] = [];
  for (const file of sources) {
    const room = roomOf(file);
    if (rankOf(room) < 0) wrong.push(`${file}: ${room} is no room`);
    for (const specifier of importsOf(read(file))) {
      const path = target(file, specifier);
      if (path === null) continue;
      if (!path.startsWith('src/')) wrong.push(`${file} imports ${path}: outside src`);
      else if (rankOf(roomOf(path)) > rankOf(room)) wrong.push(`${file} imports ${path}: a later room`);
      else if (room === 'protocols' && roomOf(path) === 'policy') {
        wrong.push(`${file} imports ${path}: the two never know each other`);
      }
    }
  }
  t.strictSame(wrong, []);
});

t.test('what src imports is its own, of Node, or a dependency', async (t) => {
  const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
  const wrong: string[] = [];
  for (const file of sources) {
    for (const specifier of importsOf(read(file))) {
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      const known =
        specifier.startsWith('node:') || specifier.startsWith('.') || name in manifest.dependencies;
      if (!known) wrong.push(`${file} imports ${specifier}`);
      if (specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier))
        wrong.push(`${file} imports ${specifier}: no extension`);
    }
  }
  t.strictSame(wrong, []);
});

t.test('what is exported is used elsewhere, if only by a test', async (t) => {
  const words = new Map<string, Set<string>>();
  for (const file of [...sources, ...scripts, ...tests])
    for (const [word] of read(file).matchAll(/[A-Za-z_$][\w$]*/g))
      words.set(word, (words.get(word) ?? new Set()).add(file));
  const exported = /^export (?:async )?(?:function\*?|const|class) ([\w$]+)/gm;
  const unused = sources.flatMap((file) =>
    [...read(file).matchAll(exported)]
      .filter(([, name = '']) => (words.get(name)?.size ?? 0) < 2)
      .map(([, name]) => `${file}: ${name}`),
  );
  t.strictSame(unused, []);
});

t.test('only the kernel room loads native code', async (t) => {
  const loading = sources.filter((file) => /\bcreateRequire\b|\bdlopen\b|\.node['"`]/.test(read(file)));
  t.strictSame(
    loading.filter((file) => roomOf(file) !== 'kernel'),
    [],
  );
});

t.test('only the proxy and the API open sockets', async (t) => {
  // A protocol layer that owns no socket can be tested byte by byte; see STYLE in HACKING.md.
  const rooms = ['core', 'flow', 'policy', 'mask', 'tls', 'protocols'];
  const values = /^import (?!type )[^;]*from 'node:(net|tls|http|https|dgram|child_process)'/m;
  const allowed = /^import \{[^}]*\bisIP[^}]*\} from 'node:net'/m;
  const opening = sources.filter((file) => rooms.includes(roomOf(file)) && values.test(read(file)));
  t.strictSame(
    opening.filter((file) => !allowed.test(read(file))),
    [],
  );
});

t.test('a unit test lies where its source lies', async (t) => {
  const known = new Set([...sources, ...tests, ...scripts, ...shell]);
  const homeless: string[] = [];
  for (const file of tests.filter((path) => path.startsWith('test/unit/') && path.endsWith('.test.ts'))) {
    const path = file.slice('test/unit/'.length).replace(/\.test\.ts$/, '.ts');
    const homes = [
      `src/${path}`,
      /^(support|bench|vm|fuzz)\//.test(path) ? `test/${path}` : path,
      path.replace(/\.ts$/, ''),
    ];
    if (file !== 'test/unit/tidy.test.ts' && !homes.some((home) => known.has(home))) homeless.push(file);
  }
  t.strictSame(homeless, []);
});

/** What a unit test could only repeat or pretend, and the tests that hold it instead. */
const TESTED_AS_A_WHOLE: readonly (readonly [sources: string, tests: string])[] = [
  ['src/kernel/{addon,event-rings,pins,plane,ring,table-writer,worker}.ts', 'test/bpf/*.test.ts'],
  ['src/kernel/migrate/{migration,stage}.ts', 'test/bpf/migrate.test.ts'],
  ['src/kernel/process-handle.ts', 'test/e2e/restart.test.ts'],
  [
    'src/daemon/{backend,daemon,listeners,main,options,over-kernel,runs,self,self-test,uninstall,worker-pool}.ts',
    'test/e2e/*.test.ts',
  ],
  ['src/proxy/{entry,worker-main}.ts', 'test/e2e/daemon.test.ts'],
  ['src/daemon/{forwarder-process,unprivileged}.ts', 'test/e2e/dns.test.ts'],
  ['src/proxy/dns/dns-main.ts', 'test/e2e/dns.test.ts'],
  ['src/proxy/dns/exchange.ts', 'test/unit/proxy/dns/resolver-client.test.ts'],
  ['src/protocols/dns/codes.ts', 'test/unit/protocols/dns/*.test.ts'],
  ['src/proxy/readable-session.ts', 'test/unit/proxy/{masking,operations}.test.ts'],
  ['src/proxy/denied-by-policy.ts', 'test/unit/proxy/{cancel-keys,session}.test.ts'],
  ['src/proxy/{approver,layers}.ts', 'test/unit/proxy/{masking,operations}.test.ts'],
  ['src/proxy/first-chunk.ts', 'test/unit/proxy/openers/*.test.ts'],
  ['src/proxy/openers/{index,opener,upgrade}.ts', 'test/unit/proxy/session.test.ts'],
  ['src/api/{follow,paths}.ts', 'test/unit/api/server.test.ts'],
  ['src/cli/{cli,exit-codes,help,report-error}.ts', 'test/unit/cli/program.test.ts'],
  ['src/cli/enter.ts', 'test/unit/cli/run.test.ts'],
  ['src/cli/flow-table.ts', 'test/unit/cli/flows.test.ts'],
  ['src/core/{clock,errors}.ts', 'test/unit/**/*.test.ts'],
  ['src/protocols/postgres/effects.ts', 'test/unit/protocols/postgres/classify.test.ts'],
  ['src/protocols/postgres/text-cache.ts', 'test/unit/protocols/postgres/classify-cache.test.ts'],
  ['src/protocols/postgres/large-objects.ts', 'test/unit/protocols/postgres/statement-gate.test.ts'],
  ['src/protocols/postgres/codes.ts', 'test/unit/protocols/postgres/*.test.ts'],
  [
    'src/protocols/postgres/masking/{exchange,facts-cache,pull,result,rows,to-agent,to-server}.ts',
    'test/unit/protocols/postgres/masking/masked-session.test.ts',
  ],
  [
    'src/protocols/postgres/masking/requests/{literal,range-items,request-facts,same-tree,value-maskers}.ts',
    'test/unit/protocols/postgres/masking/requests/statement-masker.test.ts',
  ],
  [
    'src/protocols/postgres/masking/requests/{parameters,startup,statements}.ts',
    'test/unit/protocols/postgres/masking/requests/request-masks.test.ts',
  ],
  [
    'src/protocols/postgres/masking/requests/{copy-in-binary,copy-in-text,field-masks,row-ends,row-fields}.ts',
    'test/unit/protocols/postgres/masking/requests/copy-in.test.ts',
  ],
  ['src/protocols/postgres/denials.ts', 'test/unit/protocols/postgres/statement-gate.test.ts'],
  [
    'src/protocols/postgres/masking/{copy-binary,copy-fields,copy-pieces,copy-shape}.ts',
    'test/unit/protocols/postgres/masking/copy-out.test.ts',
  ],
  [
    'src/protocols/postgres/masking/{binary-text,json-text,long-value,nested-binary,nested-text,same-length,types}.ts',
    'test/unit/protocols/postgres/masking/cell.test.ts',
  ],
  ['src/protocols/postgres/masking/sql-states.ts', 'test/unit/protocols/postgres/masking/notices.test.ts'],
  ['src/core/star-pattern.ts', 'test/unit/policy/name-pattern.test.ts'],
  ['src/policy/content-rules.ts', 'test/unit/policy/{masks,operations}.test.ts'],
  ['src/policy/detectors.ts', 'test/unit/policy/check/masks.test.ts'],
  ['src/mask/{action,custom,detector,finder,mask-set,plan,reverse-pattern}.ts', 'test/unit/mask/*.test.ts'],
  [
    'src/mask/detectors/{card,cloud-keys,email,iban,ip,jwt,phone,private-key,token,tokens,url-password,us-ssn}.ts',
    'test/unit/mask/detectors/index.test.ts',
  ],
];
/** Types and constants of the record say nothing by themselves. */
const DECLARATIONS = new Set(['src/flow/operation.ts', 'src/flow/record.ts', 'src/policy/document.ts']);

t.test('a source has its unit test, or is held by others that are named', async (t) => {
  const whole = new Set<string>();
  for (const [files, by] of TESTED_AS_A_WHOLE) {
    t.not(list(by).length, 0, `${by} holds ${files}`);
    for (const file of list(files)) {
      t.notOk(tests.includes(mirrorOf(file)), `${file} has a unit test and needs no mention`);
      whole.add(file);
    }
  }
  const says = (file: string): boolean =>
    /^export (async |abstract )?(function|class|const|let)\b/m.test(read(file));
  const alone = sources.filter(
    (file) => says(file) && !tests.includes(mirrorOf(file)) && !whole.has(file) && !DECLARATIONS.has(file),
  );
  t.strictSame(alone, []);
});

function mirrorOf(source: string): string {
  return source.replace(/^src\//, 'test/unit/').replace(/\.ts$/, '.test.ts');
}

t.test('every source opens by saying what it is for', async (t) => {
  const TINY_LINES = 12;
  const silent = sources.filter((file) => {
    const text = read(file);
    return !/^(#!.*\n)?\/\*\*/.test(text) && text.split('\n').length > TINY_LINES;
  });
  t.strictSame(silent, []);
});

t.test('no file is too long to be known as a whole', async (t) => {
  const MAX_LINES = 500;
  t.strictSame(
    everything.filter((file) => read(file).split('\n').length > MAX_LINES),
    [],
  );
});

t.test('nothing is left for later, and nothing is printed by the way', async (t) => {
  // Put together from halves, so that this file does not find itself.
  const later = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
  t.strictSame(
    everything.filter((file) => later.test(read(file))),
    [],
  );
  const printing = sources.filter((file) => /\bconsole\.\w+\(/.test(read(file)) && roomOf(file) !== 'cli');
  t.strictSame(printing, []);
});

t.test('no test is left switched off or alone', async (t) => {
  const off = /\b\w+\.(skip|only|todo)\(['"`]/;
  const isTest = (file: string): boolean => file.endsWith('.test.ts');
  t.strictSame(
    tests.filter((file) => isTest(file) && off.test(read(file))),
    [],
  );
});

t.test('CI runs everything, and one guest', async (t) => {
  const commands = (file: string): string[] =>
    read(file)
      .split('\n')
      .filter((line) => !line.startsWith('#'));
  t.equal(commands('.ci/run').filter(Boolean).at(-1), 'exec scripts/test --guest');
  t.match(read('scripts/test'), /--sum 'scripts\/test-vm --brief --limit \d+'/);
});

t.test('the finder of imports finds them', async (t) => {
  const text = `import a, {\n  type B,\n} from './a.ts';\nexport * from '../b.ts';\nimport './c.ts';\nawait import('node:fs');\n`;
  t.strictSame(importsOf(text), ['./a.ts', '../b.ts', './c.ts', 'node:fs']);
  t.equal(target('src/api/x.ts', '../core/y.ts'), 'src/core/y.ts');
});
