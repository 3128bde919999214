/** The structs as the compiler laid them out are the structs userspace reads. */
import { readdirSync, readFileSync } from 'node:fs';
import t from 'tap';
import { buildPaths } from '#src/kernel/addon.ts';
import { INBOUND_MAX } from '#src/kernel/inbound.ts';
import { layout, reasonNumbers, SLUICE_ABI } from '#src/kernel/layout.ts';
import { TECHNIQUES } from '#src/kernel/techniques.ts';
import { type StructLayout, structLayouts } from '#test/support/btf.ts';

const compiled = new Map<string, StructLayout>();
const files = readdirSync(buildPaths.objects, { recursive: true }).map(String);
for (const file of files.filter((name) => name.endsWith('.bpf.o')))
  for (const [name, found] of structLayouts(`${buildPaths.objects}/${file}`)) compiled.set(name, found);

const header = readFileSync(new URL('../../bpf/api/sluice.h', import.meta.url), 'utf8');

t.test('every struct of the API has the layout userspace decodes', async (t) => {
  for (const [name, expected] of Object.entries(layout)) t.same(compiled.get(name), expected, name);
});

t.test('numbers are those of the header', async (t) => {
  t.match(header, new RegExp(`#define SLUICE_ABI ${SLUICE_ABI}\\b`));
  for (const [reason, number] of Object.entries(reasonNumbers)) {
    const stem = {
      udp_denied: 'UDP',
      socket_denied: 'SOCKET',
      option_denied: 'OPTION',
      egress_denied: 'EGRESS',
      inbound_denied: 'INBOUND',
      foreign_socket: 'FOREIGN',
      unix_denied: 'UNIX',
    };
    const name = (stem as Record<string, string>)[reason] ?? reason.toUpperCase();
    t.match(header, new RegExp(`SLUICE_REASON_${name} = ${number}\\b`), reason);
  }
  for (const [technique, number] of Object.entries(TECHNIQUES))
    t.match(header, new RegExp(`SLUICE_TECHNIQUE_${technique.toUpperCase()} = ${number}\\b`), technique);
  t.match(header, new RegExp(`#define SLUICE_INBOUND_MAX ${INBOUND_MAX}\\b`));
});
