/** Turns a document that has been found valid into the form that decides: defaults filled in, names resolved. */
import { normaliseIp } from '../core/dns-name.ts';
import { mergeRanges, parseCidr } from './address.ts';
import { agentId } from './agent-id.ts';
import { closedSockets } from './closed-sockets.ts';
import { compileAgent } from './compile-agent.ts';
import { expandDetectors } from './detectors.ts';
import {
  DEFAULTS,
  type DestinationEntry,
  type DetectorEntry,
  type InboundEntry,
  type MaskEntry,
  type OperationEntry,
  type PolicyDocument,
  type RuleEntry,
  type TlsEntry,
} from './document.ts';
import type { PolicyFiles } from './files.ts';
import { parseHostPattern, parseServerName } from './host-pattern.ts';
import { readMaskKey } from './mask-key.ts';
import { parseColumnPattern, parseNamePattern } from './name-pattern.ts';
import { readCertificates, readKey } from './pem.ts';
import { type PortRange, parsePorts } from './ports.ts';
import type {
  CompiledDestination,
  CompiledDetector,
  CompiledInbound,
  CompiledMask,
  CompiledMaskAction,
  CompiledOperationRule,
  CompiledPolicy,
  CompiledRule,
  CompiledTls,
  NamePattern,
} from './types.ts';

/** `revision` stands for the document and its files; see `PolicyFiles.revision()`. */
export function compileDocument(
  document: PolicyDocument,
  files: PolicyFiles,
  revision: string,
): CompiledPolicy {
  const { limits = {}, dns = {}, enforcement = {} } = document;
  return {
    revision,
    trustDomain: document.trust_domain ?? DEFAULTS.trustDomain,
    spiffeTemplate: document.identity?.spiffe_id ?? DEFAULTS.spiffeTemplate,
    resolvers: dns.resolvers?.map((text) => normaliseIp(text) ?? text) ?? null,
    dns: {
      names: dns.names ?? DEFAULTS.dnsNames,
      nameLife: {
        graceSeconds: dns.name_grace_seconds ?? DEFAULTS.dnsNameGraceSeconds,
        maxSeconds: dns.name_max_seconds ?? DEFAULTS.dnsNameMaxSeconds,
      },
      queriesPerSecond: dns.queries_per_second ?? DEFAULTS.dnsQueriesPerSecond,
      record: dns.record ?? DEFAULTS.dnsRecord,
    },
    agents: (document.agents ?? []).map(compileAgent),
    destinations: (document.destinations ?? []).map((entry) => compileDestination(entry, files)),
    rules: (document.rules ?? []).map(compileRule),
    operations: (document.operations ?? []).map(compileOperationRule),
    masks: (document.masks ?? []).map(compileMask),
    detectors: (document.detectors ?? []).map(compileDetector),
    maskKeys: (document.mask_keys ?? []).map(({ name, file }) => ({
      name,
      secret: unwrap(readMaskKey(unwrap(files.read(file)).value)).value,
    })),
    inbound: (document.inbound ?? []).map(compileInbound),
    enforcement: { minimum: enforcement.minimum ?? DEFAULTS.minimumTier },
    closedSockets: closedSockets(document),
    limits: {
      detectTimeoutMs: limits.detect_timeout_ms ?? DEFAULTS.detectTimeoutMs,
      connectTimeoutMs: limits.connect_timeout_ms ?? DEFAULTS.connectTimeoutMs,
      handshakeTimeoutMs: limits.handshake_timeout_ms ?? DEFAULTS.handshakeTimeoutMs,
    },
  };
}

function compileDestination(entry: DestinationEntry, files: PolicyFiles): CompiledDestination {
  return {
    name: entry.name,
    hosts: (entry.hosts ?? []).map((text) => unwrap(parseHostPattern(text)).host),
    ranges: (entry.cidrs ?? []).flatMap((text) => unwrap(parseCidr(text)).ranges),
    ports: (entry.ports ?? []).map(portRange),
    protocol: entry.protocol ?? 'auto',
    tls: compileTls(entry.tls ?? {}, files),
    portMap: { ...entry.port_map },
  };
}

function portRange(value: number | string): PortRange {
  const range = parsePorts(value);
  if (range === null) throw new TypeError('a port that was never checked');
  return range;
}

export function compileInbound(entry: InboundEntry): CompiledInbound {
  return {
    id: agentId(entry.name),
    name: entry.name,
    agents: [...entry.agents],
    protocol: entry.protocol ?? 'tcp',
    ports: entry.ports.map(portRange),
    ranges: mergeRanges(entry.from.flatMap((text) => unwrap(parseCidr(text)).ranges)),
    reason: entry.reason,
  };
}

function compileTls(entry: TlsEntry, files: PolicyFiles): CompiledTls {
  const { ca = 'system', client_certificate: client, server_name: serverName } = entry;
  return {
    serverName: serverName === undefined ? null : unwrap(parseServerName(serverName)).host,
    ca: ca === 'system' ? null : certificates(ca, files),
    minVersion: String(entry.min_version ?? '1.2') === '1.3' ? 'TLSv1.3' : 'TLSv1.2',
    negotiation: entry.negotiation ?? 'postgres',
    clientCertificate:
      client === undefined
        ? null
        : {
            cert: certificates(client.cert, files),
            key: unwrap(readKey(unwrap(files.read(client.key)).value, null)).value,
          },
  };
}

function certificates(path: string, files: PolicyFiles): string {
  return unwrap(readCertificates(unwrap(files.read(path)).value)).value.pem;
}

function compileRule(entry: RuleEntry): CompiledRule {
  return {
    name: entry.name,
    agents: [...(entry.agents ?? [])],
    destinations: [...(entry.destinations ?? [])],
    action: entry.action,
    passthrough: entry.passthrough ?? false,
    replication: entry.replication ?? false,
    reason: entry.reason ?? null,
  };
}

function compileOperationRule(entry: OperationEntry): CompiledOperationRule {
  const patterns = (texts: readonly string[]): NamePattern[] => texts.map(parseNamePattern);
  return {
    name: entry.name,
    agents: [...(entry.agents ?? [])],
    destinations: [...entry.destinations],
    effects: [...(entry.effects ?? [])],
    relations: patterns(entry.relations ?? []),
    relationsOtherThan:
      entry.relations_other_than === undefined ? null : patterns(entry.relations_other_than),
    functions: patterns(entry.functions ?? []),
    columns: (entry.columns ?? []).map(parseColumnPattern),
    columnsOtherThan: entry.columns_other_than?.map(parseColumnPattern) ?? null,
    action: entry.action,
    holdTimeoutMs:
      entry.action === 'hold' ? 1_000 * (entry.hold?.timeout_seconds ?? DEFAULTS.holdTimeoutSeconds) : null,
    reason: entry.reason ?? null,
  };
}

function compileMask(entry: MaskEntry): CompiledMask {
  return {
    name: entry.name,
    agents: [...(entry.agents ?? [])],
    destinations: [...entry.destinations],
    direction: entry.direction ?? DEFAULTS.maskDirection,
    detectors: expandDetectors(entry.detect ?? []),
    columns: (entry.columns ?? []).map(parseColumnPattern),
    types: [...(entry.types ?? [])],
    action: compileMaskAction(entry),
    strict: entry.columns !== undefined && (entry.strict ?? DEFAULTS.maskStrict),
    effect: entry.effect ?? DEFAULTS.maskEffect,
  };
}

function compileMaskAction({
  action: kind = DEFAULTS.maskAction,
  keep_last,
  key,
}: MaskEntry): CompiledMaskAction {
  if (kind === 'partial') return { kind, keepLast: keep_last ?? 0 };
  if (kind === 'hash') return { kind, key: key ?? '' };
  return { kind: kind ?? 'null' };
}

function compileDetector(entry: DetectorEntry): CompiledDetector {
  return {
    name: entry.name,
    pattern: entry.pattern ?? null,
    words: [...(entry.words ?? [])],
    caseSensitive: entry.case_sensitive ?? entry.pattern !== undefined,
  };
}

/** The checks have run: a value that fails here is a gap in them, and no policy may come of it. */
function unwrap<T extends { readonly ok: boolean }>(result: T): Extract<T, { readonly ok: true }> {
  if (!result.ok) throw new TypeError('a value that was never checked');
  return result as Extract<T, { readonly ok: true }>;
}
