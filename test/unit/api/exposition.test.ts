import t from 'tap';
import { exposition } from '#src/api/exposition.ts';
import { readExposition } from '#test/support/exposition.ts';

t.test('names, help, labels and values stand as the format wants them', async (t) => {
  const text = exposition([
    { name: 'a_total', type: 'counter', help: 'One\nline \\.', samples: [{ value: 3 }] },
    { name: 'b', type: 'gauge', help: 'b', samples: [{ labels: { x: 'q"\\\n', y: '' }, value: 0.5 }] },
    { name: 'c', type: 'gauge', help: 'Nothing yet.', samples: [] },
  ]);
  t.equal(
    text,
    `# HELP a_total One\\nline \\\\.
# TYPE a_total counter
a_total 3
# HELP b b
# TYPE b gauge
b{x="q\\"\\\\\\n",y=""} 0.5
# HELP c Nothing yet.
# TYPE c gauge
`,
  );
  t.equal(readExposition(text).get('b')?.samples.size, 1);
});
