import t from 'tap';
import { script } from './script.ts';

const POLICY = `
-- policy.yaml --
version: 1
agents: [{name: web, match: [{run: web}]}]
inbound:
  - {name: nginx, agents: [web], ports: [8080], from: [127.0.0.0/8], action: exempt, reason: behind nginx}
`;

t.test('whether somebody is served, and why', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent web --inbound 8080 --from 127.0.0.1
| 127.0.0.1 to port 8080/tcp of agent web
| allowed by inbound rule nginx: the agent answers as it is; behind nginx
|
|    RULE   FITS  WHY
| *  nginx  yes   it fits: behind nginx
$ sluice policy explain policy.yaml --agent web --inbound 8080/udp --from 127.0.0.1
| 127.0.0.1 to port 8080/udp of agent web
| denied: no inbound rule lets the agent serve there (inbound_denied)
|
|   RULE   FITS  WHY
|   nginx  no    it is for tcp only
$ sluice policy explain policy.yaml --agent web --inbound 8080 --from 192.0.2.1 --output json
|~ "answer":.*"kind":"deny","rule":null
`,
  ),
);

t.test('wrong use', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent web --inbound http --from 127.0.0.1
! sluice: --inbound: a port is needed
!   hint: --inbound 8080, or 53/udp
= 2
$ sluice policy explain policy.yaml --agent web --inbound 8080
! sluice: --from: the address of who asks is needed
!   hint: --from 127.0.0.1
= 2
`,
  ),
);
