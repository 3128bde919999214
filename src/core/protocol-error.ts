/**
 * The error of every reader of foreign bytes: the bytes break their protocol, or a bound we set on it.
 *
 * It stands in core because both `tls` and `protocols` throw it and neither may import the other way round.
 * Rule: the message says what is wrong and never repeats the bytes, which may hold a password or a token.
 */
import { SluiceError, type SluiceErrorOptions } from './errors.ts';

export type WireProtocol = 'dns' | 'http' | 'postgres' | 'tls';

/** Who sent the bytes: it decides who is answered, and what the flow record says. */
export type Fault = 'agent' | 'server';

export class ProtocolError extends SluiceError {
  readonly protocol: WireProtocol;
  readonly fault: Fault;

  constructor(protocol: WireProtocol, fault: Fault, message: string, options: SluiceErrorOptions = {}) {
    super('PROTOCOL', message, options);
    this.name = 'ProtocolError';
    this.protocol = protocol;
    this.fault = fault;
  }
}
