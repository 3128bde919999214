/** The one error of the protocol layers; declared in core because `tls`, which stands below, throws it too. */
export { type Fault, ProtocolError, type WireProtocol } from '../core/protocol-error.ts';
