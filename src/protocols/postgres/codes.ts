/**
 * Numbers of PostgreSQL's start-up phase (protocol documentation, "Message Formats").
 */

/** CancelRequest: 1234.5678, where a start-up packet has its protocol version. */
export const CANCEL_CODE = 80_877_102;
/** SSLRequest: 1234.5679. */
export const SSL_CODE = 80_877_103;
/** GSSENCRequest: 1234.5680. */
export const GSS_CODE = 80_877_104;

/** The only major version spoken since PostgreSQL 7.4. */
export const PROTOCOL_MAJOR = 3;

/**
 * The longest start-up packet, its own length included: the server's limit too (MAX_STARTUP_PACKET_LENGTH, which
 * leaves the length field out), so nothing that a server takes is refused here.
 */
export const STARTUP_MAX_BYTES = 10_004;

/** The length field and the code after it: the server takes nothing shorter. */
export const STARTUP_MIN_BYTES = 8;
