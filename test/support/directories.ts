/**
 * A Kerberos and an LDAP server on loopback, with one user each, for a PostgreSQL that asks them who may come in. Their programs are
 * fetched (scripts/lib/fetch-postgres.ts), not installed.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, Running } from './command.ts';
import { freePort, waitForListener } from './listening.ts';

const REALM = 'WORLD.TEST';

export interface Directories {
  /** Lines of pg_hba.conf end so, by the user's name. */
  readonly methods: { readonly gss: string; readonly ldap: string };
  /** Whoever speaks Kerberos needs it in his environment; the agent's has its tickets. */
  readonly server: Readonly<Record<string, string>>;
  readonly agent: Readonly<Record<string, string>>;
  readonly keytab: string;
  stop(): Promise<void>;
}

/** @param service the name by which clients call the server. @param dir an empty one */
export async function startDirectories(
  root: string,
  dir: string,
  service: string,
  password: string,
): Promise<Directories> {
  const kerberos = await startKerberos(root, join(dir, 'kerberos'), service, password);
  const ldap = await startLdap(root, join(dir, 'ldap'), password);
  return {
    ...kerberos,
    methods: { gss: `gss include_realm=0 krb_realm=${REALM}`, ldap: ldap.method },
    stop: async () => {
      for (const { process } of [kerberos, ldap]) await process.stop();
    },
  };
}

async function startKerberos(root: string, dir: string, service: string, password: string) {
  mkdirSync(dir);
  const port = await freePort();
  const config = join(dir, 'krb5.conf');
  const plugins = join(root, 'usr/lib/x86_64-linux-gnu/krb5/plugins/kdb');
  writeFileSync(
    config,
    `[libdefaults]
default_realm = ${REALM}
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
${REALM} = {
  kdc = 127.0.0.1:${port}
  database_name = ${dir}/principal
  key_stash_file = ${dir}/stash
  acl_file = ${dir}/acl
  kdc_listen = 127.0.0.1:${port}
  kdc_tcp_listen = 127.0.0.1:${port}
}
[dbmodules]
db_module_dir = ${plugins}
`,
  );
  const server = { KRB5_CONFIG: config, KRB5_KDC_PROFILE: config };
  const agent = { KRB5_CONFIG: config, KRB5CCNAME: `FILE:${dir}/tickets` };
  const keytab = join(dir, 'keytab');
  const principal = `postgres/${service}@${REALM}`;
  const { sbin, bin } = { sbin: join(root, 'usr/sbin'), bin: join(root, 'usr/bin') };
  await must([join(sbin, 'kdb5_util'), 'create', '-s', '-r', REALM, '-P', password], { env: server });
  for (const query of [
    `addprinc -pw ${password} gss@${REALM}`,
    `addprinc -randkey ${principal}`,
    `ktadd -k ${keytab} ${principal}`,
  ])
    await must([join(sbin, 'kadmin.local'), '-r', REALM, '-q', query], { env: server });
  await must(['chown', 'postgres:', keytab]);
  const process = new Running([join(sbin, 'krb5kdc'), '-n'], { env: server });
  await waitForListener(process, [port]);
  // With both tickets the agent has nothing more to ask.
  await must([join(bin, 'kinit'), `gss@${REALM}`], { env: agent, input: `${password}\n` });
  await must([join(bin, 'kvno'), principal], { env: agent });
  return { server, agent, keytab, process };
}

async function startLdap(root: string, dir: string, password: string) {
  mkdirSync(join(dir, 'data'), { recursive: true });
  const port = await freePort();
  const config = join(dir, 'slapd.conf');
  writeFileSync(
    config,
    `include ${root}/etc/ldap/schema/core.schema
modulepath ${root}/usr/lib/ldap
moduleload back_mdb
pidfile ${dir}/pid
database mdb
suffix "dc=test"
directory ${dir}/data
`,
  );
  const users = `dn: dc=test
objectClass: dcObject
objectClass: organization
dc: test
o: test

dn: cn=ldap,dc=test
objectClass: person
cn: ldap
sn: ldap
userPassword: ${password}
`;
  const slapd = join(root, 'usr/sbin/slapd');
  await must([slapd, '-T', 'add', '-f', config], { input: users });
  const process = new Running([slapd, '-f', config, '-h', `ldap://127.0.0.1:${port}`, '-d', '0']);
  await waitForListener(process, [port]);
  return {
    process,
    method: `ldap ldapserver=127.0.0.1 ldapport=${port} ldapprefix="cn=" ldapsuffix=",dc=test"`,
  };
}
