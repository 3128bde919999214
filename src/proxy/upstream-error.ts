/**
 * Why a server could not be reached or trusted, in the words of the flow record.
 *
 * One table per stage maps what Node and OpenSSL say to a `Reason`; what is in no table is still a reason
 * (`connect_failed`, `tls_handshake_failed`), never an exception that ends in `internal_error`.
 */
import { errnoOf, messageOf, SluiceError } from '../core/errors.ts';
import type { Reason } from '../flow/record.ts';

export class UpstreamError extends SluiceError {
  readonly reason: Reason;

  constructor(reason: Reason, message: string, cause?: unknown) {
    super('UPSTREAM', message, cause === undefined ? {} : { cause });
    this.name = 'UpstreamError';
    this.reason = reason;
  }
}

const CONNECT: Readonly<Record<string, readonly [Reason, string]>> = {
  ECONNREFUSED: ['connect_refused', 'the server refused the connection'],
  ETIMEDOUT: ['connect_timeout', 'the server did not answer'],
  EHOSTUNREACH: ['connect_unreachable', 'the host is unreachable'],
  ENETUNREACH: ['connect_unreachable', 'the network is unreachable'],
  EHOSTDOWN: ['connect_unreachable', 'the host is down'],
  EMFILE: ['overloaded', 'the worker is out of file descriptors'],
  ENFILE: ['overloaded', 'the host is out of file descriptors'],
  ENOBUFS: ['overloaded', 'the host is out of network memory'],
  ENOMEM: ['overloaded', 'the host is out of memory'],
};

/** OpenSSL's verdicts on a chain (X509_V_ERR_*) as Node names them, and Node's own on the name. */
const VERIFY: Readonly<Record<string, readonly [Reason, string]>> = {
  CERT_HAS_EXPIRED: ['tls_certificate_expired', 'a certificate of the server has expired'],
  CERT_NOT_YET_VALID: ['tls_certificate_not_yet_valid', 'a certificate of the server is not valid yet'],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['tls_self_signed', 'the certificate of the server is self-signed'],
  SELF_SIGNED_CERT_IN_CHAIN: [
    'tls_self_signed',
    'the chain of the server ends in a root that is not trusted',
  ],
  UNABLE_TO_GET_ISSUER_CERT: ['tls_unknown_ca', 'the certificate of the server was issued by an unknown CA'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: [
    'tls_unknown_ca',
    'the certificate of the server was issued by an unknown CA',
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    'tls_unknown_ca',
    'the certificate of the server was issued by an unknown CA',
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: ['tls_name_mismatch', 'the certificate of the server is for another name'],
  HOSTNAME_MISMATCH: ['tls_name_mismatch', 'the certificate of the server is for another name'],
  IP_ADDRESS_MISMATCH: ['tls_name_mismatch', 'the certificate of the server is for another address'],
};

/** All other ways a certificate can fail to verify. Codes of Node's `X509ErrorCode`. */
const INVALID: ReadonlySet<string> = new Set([
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'CERT_SIGNATURE_FAILURE',
  'ERROR_IN_CERT_NOT_BEFORE_FIELD',
  'ERROR_IN_CERT_NOT_AFTER_FIELD',
  'CERT_CHAIN_TOO_LONG',
  'CERT_REVOKED',
  'INVALID_CA',
  'PATH_LENGTH_EXCEEDED',
  'INVALID_PURPOSE',
  'CERT_UNTRUSTED',
  'CERT_REJECTED',
  'UNABLE_TO_GET_CRL',
  'CRL_HAS_EXPIRED',
  'OUT_OF_MEM',
  'UNSPECIFIED',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
  'EE_KEY_TOO_SMALL',
  'CA_KEY_TOO_SMALL',
  'CA_MD_TOO_WEAK',
]);

/** What OpenSSL says when the other side's first bytes are no TLS record. */
const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_UNKNOWN_PROTOCOL',
]);

/** Alert 116 of RFC 8446 §6.2: the server wants a certificate and policy gives it none. */
const CERTIFICATE_REQUIRED = 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED';

const SSL_ALERT = /^ERR_SSL_(?:SSL\/TLS|SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(.+)$/;

/** A failure of connect(2) to the server. */
export function connectError(cause: unknown): UpstreamError {
  const code = errnoOf(cause) ?? '';
  const [reason, detail] = CONNECT[code] ?? ['connect_failed', `connecting to the server failed (${code})`];
  return new UpstreamError(reason, detail, cause);
}

/** A failure between ClientHello and the end of verification. */
export function handshakeError(cause: unknown): UpstreamError {
  const code = errnoOf(cause) ?? '';
  const verify = VERIFY[code];
  if (verify !== undefined) return new UpstreamError(verify[0], verify[1], cause);
  if (INVALID.has(code)) {
    return new UpstreamError(
      'tls_certificate_invalid',
      `the certificate of the server is invalid (${code})`,
      cause,
    );
  }
  if (NOT_TLS.has(code)) {
    return new UpstreamError(
      'tls_not_offered',
      'the server answered in plain text: it does not speak TLS',
      cause,
    );
  }
  if (code === CERTIFICATE_REQUIRED) return clientCertificateRequired(cause);
  if (code === 'ECONNRESET' || code === 'EPIPE') return handshakeCut(cause);
  return new UpstreamError('tls_handshake_failed', `the TLS handshake failed${because(code, cause)}`, cause);
}

/** A failure of an established connection to the server. */
export function establishedError(cause: unknown): UpstreamError {
  if (errnoOf(cause) === CERTIFICATE_REQUIRED) return clientCertificateRequired(cause);
  return new UpstreamError(
    'server_reset',
    `the server broke the connection (${errnoOf(cause) ?? 'reset'})`,
    cause,
  );
}

function clientCertificateRequired(cause: unknown): UpstreamError {
  return new UpstreamError(
    'tls_client_certificate_required',
    'the server wants a client certificate and the policy names none',
    cause,
  );
}

/** Node gives a FIN and a RST the same code; only the RST came from a system call. */
function handshakeCut(cause: unknown): UpstreamError {
  const reset = typeof cause === 'object' && cause !== null && 'syscall' in cause;
  return reset
    ? new UpstreamError(
        'tls_handshake_reset',
        'the server reset the connection during the TLS handshake',
        cause,
      )
    : new UpstreamError(
        'tls_handshake_failed',
        'the server closed the connection during the TLS handshake',
        cause,
      );
}

/** Alerts in their own words: OpenSSL's full text carries addresses of its source and no more sense. */
function because(code: string, cause: unknown): string {
  const alert = SSL_ALERT.exec(code)?.[1];
  if (alert !== undefined) return `: the server sent the alert ${alert.toLowerCase().replaceAll('_', ' ')}`;
  return code === '' ? `: ${messageOf(cause)}` : ` (${code})`;
}
