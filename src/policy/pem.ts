/**
 * Reads the PEM files a policy names and makes sure that they are what they are taken for: a wrong file is a
 * mistake to show at once with its place, not a handshake that fails at night.
 *
 * Only the certificates of a file are kept, so a key somebody left beside a CA does not travel to the workers.
 * No error text carries content of a file.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { messageOf } from '../core/errors.ts';

/** The largest public CA bundles have about 250 KB; more is some other file. */
export const PEM_MAX_BYTES = 4 * 1024 * 1024;

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

export type PemResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly message: string; readonly hint: string | null };

export interface Certificates {
  /** The certificates alone, in the order of the file. */
  readonly pem: string;
  readonly list: readonly X509Certificate[];
}

export function readCertificates(text: string): PemResult<Certificates> {
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    return {
      ok: false,
      message: 'holds no PEM certificate',
      hint: 'it must have a -----BEGIN CERTIFICATE----- block',
    };
  }
  const list: X509Certificate[] = [];
  for (const [i, block] of blocks.entries()) {
    try {
      list.push(new X509Certificate(block));
    } catch (error) {
      return { ok: false, message: `certificate ${i + 1} cannot be read: ${messageOf(error)}`, hint: null };
    }
  }
  return { ok: true, value: { pem: `${blocks.join('\n')}\n`, list } };
}

/** The private key of a PEM text; it must belong to `certificate`. */
export function readKey(text: string, certificate: X509Certificate | null): PemResult<string> {
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    // The library's message is left out: this is the one file whose content must not be hinted at.
    return {
      ok: false,
      message: 'holds no private key that can be read',
      hint: 'it must be PEM and not encrypted: openssl pkey -in FILE -out PLAIN',
    };
  }
  if (certificate !== null && !certificate.checkPrivateKey(key)) {
    return { ok: false, message: 'does not belong to the certificate', hint: null };
  }
  const pem = key.export({ type: 'pkcs8', format: 'pem' });
  return { ok: true, value: typeof pem === 'string' ? pem : pem.toString('utf8') };
}

/** A sentence about certificates outside their time, or null when `nowMs` is in the time of all. */
export function validityWarning(list: readonly X509Certificate[], nowMs: number): string | null {
  const expired = list.filter((certificate) => certificate.validToDate.getTime() < nowMs);
  const early = list.filter((certificate) => certificate.validFromDate.getTime() > nowMs);
  const [first = early[0]] = expired;
  if (first === undefined) return null;
  const what =
    expired.length > 0
      ? `expired on ${first.validToDate.toISOString()}`
      : `not valid before ${first.validFromDate.toISOString()}`;
  return list.length === 1
    ? `the certificate is out of its time: ${what}`
    : `${expired.length + early.length} of ${list.length} certificates are out of their time: the first ${what}`;
}
