/**
 * The connection to the server: TCP to the original destination, then TLS that is verified before it is
 * handed out.
 *
 * Rules kept here, because everything else relies on them:
 * - the socket given to callers for the agent's bytes is the TLS one, and only after chain and name were
 *   verified; the raw one is given out for an in-protocol request for TLS (PostgreSQL) and for flows that
 *   policy carries as they are;
 * - every failure is an `UpstreamError` with the reason the flow record will show;
 * - every wait has an end: connect and handshake each have their time-out, and `reset()` ends either.
 */
import { connect as connectTcp, isIPv4, type Socket, type SocketConnectOpts } from 'node:net';
import {
  type ConnectionOptions,
  checkServerIdentity,
  type PeerCertificate,
  type TLSSocket,
  connect as wrapInTls,
} from 'node:tls';
import type { Clock } from '../core/clock.ts';
import { deadline } from '../core/deadline.ts';
import type { FlowTls } from '../flow/record.ts';
import type { CompiledDestination } from '../policy/types.ts';
import { withoutPeerCertificate } from '../tls/session-state.ts';
import { watchCloseNotify } from './close-notify.ts';
import { Landing } from './landing.ts';
import { resetSocket, resetTls } from './reset.ts';
import type { PeerProof, ResumableSession } from './resumption.ts';
import { readInto } from './socket-fd.ts';
import type { SocketPool } from './socket-pool.ts';
import type { ServerGroup, TlsContexts } from './tls-context.ts';
import { connectError, handshakeError, UpstreamError } from './upstream-error.ts';

/**
 * Bytes a direction may buffer before its source is paused. Measured on bulk downloads: 64 KiB costs a quarter
 * more CPU per gigabyte in pausing and resuming, 1 MiB gains nothing more. An idle flow holds none of it.
 */
export const HIGH_WATER_MARK_BYTES = 262_144;

/** `highWaterMark` is one of the stream options sockets take, which the types of node:net leave out. */
const TCP_OPTIONS = {
  allowHalfOpen: true,
  autoSelectFamily: false,
  noDelay: true,
  highWaterMark: HIGH_WATER_MARK_BYTES,
};

export interface SecureOptions {
  readonly contexts: TlsContexts;
  readonly destination: CompiledDestination;
  /** DNS name or IP address the certificate must be for. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  readonly timeoutMs: number;
}

/** One attempt at TLS: what it is made with, and what it proved. */
interface Handshake {
  readonly contexts: TlsContexts;
  /** Under which its session may be resumed. */
  readonly key: string;
  readonly resumable: ResumableSession | null;
  readonly serverName: string;
  /** Set once the certificate was verified, in this handshake or in the one it resumes. */
  proof: PeerProof | null;
  readonly options: ConnectionOptions & { readonly highWaterMark: number };
}

/** The unspecified address means this host, as the kernel takes it in connect(2). */
export function reachableIp(ip: string): string {
  if (ip === '0.0.0.0') return '127.0.0.1';
  return ip === '::' ? '::1' : ip;
}

export class Upstream {
  readonly #clock: Clock;
  readonly #sockets: SocketPool | null;
  #wasReset = false;
  #raw: Socket | null = null;
  #secure: TLSSocket | null = null;
  #ip = '';
  #port = 0;
  connectMs: number | null = null;
  tlsMs: number | null = null;
  tls: FlowTls | null = null;
  /** What is known by now of how the server ended; see close-notify.ts. */
  closeNotify: () => boolean | null = () => null;

  /** @param sockets of the agent's network namespace, where that is not the worker's own */
  constructor(clock: Clock, sockets: SocketPool | null = null) {
    this.#clock = clock;
    this.#sockets = sockets;
  }

  /** The TCP connection, paused. @throws UpstreamError */
  connect(ip: string, port: number, timeoutMs: number): Promise<Socket> {
    this.#ip = reachableIp(ip);
    this.#port = port;
    return this.#sockets === null
      ? this.#connect({ ...TCP_OPTIONS, host: this.#ip, port }, timeoutMs)
      : this.#connectElsewhere(this.#sockets, timeoutMs);
  }

  async #connectElsewhere(sockets: SocketPool, timeoutMs: number): Promise<Socket> {
    const fd = await sockets.take(this.#ip.includes(':') ? 6 : 4, timeoutMs);
    if (this.#wasReset) {
      sockets.giveBack(fd);
      throw new UpstreamError('connect_failed', 'the agent left before the server was reached');
    }
    // Sockets take a descriptor where they connect, which the types of node:net leave out.
    const options = { ...TCP_OPTIONS, host: this.#ip, port: this.#port, fd };
    return await this.#connect(options, timeoutMs);
  }

  #connect(options: SocketConnectOpts, timeoutMs: number): Promise<Socket> {
    const begun = this.#clock.monotonic();
    return new Promise((resolve, reject) => {
      const raw = connectTcp(options);
      this.#raw = raw;
      raw.pause();
      const callOff = deadline(timeoutMs, () => raw.destroy(connectTimeout(timeoutMs)));
      const onClose = (): void => {
        callOff();
        reject(asUpstreamError(raw.errored, connectError));
      };
      raw.on('error', ignore);
      raw.once('close', onClose);
      raw.once('connect', () => {
        callOff();
        raw.off('close', onClose);
        this.connectMs = this.#clock.monotonic() - begun;
        resolve(raw);
      });
    });
  }

  /**
   * TLS on the socket `connect` returned, verified: for protocols that ask for it in words of their own. The
   * returned socket is paused, and what the server says has to be taken from its `Landing`.
   * @throws UpstreamError
   */
  async secure(options: SecureOptions): Promise<TLSSocket> {
    const raw = this.#raw;
    if (raw === null) throw new UpstreamError('internal_error', 'TLS was asked for without a connection');
    const handshake = this.#prepare(options);
    const socket = wrapInTls({ ...handshake.options, socket: raw });
    const landing = new Landing();
    if (readInto(socket, landing.onread)) landing.belongTo(socket);
    return await this.#shakeHands(socket, handshake, options.timeoutMs);
  }

  /**
   * `connect` and `secure` in one, for TLS that begins with the connection: one socket object instead of two
   * is a tenth of what a short flow costs. What the server says has to be taken from the socket's `Landing`.
   * @throws UpstreamError
   */
  connectSecure(
    ip: string,
    port: number,
    connectTimeoutMs: number,
    options: SecureOptions,
  ): Promise<TLSSocket> {
    if (this.#sockets !== null)
      return this.connect(ip, port, connectTimeoutMs).then(() => this.secure(options));
    this.#ip = reachableIp(ip);
    this.#port = port;
    const begun = this.#clock.monotonic();
    const handshake = this.#prepare(options);
    const landing = new Landing();
    // TLS sockets that make their own connection take it as others do, which the types of node:tls leave out.
    const reading = { onread: landing.onread };
    return new Promise((resolve, reject) => {
      const socket = wrapInTls({ ...TCP_OPTIONS, ...handshake.options, ...reading, host: this.#ip, port });
      landing.belongTo(socket);
      this.#secure = socket;
      socket.on('error', ignore);
      const callOff = deadline(connectTimeoutMs, () => socket.destroy(connectTimeout(connectTimeoutMs)));
      const onClose = (): void => {
        callOff();
        reject(asUpstreamError(socket.errored, connectError));
      };
      socket.once('close', onClose);
      socket.once('connect', () => {
        callOff();
        socket.off('close', onClose);
        this.connectMs = this.#clock.monotonic() - begun;
        resolve(this.#shakeHands(socket, handshake, options.timeoutMs));
      });
    });
  }

  /** @throws UpstreamError when policy's TLS settings are unusable */
  #prepare({ contexts, destination, serverName, alpn }: SecureOptions): Handshake {
    const key = `${destination.name}\0${serverName}\0${this.#ip}\0${this.#port}`;
    const resumable = contexts.resumption.find(key);
    const handshake: Handshake = {
      contexts,
      key,
      resumable,
      serverName,
      proof: null,
      options: {
        secureContext: contexts.contextFor(destination, serverGroup(resumable)),
        rejectUnauthorized: true,
        checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
          // The name Node passes is what it made of its options; the one decided is the one that counts.
          const wrong = checkServerIdentity(serverName, certificate);
          if (wrong === undefined) handshake.proof = proofOf(certificate);
          return wrong;
        },
        highWaterMark: HIGH_WATER_MARK_BYTES,
        // SNI carries host names only (RFC 6066 §3).
        ...(isAddress(serverName) ? {} : { servername: serverName }),
        ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
        ...(resumable === null ? {} : { session: resumable.session }),
      },
    };
    return handshake;
  }

  #shakeHands(socket: TLSSocket, handshake: Handshake, timeoutMs: number): Promise<TLSSocket> {
    const { contexts, key, resumable, serverName } = handshake;
    const begun = this.#clock.monotonic();
    this.#secure = socket;
    return new Promise((resolve, reject) => {
      const callOff = deadline(timeoutMs, () => {
        socket.destroy(new UpstreamError('tls_handshake_timeout', `no TLS handshake within ${timeoutMs} ms`));
      });
      const onClose = (): void => {
        callOff();
        contexts.resumption.forget(key);
        reject(asUpstreamError(socket.errored, handshakeError));
      };
      socket.on('error', ignore);
      socket.once('close', onClose);
      if (resumable === null || contexts.resumption.isAged(resumable)) keepSessions(socket, handshake);
      socket.once('secureConnect', () => {
        callOff();
        socket.off('close', onClose);
        socket.pause();
        this.closeNotify = watchCloseNotify(socket);
        // A server that no longer takes the ticket gets a fresh start with the next flow.
        if (resumable !== null && !socket.isSessionReused()) contexts.resumption.forget(key);
        const proof = handshake.proof ?? resumable?.proof ?? null;
        this.tlsMs = this.#clock.monotonic() - begun;
        this.tls = describe(socket, serverName, proof);
        // The choice was the server's only while it had both shares.
        if (proof !== null) handshake.proof = { ...proof, group: resumable?.proof.group ?? this.tls.group };
        resolve(socket);
      });
    });
  }

  /** Ends everything with a RST; whoever waits for `connect` or `secure` is told. */
  reset(): void {
    this.#wasReset = true;
    if (this.#raw !== null) resetSocket(this.#raw, this.#secure);
    else if (this.#secure !== null) resetTls(this.#secure);
  }
}

/** No host name has a colon, and `isIPv6` takes longer than the rest of a flow's decision. */
function isAddress(name: string): boolean {
  return name.includes(':') || isIPv4(name);
}

/** Takes the tickets the server sends, to resume later what was proved in this handshake. */
function keepSessions(socket: TLSSocket, handshake: Handshake): void {
  const { contexts, key, resumable } = handshake;
  socket.on('session', (session: Buffer) => {
    if (handshake.proof === null) return;
    const since = socket.isSessionReused() ? resumable : null;
    const kept = socket.getProtocol() === 'TLSv1.3' ? withoutPeerCertificate(session) : session;
    contexts.resumption.keep(key, kept, handshake.proof, since);
  });
}

function serverGroup(known: ResumableSession | null): ServerGroup {
  if (known === null || known.proof.group === null) return 'unknown';
  if (known.proof.group === 'X25519MLKEM768') return 'hybrid';
  return known.proof.group === 'x25519' ? 'classic' : 'unknown';
}

function ignore(): void {
  // Errors are taken from `socket.errored` at `close`; a listener must exist or they end the process.
}

function asUpstreamError(error: Error | null, map: (cause: unknown) => UpstreamError): UpstreamError {
  if (error instanceof UpstreamError) return error;
  return map(error ?? new Error('aborted'));
}

function connectTimeout(timeoutMs: number): UpstreamError {
  return new UpstreamError('connect_timeout', `the server did not answer within ${timeoutMs} ms`);
}

function proofOf(certificate: PeerCertificate): PeerProof {
  return {
    sha256: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notAfter: Date.parse(certificate.valid_to),
    group: null,
  };
}

/** OpenSSL's and Node's various names for a group, as IANA registers them. */
const GROUP_NAMES: Readonly<Record<string, string>> = {
  X25519: 'x25519',
  prime256v1: 'secp256r1',
};

function describe(socket: TLSSocket, serverName: string, proof: PeerProof | null): FlowTls {
  const ephemeral = socket.getEphemeralKeyInfo();
  const group = ephemeral !== null && 'name' in ephemeral ? ephemeral.name : undefined;
  return {
    version: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    group: group === undefined ? null : (GROUP_NAMES[group] ?? group),
    server_name: serverName,
    resumed: socket.isSessionReused(),
    alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : null,
    peer_sha256: proof?.sha256 ?? null,
    agent_sni: null,
    close_notify: null,
  };
}
