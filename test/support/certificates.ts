/**
 * Certificates for servers that a test runs in its own process, on loopback: one good one, and one for each way
 * in which a certificate can be wrong. Made by the openssl program in a temporary directory that goes with the test.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CompiledTls } from '#src/policy/types.ts';
import { type Certificate, Pki } from './pki.ts';

/** PEM texts, as node:tls takes them. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** Name all certificates but `wrongName` are for. */
export const SERVER_NAME = 'server.test';

export interface Certificates {
  /** PEM of the CA a policy would name. */
  readonly ca: string;
  /** For SERVER_NAME, `*.wild.test` and 127.0.0.1. */
  readonly valid: KeyPair;
  /** For another name and another address. */
  readonly wrongName: KeyPair;
  readonly expired: KeyPair;
  readonly notYetValid: KeyPair;
  readonly selfSigned: KeyPair;
  /** Of a CA the policy does not name. */
  readonly unknownCa: KeyPair;
  /** What a policy shows to servers that ask for it. */
  readonly client: KeyPair;
}

/** @param teardown registers what removes the directory, as `t.teardown` does */
export async function makeCertificates(teardown: (remove: () => void) => void): Promise<Certificates> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-certificates-'));
  teardown(() => rmSync(dir, { recursive: true, force: true }));
  const pki = await Pki.make(join(dir, 'ca'), 'Test CA');
  const other = await Pki.make(join(dir, 'other'), 'Another CA');
  const names = [SERVER_NAME];
  return {
    ca: readFileSync(pki.ca, 'utf8'),
    valid: read(await pki.issue('valid', { names: [SERVER_NAME, '*.wild.test', '127.0.0.1'] })),
    wrongName: read(await pki.issue('wrong-name', { names: ['elsewhere.test', '192.0.2.1'] })),
    expired: read(await pki.issue('expired', { names, from: '20200101000000Z', until: '20210101000000Z' })),
    notYetValid: read(await pki.issue('early', { names, from: '20980101000000Z' })),
    selfSigned: read(await pki.selfSigned(SERVER_NAME)),
    unknownCa: read(await other.issue('unknown', { names })),
    client: read(await pki.issue('client', { names: ['client.test'] })),
  };
}

/** As a policy asks for it: servers that show `valid` pass. */
export function tlsBy({ ca }: Certificates): CompiledTls {
  return {
    serverName: SERVER_NAME,
    ca,
    minVersion: 'TLSv1.2',
    negotiation: 'postgres',
    clientCertificate: null,
  };
}

function read({ cert, key }: Certificate): KeyPair {
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}
