/**
 * A certificate authority for the servers of the test world, made anew for each world by the openssl program,
 * so that nothing here shares code with what is tested. Keys are P-256: made in milliseconds.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from './command.ts';

export interface Certificate {
  /** PEM files. `cert` holds the leaf alone: the CA is a root. */
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** DNS names or IP addresses of the certificate; default: its own name. */
  readonly names?: readonly string[];
  /** Validity, as `YYYYMMDDHHMMSSZ`; default: a span around today. */
  readonly from?: string;
  readonly until?: string;
}

export class Pki {
  readonly #dir: string;
  /** PEM file of the CA's certificate: what a policy names as `ca`. */
  readonly ca: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.ca = join(dir, 'ca.pem');
  }

  static async make(dir: string, commonName: string): Promise<Pki> {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    const pki = new Pki(dir);
    await pki.#key('ca');
    const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
    await pki.#signByItself(pki.#path('ca.key'), pki.ca, commonName, extensions);
    writeFileSync(pki.#path('index.txt'), '');
    writeFileSync(pki.#path('ca.cnf'), caConfiguration(dir));
    return pki;
  }

  async issue(name: string, { names = [name], from, until }: IssueOptions = {}): Promise<Certificate> {
    const certificate = await this.#key(name);
    const request = this.#path(`${name}.csr`);
    await must(['openssl', 'req', '-new', '-key', certificate.key, '-subj', `/CN=${name}`, '-out', request]);
    const extensions = this.#path(`${name}.ext`);
    writeFileSync(
      extensions,
      `subjectAltName=${names.map(alternative).join(',')}\nbasicConstraints=CA:FALSE\n`,
    );
    // `openssl ca`, for it alone sets both ends of the validity.
    const command = [
      'openssl',
      'ca',
      '-batch',
      '-notext',
      '-config',
      this.#path('ca.cnf'),
      '-extfile',
      extensions,
    ];
    const validity = ['-startdate', from ?? '20240101000000Z', '-enddate', until ?? '20991231000000Z'];
    await must([...command, ...validity, '-in', request, '-out', certificate.cert]);
    return certificate;
  }

  async selfSigned(name: string): Promise<Certificate> {
    const certificate = await this.#key(name);
    const extensions = [`subjectAltName=${alternative(name)}`];
    await this.#signByItself(certificate.key, certificate.cert, name, extensions);
    return certificate;
  }

  async #signByItself(
    key: string,
    out: string,
    commonName: string,
    extensions: readonly string[],
  ): Promise<void> {
    const request = ['openssl', 'req', '-x509', '-new', '-key', key, '-out', out, '-days', '30'];
    await must([...request, '-subj', `/CN=${commonName}`, ...extensions.flatMap((e) => ['-addext', e])]);
  }

  async #key(name: string): Promise<Certificate> {
    const key = this.#path(`${name}.key`);
    await must(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', key]);
    return { key, cert: this.#path(`${name}.pem`) };
  }

  #path(file: string): string {
    return join(this.#dir, file);
  }
}

function alternative(name: string): string {
  return /^[\d.]+$|:/.test(name) ? `IP:${name}` : `DNS:${name}`;
}

function caConfiguration(dir: string): string {
  return `[ca]
default_ca = test
[test]
dir = ${dir}
database = ${dir}/index.txt
new_certs_dir = ${dir}
certificate = ${dir}/ca.pem
private_key = ${dir}/ca.key
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
`;
}
