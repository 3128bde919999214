import t from 'tap';
import { SluiceError } from '#src/core/errors.ts';
import { FakeBackend } from '../api/sample.ts';
import { script } from './script.ts';

const VALID = `
-- policy.yaml --
version: 1
agents:
  - {name: shop, match: [{run: shop}]}
destinations:
  - {name: web, hosts: [www.example.org], ports: [80], port_map: {80: 443}}
rules:
  - {name: shop-web, agents: [shop], destinations: [web], action: allow}
`;

const BROKEN = `
-- broken.yaml --
version: 1
agents:
  - {name: shop, match: [{run: shop}]}
rules:
  - name: shop-web
    agents: [shpo]
    action: allow
`;

t.test('check', (t) =>
  script(
    t,
    null,
    `${VALID}${BROKEN}
$ sluice policy check policy.yaml
|~ ^policy.yaml: valid, revision [0-9a-f]{12} \\(1 agent, 1 destination, 1 rule\\)$
$ sluice policy check broken.yaml
!~ ^broken.yaml:6:14: rules\\[0\\]\\.agents\\[0\\]: .*shpo
!~ ^  hint: .*shop
= 1
$ sluice policy check .
! sluice: cannot read the policy: . is a directory
!   hint: give the document, not its directory
= 2
$ sluice policy apply .
! sluice: cannot read the policy: . is a directory
!   hint: give the document, not its directory
= 2
$ sluice policy check missing.yaml
!~ ^sluice: cannot read the policy: ENOENT
!   hint: is the path right? examples/policy.yaml is one to start from
= 2
$ sluice policy check /dev/zero
! /dev/zero:1:1: the document is larger than 1048576 bytes
!   hint: say it in fewer words
= 1
$ sluice policy check
! sluice: missing required argument 'file'
!   hint: add --help, or see: sluice help
= 2
`,
  ),
);

t.test('apply gives the document to the daemon', async (t) => {
  const backend = new FakeBackend();
  const { directory } = await script(
    t,
    backend,
    `${VALID}
$ sluice policy apply policy.yaml
| policy.yaml: in force, revision ba9876543210
`,
  );
  t.match(backend.applied, [{ path: `${directory}/policy.yaml`, text: /^version: 1\nagents:/ }]);
});

t.test('apply shows what the daemon found wrong, in terms of the file that was named', (t) => {
  const backend = new FakeBackend();
  const problems = [
    {
      line: 6,
      column: 14,
      path: 'rules[0].agents[0]',
      message: 'no agent "shpo"',
      hint: 'did you mean "shop"?',
    },
    { line: 9, column: 1, path: '', message: 'too much', hint: null },
  ];
  backend.policyError = Object.assign(new SluiceError('POLICY', 'problems'), { problems });
  return script(
    t,
    backend,
    `${BROKEN}
$ sluice policy apply ./broken.yaml
! ./broken.yaml:6:14: rules[0].agents[0]: no agent "shpo"
!   hint: did you mean "shop"?
! ./broken.yaml:9:1: too much
= 1
`,
  );
});

t.test('apply without a daemon', (t) =>
  script(
    t,
    null,
    `${VALID}
$ sluice policy apply policy.yaml
! sluice: the daemon is not running (nobody answers at DIR/run/api.sock)
!   hint: start it: sluice daemon --policy FILE, or: systemctl start sluice
= 3
$ sluice policy apply /dev/zero
! /dev/zero:1:1: the document is larger than 1048576 bytes
!   hint: say it in fewer words
= 1
$ sluice policy apply missing.yaml
!~ ^sluice: cannot read the policy: ENOENT
!   hint: is the path right? examples/policy.yaml is one to start from
= 2
`,
  ),
);
