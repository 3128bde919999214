/** Numbers of DNS (RFC 1035 §3.2, §4.1; RFC 6891 §6.1; RFC 8914 §4) that are spoken of here. */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  RRSIG: 46,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const;

export const CLASS_IN = 1;

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
} as const;

/** Extended DNS errors: why an answer is none. */
export const EXTENDED_ERROR = { BLOCKED: 15, PROHIBITED: 18, NETWORK_ERROR: 23, INVALID_DATA: 24 } as const;
export const OPTION_EXTENDED_ERROR = 15;

export const FLAG = {
  RESPONSE: 0x8000,
  OPCODE: 0x7800,
  AUTHORITATIVE: 0x0400,
  TRUNCATED: 0x0200,
  RECURSION_DESIRED: 0x0100,
  RECURSION_AVAILABLE: 0x0080,
  RESERVED: 0x0040,
  AUTHENTIC_DATA: 0x0020,
  CHECKING_DISABLED: 0x0010,
  RCODE: 0x000f,
} as const;

/** "DNSSEC OK" in the TTL of an OPT record (RFC 3225). */
export const EDNS_DNSSEC_OK = 0x8000;

export const HEADER_BYTES = 12;
/** Before EDNS no datagram was larger (RFC 1035 §4.2.1). */
export const CLASSIC_DATAGRAM_BYTES = 512;
/** Fits every network without fragments, which are easily forged (RFC 9715 §3). */
export const SAFE_DATAGRAM_BYTES = 1232;
export const MESSAGE_MAX_BYTES = 65_535;

const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(TYPE).map(([name, number]) => [number, name] as const),
  [16, 'TXT'],
  [43, 'DS'],
  [48, 'DNSKEY'],
  [64, 'SVCB'],
  [65, 'HTTPS'],
  [257, 'CAA'],
]);
const RCODES: ReadonlyMap<number, string> = new Map(
  Object.entries(RCODE).map(([name, number]) => [number, name] as const),
);

/** For people; `TYPE64` where there is no name (RFC 3597 §5). */
export function typeName(type: number): string {
  return NAMES.get(type) ?? `TYPE${type}`;
}

export function rcodeName(rcode: number): string {
  return RCODES.get(rcode) ?? `RCODE${rcode}`;
}
