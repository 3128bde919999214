import t from 'tap';
import { errorsOf } from '#test/support/policy-text.ts';

t.test('every kind of error is reported at once, in the order of the document', (t) => {
  const errors = errorsOf(`trust_domain: NO
dns: {resolvers: [x]}
agents:
  - {name: a, match: [{uid: -1}]}
  - {name: a, match: [{exe: sh}], colour: red}
destinations:
  - {name: d, cidrs: [1.2.3.4/5], ports: [0]}
rules:
  - {name: r, agents: [b], action: exempt, destinations: [d]}
  - {name: r, action: permit}
  - {name: s, action: deny, action: allow}
`);
  t.equal(errors.length, 13, errors.join('\n'));
  const places = errors.map((line) => (line.split(' ')[0] ?? '').split(':').map(Number));
  const sorted = [...places].sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0));
  t.strictSame(places, sorted);
  t.end();
});
