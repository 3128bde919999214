import { readFileSync } from 'node:fs';
import t from 'tap';
import { MAPS } from '#src/kernel/migrate/copy.ts';

t.test('of every map that is pinned it is said what becomes of it', async (t) => {
  const text = readFileSync(new URL('../../../../bpf/lib/maps.h', import.meta.url), 'utf8');
  const pinned = text
    .split(/^struct \{/m)
    .filter((one) => one.includes('LIBBPF_PIN_BY_NAME'))
    .map((one) => /\} (sluice_\w+) SEC\("\.maps"\)/.exec(one)?.[1] ?? one);
  t.same(pinned.sort(), Object.keys(MAPS).sort());
});
