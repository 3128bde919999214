import t from 'tap';
import { connectError, establishedError, handshakeError } from '#src/proxy/upstream-error.ts';

const failure = (code: string, more: object = {}): Error =>
  Object.assign(new Error('text of a library'), { code }, more);

t.test('connect', async (t) => {
  const cases = {
    ECONNREFUSED: 'connect_refused',
    ETIMEDOUT: 'connect_timeout',
    EHOSTUNREACH: 'connect_unreachable',
    ENETUNREACH: 'connect_unreachable',
    EMFILE: 'overloaded',
    ENFILE: 'overloaded',
    EACCES: 'connect_failed',
  };
  for (const [code, reason] of Object.entries(cases))
    t.equal(connectError(failure(code)).reason, reason, code);
});

t.test('handshake', async (t) => {
  const cases = {
    CERT_HAS_EXPIRED: 'tls_certificate_expired',
    CERT_NOT_YET_VALID: 'tls_certificate_not_yet_valid',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'tls_self_signed',
    SELF_SIGNED_CERT_IN_CHAIN: 'tls_self_signed',
    UNABLE_TO_GET_ISSUER_CERT: 'tls_unknown_ca',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls_unknown_ca',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls_unknown_ca',
    ERR_TLS_CERT_ALTNAME_INVALID: 'tls_name_mismatch',
    CERT_REVOKED: 'tls_certificate_invalid',
    INVALID_PURPOSE: 'tls_certificate_invalid',
    ERR_SSL_WRONG_VERSION_NUMBER: 'tls_not_offered',
    ERR_SSL_HTTP_REQUEST: 'tls_not_offered',
    ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'tls_client_certificate_required',
    'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': 'tls_handshake_failed',
    ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'tls_handshake_failed',
    SOMETHING_NEW: 'tls_handshake_failed',
  };
  for (const [code, reason] of Object.entries(cases))
    t.equal(handshakeError(failure(code)).reason, reason, code);
  t.equal(handshakeError(failure('ECONNRESET', { syscall: 'read' })).reason, 'tls_handshake_reset');
  t.equal(handshakeError(failure('ECONNRESET')).reason, 'tls_handshake_failed', 'a FIN');
});

t.test('alerts are told in their own words, without the addresses of a library', async (t) => {
  t.equal(
    handshakeError(failure('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')).message,
    'the TLS handshake failed: the server sent the alert protocol version',
  );
});

t.test('established', async (t) => {
  t.equal(establishedError(failure('ECONNRESET')).reason, 'server_reset');
  const late = establishedError(failure('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'));
  t.equal(late.reason, 'tls_client_certificate_required');
});
