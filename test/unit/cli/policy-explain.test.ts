import t from 'tap';
import { script } from './script.ts';

const POLICY = `
-- policy.yaml --
version: 1
agents:
  - {name: shop, match: [{run: shop}]}
destinations:
  - {name: web, hosts: [www.example.org], ports: [80], port_map: {80: 443}}
  - {name: db, cidrs: [192.0.2.0/24], ports: [5432], protocol: tls, tls: {server_name: db.example.org}}
  - {name: old, cidrs: [198.51.100.1/32]}
rules:
  - {name: shop-web, agents: [shop], destinations: [web, db], action: allow}
  - {name: no-old, destinations: [old], action: deny, reason: switched off}
`;

t.test('one answer when there is one', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent shop --to 192.0.2.7:5432
| agent shop to 192.0.2.7:5432
| allowed by rule shop-web: TLS is added, verified as db.example.org; destination db, port 5432
|
|    RULE      ACTION  FITS  WHY
| *  shop-web  allow   yes   db: it fits
|    no-old    deny    no    old: the address is another
$ sluice policy explain policy.yaml --agent shop --to 198.51.100.1:22
| agent shop to 198.51.100.1:22
| denied by rule no-old: switched off (policy_denied)
|...
$ sluice policy explain policy.yaml --agent shop --to www.example.org:80 --ip 2001:db8::7 --protocol http
| agent shop to [2001:db8::7]:80 (www.example.org), first bytes http
| allowed by rule shop-web: TLS is added, verified as www.example.org; destination web, port 443
|...
`,
  ),
);

t.test('an answer for each protocol when it depends on that', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent shop --to www.example.org:80 --ip 203.0.113.7
| agent shop to 203.0.113.7:80 (www.example.org)
| undecided: it depends on the agent's first bytes
|
| FIRST BYTES  ANSWER
| http         allowed by rule shop-web: TLS is added, verified as www.example.org; destination web, port 443
| postgres     allowed by rule shop-web: TLS is added, verified as www.example.org; destination web, port 443
|~ ^replication  denied: .*\\(replication_denied\\)$
|~ ^tls          denied: .*\\(agent_tls_denied\\)$
|~ ^unknown      denied: .*\\(undetected\\)$
|
|...
$ sluice policy explain policy.yaml --agent shop --to www.example.org:80 --ip 203.0.113.7 --agent-tls
| agent shop to 203.0.113.7:80 (www.example.org), first bytes tls
|~ ^denied: .*\\(agent_tls_denied\\)$
|...
$ sluice policy explain policy.yaml --agent shop --to www.example.org:80 --ip 203.0.113.7 --protocol replication
| agent shop to 203.0.113.7:80 (www.example.org), first bytes replication
|~ ^denied: the agent asks for replication and no rule allows that to "web" \\(replication_denied\\)$
|...
`,
  ),
);

t.test('an agent the policy does not know is answered as such', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent shpo --to 192.0.2.7:5432
| agent unknown to 192.0.2.7:5432
|~ ^denied: .*\\(no_rule\\)$
|...
! sluice: warning: no agent of the policy is named shpo
!   hint: it has: shop
`,
  ),
);

t.test('wrong use', (t) =>
  script(
    t,
    null,
    `${POLICY}
$ sluice policy explain policy.yaml --agent shop --to 192.0.2.7
! sluice: --to: host and port are needed
!   hint: --to db.example.org:5432
= 2
$ sluice policy explain policy.yaml --agent shop --to a.example.org:80 --ip nowhere
! sluice: --ip: not an IP address
!   hint: 192.0.2.7, or 2001:db8::7
= 2
$ sluice policy explain policy.yaml --agent shop --to 192.0.2.7:80 --ip 192.0.2.8
! sluice: --to names an address already
!   hint: leave out --ip
= 2
$ sluice policy explain policy.yaml --agent shop --to 192.0.2.7:80 --agent-tls --protocol http
! sluice: --agent-tls contradicts --protocol http
!   hint: leave out one of them
= 2
$ sluice policy explain policy.yaml --agent shop --to name.invalid:80
!~ ^sluice: name.invalid has no address: 
!   hint: give one with --ip
= 1
$ sluice policy explain policy.yaml --agent shop
! sluice: --to or --inbound is needed
!   hint: --to db.example.org:5432
= 2
$ sluice policy explain missing.yaml --agent shop --to 192.0.2.7:80
!~ ^sluice: cannot read the policy: ENOENT
!   hint: is the path right? examples/policy.yaml is one to start from
= 2
$ sluice policy explain policy.yaml --agent shop --to 192.0.2.7:80 --inbound 80 --from 192.0.2.9
! sluice: option '--inbound <port>' cannot be used with option '--to <host:port>'
!   hint: add --help, or see: sluice help
= 2
$ sluice policy explain policy.yaml --agent shop --to 192.0.2.7:80 --from 192.0.2.9
! sluice: --from goes with --inbound
!   hint: leave it out, or give --inbound in place of --to
= 2
`,
  ),
);
