import t from 'tap';
import { errorsOf } from '#test/support/policy-text.ts';

const BASE = 'agents: [{name: web, match: [{uid: 1}]}]\ninbound:\n';
const REST = 'action: exempt, reason: x';
const rule = (text: string): string[] => errorsOf(`${BASE}  - {name: r, ${text}}`);

t.test('agents, ports and addresses are read', async (t) => {
  t.strictSame(rule(`agents: [web], ports: [8080, "1-65535"], from: [127.0.0.0/8, "::1"], ${REST}`), []);
  t.match(rule(`agents: [wbe], ports: ["9-8"], from: [10.0.0.1/8], ${REST}`), [
    /agents\[0\]: there is no agent "wbe" \| did you mean "web"/,
    /ports\[0\]: "9-8" is not a port or range/,
    /from\[0\]: .*bits set beyond/,
  ]);
});

t.test('everything but the protocol has to be said', async (t) => {
  const missing = rule('agents: [web]').join();
  for (const key of ['action', 'from', 'ports', 'reason']) t.match(missing, `"${key}" is missing`);
  t.match(rule('agents: [web], ports: [1], from: [10.0.0.1], action: allow, reason: x'), [
    /must be one of exempt/,
  ]);
  t.equal(
    rule(`agents: [], ports: [], from: [], ${REST}`)
      .join()
      .match(/empty list/g)?.length,
    3,
  );
});

t.test('a name is given once', async (t) => {
  const one = `{name: r, agents: [web], ports: [1], from: [10.0.0.1], ${REST}}`;
  t.match(errorsOf(`${BASE}  - ${one}\n  - ${one}`), [/another inbound rule is named "r"/]);
});

t.test("what does not fit the kernel's table is refused, not cut short", async (t) => {
  const ports = Array.from({ length: 33 }, (_, index) => 1000 + 2 * index).join(', ');
  t.match(rule(`agents: [web], ports: [${ports}], from: [10.0.0.1, 10.0.0.3], ${REST}`), [
    /"web" has 66 combinations .* 64 are possible \| use ranges/,
  ]);
  t.strictSame(rule(`agents: [web], ports: [${ports}], from: [10.0.0.0/8, 10.0.0.3], ${REST}`), []);
});
