/** Ports of the far side's raw servers: fixed, for nobody else lives in that namespace. */
export const RAW_PORTS = {
  /** Accepts and never says a word: a TLS handshake hangs. */
  hang: 7001,
  /** RST at the first byte: in the middle of a handshake. */
  reset: 7002,
  /** FIN at the first byte. */
  finish: 7003,
  /** Answers in plain text: a server without TLS. */
  plain: 7004,
  /** TLS; sends back what it gets, and `end N` after the client's half-close. */
  echo: 7005,
  /** TLS; the first line says how many bytes to send. */
  source: 7006,
  /** TLS; reads nothing until told. */
  slow: 7007,
  /** TLS; RST after the first byte of data. */
  resetLater: 7008,
  /** TLS; answers HTTP by half of what it announced (`/half`), or by what it does not announce, and a FIN without close_notify. */
  cutShort: 7009,
  /** Answers an SSLRequest with `N`. */
  postgresRefuses: 7011,
  /** Answers an SSLRequest with `S` and shows a certificate of an unknown CA. */
  postgresUntrusted: 7012,
  /** Accepts and never answers the SSLRequest. */
  postgresHangs: 7013,
} as const;

export type RawName = keyof typeof RAW_PORTS;

export const UDP_PORTS = { dns: 53, echo: 7020 } as const;

/** The name the TLS servers among them have a certificate for. */
export const RAW_TLS_NAME = 'raw.test';
