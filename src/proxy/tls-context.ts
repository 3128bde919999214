/**
 * TLS settings of one policy revision, made ready for use: parsing a trust store takes tens of
 * milliseconds, so it happens once per distinct setting and not per connection.
 *
 * A `TlsContexts` belongs to one revision of the policy and is dropped with it, and so is its memory of
 * TLS sessions: what an older policy allowed is never resumed under a newer one. Nothing here looks at the
 * environment: trust comes from policy or from the system's store, never from NODE_EXTRA_CA_CERTS.
 */
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { messageOf } from '../core/errors.ts';
import { ANYWHERE } from '../policy/prepare.ts';
import type { CompiledDestination, CompiledPolicy, CompiledTls } from '../policy/types.ts';
import { ResumptionCache } from './resumption.ts';
import { UpstreamError } from './upstream-error.ts';

/**
 * Key-exchange groups in order of preference. The first is the hybrid of RFC-to-be
 * draft-ietf-tls-ecdhe-mlkem; the others keep servers reachable that have not heard of it.
 *
 * An asterisk asks for a key share (SSL_CTX_set1_groups_list(3), OpenSSL 3.5). To a server not known yet both go: with
 * one of the hybrid alone, every older server answers HelloRetryRequest, a round trip and a second hello. To a
 * server whose choice is known only that one goes; what is offered, and preferred, stays the same.
 */
export const GROUPS = {
  unknown: '*X25519MLKEM768:*X25519:prime256v1:secp384r1',
  hybrid: '*X25519MLKEM768:X25519:prime256v1:secp384r1',
  classic: 'X25519MLKEM768:*X25519:prime256v1:secp384r1',
} as const;

export type ServerGroup = keyof typeof GROUPS;

/**
 * All there are in TLS 1.3 (RFC 8446 §B.4) that OpenSSL offers, in its order. Where nothing older may be spoken, leaving out
 * the other sixty, each of which OpenSSL weighs and drops for every hello, offers the same for less.
 */
const TLS13_CIPHERS = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

let systemStore: string | undefined;

/** The system's trusted CAs as one PEM text, read once per process. Bundle and hash directory overlap. */
export function systemCa(): string {
  systemStore ??= [...new Set(getCACertificates('system'))].join('\n');
  return systemStore;
}

export class TlsContexts {
  readonly resumption: ResumptionCache;
  readonly #systemCa: () => string;
  readonly #byDestination = new WeakMap<CompiledDestination, Map<ServerGroup, SecureContext>>();
  readonly #byContent = new Map<string, SecureContext>();

  constructor(options: { readonly systemCa?: () => string; readonly now?: () => number } = {}) {
    this.#systemCa = options.systemCa ?? systemCa;
    this.resumption = new ResumptionCache(options.now === undefined ? {} : { now: options.now });
  }

  /**
   * Makes every context of `policy` now, as servers not known yet need it. Those whose settings are unchanged are taken over from the revision
   * before (parsed settings only, no sessions). One that cannot be made fails the flows that need it, not
   * the whole policy.
   */
  warm(policy: CompiledPolicy, before: TlsContexts | null): void {
    const destinations = policy.rules.some((rule) => rule.destinations.length === 0)
      ? [...policy.destinations, ANYWHERE]
      : policy.destinations;
    for (const destination of destinations) {
      for (const group of Object.keys(GROUPS) as ServerGroup[]) {
        const content = contentOf(destination.tls, group);
        const known = before === null ? undefined : before.#byContent.get(content);
        if (known !== undefined) this.#byContent.set(content, known);
      }
      try {
        this.contextFor(destination);
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
      }
    }
  }

  /** @throws UpstreamError `internal_error` when policy names a certificate or key OpenSSL cannot use. */
  contextFor(destination: CompiledDestination, group: ServerGroup = 'unknown'): SecureContext {
    let contexts = this.#byDestination.get(destination);
    if (contexts === undefined) {
      contexts = new Map();
      this.#byDestination.set(destination, contexts);
    }
    const known = contexts.get(group);
    if (known !== undefined) return known;
    const context = this.#sharedContext(destination.tls, group);
    contexts.set(group, context);
    return context;
  }

  /** Destinations that trust the same CAs the same way share one context: a store is about a megabyte. */
  #sharedContext(settings: CompiledTls, group: ServerGroup): SecureContext {
    const content = contentOf(settings, group);
    const known = this.#byContent.get(content);
    if (known !== undefined) return known;
    const context = this.#create(settings, group);
    this.#byContent.set(content, context);
    return context;
  }

  #create(settings: CompiledTls, group: ServerGroup): SecureContext {
    try {
      return createSecureContext({
        ca: settings.ca ?? this.#systemCa(),
        minVersion: settings.minVersion,
        maxVersion: 'TLSv1.3',
        ecdhCurve: GROUPS[group],
        ...(settings.minVersion === 'TLSv1.3' ? { ciphers: TLS13_CIPHERS } : {}),
        ...(settings.clientCertificate ?? {}),
      });
    } catch (error) {
      // The message of OpenSSL names the kind of defect, never the key.
      throw new UpstreamError(
        'internal_error',
        `the policy's TLS settings are unusable: ${messageOf(error)}`,
        error,
      );
    }
  }
}

function contentOf({ ca, minVersion, clientCertificate }: CompiledTls, group: ServerGroup): string {
  return JSON.stringify([ca, minVersion, clientCertificate, group]);
}
