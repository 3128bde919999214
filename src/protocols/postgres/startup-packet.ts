/**
 * The fields of a whole StartupMessage (protocol documentation, "Message Formats", "StartupMessage").
 *
 * Stricter than the server in three places, each so that nobody can be shown one name and the server another:
 * no parameter twice (the server takes the last), names in UTF-8 only, names no longer than the server keeps.
 */
import { ProtocolError } from '../../core/protocol-error.ts';
import { PROTOCOL_MAJOR } from './codes.ts';

export interface StartupParameters {
  readonly user: string;
  /** The user's name when the client named none, as the server has it. */
  readonly database: string;
  readonly major: number;
  /** As asked for; the server may negotiate it down (NegotiateProtocolVersion). */
  readonly minor: number;
  /** The session speaks the replication protocol, physical or logical, which is not SQL. */
  readonly replication: boolean;
  /** It may set as whom the session acts, or what libraries the server loads for it. */
  readonly privileged: boolean;
}

/** NAMEDATALEN - 1 bytes: PostgreSQL silently cuts longer names, and would then use another than we saw. */
const NAME_MAX_BYTES = 63;

const HEADER_BYTES = 8;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `raw` is the packet from its length field on, of that length. Throws ProtocolError. */
export function parseStartupPacket(raw: Buffer): StartupParameters {
  const version = raw.readUInt32BE(4);
  const major = version >>> 16;
  if (major !== PROTOCOL_MAJOR) throw malformed('a protocol version other than 3');
  const parameters = parseParameters(raw);
  const user = nameOf(parameters, 'user');
  if (user === '') throw malformed('no user name');
  const database = nameOf(parameters, 'database');
  return {
    user,
    database: database === '' ? user : database,
    major,
    minor: version & 0xffff,
    replication: parseReplication(parameters.get('replication')?.toString('latin1')),
    privileged: isPrivileged(parameters),
  };
}

/**
 * Pairs of NUL-terminated strings and one NUL after the last. Protocol options (`_pq_.…`) stand among them and
 * are the server's to judge. Values stay bytes: their encoding is the database's.
 */
function parseParameters(raw: Buffer): Map<string, Buffer> {
  const parameters = new Map<string, Buffer>();
  let at = HEADER_BYTES;
  const next = (): Buffer => {
    const end = raw.indexOf(0, at);
    if (end === -1) throw malformed('a string without terminator');
    const text = raw.subarray(at, end);
    at = end + 1;
    return text;
  };
  for (let name = next(); name.length > 0; name = next()) {
    const key = name.toString('latin1');
    if (parameters.has(key)) throw malformed('a parameter that stands there twice');
    parameters.set(key, next());
  }
  if (at !== raw.length) throw malformed('bytes after the terminator');
  return parameters;
}

/** Empty when it is not there: the server makes no difference either. */
function nameOf(parameters: ReadonlyMap<string, Buffer>, key: 'user' | 'database'): string {
  const bytes = parameters.get(key) ?? Buffer.alloc(0);
  if (bytes.length > NAME_MAX_BYTES) throw malformed(`a ${key} name longer than ${NAME_MAX_BYTES} bytes`);
  try {
    return UTF8.decode(bytes);
  } catch {
    throw malformed(`a ${key} name that is not UTF-8`);
  }
}

/** `database` for logical replication, else a boolean as the server reads them: unique prefixes, any case. */
function parseReplication(value: string | undefined): boolean {
  if (value === undefined) return false;
  if (value === 'database' || /^(?:t|tr|tru|true|y|ye|yes|on|1)$/i.test(value)) return true;
  if (/^(?:f|fa|fal|fals|false|n|no|of|off|0)$/i.test(value)) return false;
  throw malformed('an invalid value of the parameter replication');
}

const PRIVILEGED =
  /^(?:role|session_authorization|session_replication_role|lo_compat_privileges|allow_system_table_mods|\w+_preload_libraries)$/i;
const PRIVILEGED_OPTION =
  /(?:role|session_authorization|lo_compat_privileges|allow_system_table_mods|preload_libraries)\s*=/i;

/**
 * Every parameter is a setting. `options` are a command line: settings as `-c name=value` or `--name=value`, with dashes
 * for underscores and backslashes before any character, so what may be one is taken for one.
 */
function isPrivileged(parameters: ReadonlyMap<string, Buffer>): boolean {
  const options = parameters.get('options')?.toString('latin1') ?? '';
  return (
    [...parameters.keys()].some((name) => PRIVILEGED.test(name)) ||
    PRIVILEGED_OPTION.test(options.replaceAll('\\', '').replaceAll('-', '_'))
  );
}

function malformed(problem: string): ProtocolError {
  return new ProtocolError('postgres', 'agent', `PostgreSQL start-up packet: ${problem}`);
}
