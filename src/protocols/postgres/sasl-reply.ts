/**
 * Reads how a client replies to the offer of mechanisms from which those with channel binding were taken (start-filter.ts).
 *
 * A client that could bind to a channel and takes the server for one that cannot says so (`y`, RFC 5802 §6), and a server with TLS
 * must then refuse it as the victim of a downgrade. The flag is part of what the password signs, so nobody can change it
 * on the way. Most clients know that plain text has no channel to bind to and say `n`; the others are told what to do about it,
 * which the server's words would not tell them.
 */
import { errorAnswer } from './answers.ts';
import { HEADER_BYTES } from './message.ts';
import { MessageRewriter, type Plan } from './message-rewriter.ts';

/** The reply to any authentication request. */
const REPLY = 0x70; // 'p'
const COULD_BIND = 0x79; // 'y'
/** Mechanism, length, flag and nonce: libpq itself sends less than 100 bytes. */
const HELD_MAX_LENGTH = 4_096;
const NOTHING = Buffer.alloc(0);

export interface SaslReplyOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  /** Whether mechanisms were taken out of what has been offered. */
  readonly isOffered: () => boolean;
}

export class SaslReply extends MessageRewriter {
  readonly #isOffered: () => boolean;
  #read = false;
  #refusal: Buffer | null = null;

  constructor({ startupBytes, isOffered }: SaslReplyOptions) {
    super('agent');
    this.#isOffered = isOffered;
    this.passRaw(startupBytes);
  }

  /** What the agent is to be told now. */
  refusal(): readonly Buffer[] {
    const refusal = this.#refusal;
    this.#refusal = null;
    return refusal === null ? [] : [refusal];
  }

  protected override plan(type: number, length: number): Plan {
    if (this.#read || type !== REPLY || !this.#isOffered()) return 'pass';
    this.#read = true;
    return length <= HELD_MAX_LENGTH ? 'whole' : 'pass';
  }

  protected override whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    const mechanismEnd = bytes.indexOf(0, at + HEADER_BYTES);
    const flagAt = mechanismEnd + 1 + 4;
    if (mechanismEnd === -1 || flagAt >= end || bytes[flagAt] !== COULD_BIND) return null;
    this.#refusal = errorAnswer({
      sqlState: '28000',
      message: 'Sluice: the client could bind to a TLS channel, and between it and Sluice there is none',
      hint: 'Turn channel binding off in the client (enableChannelBinding), or have it begin with TLS, which policy must pass.',
    });
    return NOTHING;
  }
}
