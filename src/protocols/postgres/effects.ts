/**
 * What each kind of statement does, by the node PostgreSQL's parser makes of it (PostgreSQL 18, nodes/parsenodes.h).
 * A node that is not here is one nobody has thought about: the statement is not understood.
 */
import type { Effect } from '../../flow/operation.ts';

type Kind = readonly [verb: string, ...effects: Effect[]];

/** Statement nodes whose effects do not depend on their content. */
export const STATEMENTS: Readonly<Record<string, Kind>> = {
  SelectStmt: ['SELECT', 'read'],
  PLAssignStmt: ['ASSIGN', 'read'],
  InsertStmt: ['INSERT', 'write'],
  UpdateStmt: ['UPDATE', 'write'],
  DeleteStmt: ['DELETE', 'write'],
  MergeStmt: ['MERGE', 'write'],
  CopyStmt: ['COPY'],
  LockStmt: ['LOCK', 'transaction'],
  TransactionStmt: ['TRANSACTION', 'transaction'],
  ConstraintsSetStmt: ['SET CONSTRAINTS', 'transaction'],
  DeclareCursorStmt: ['DECLARE', 'read'],
  FetchStmt: ['FETCH', 'read'],
  ClosePortalStmt: ['CLOSE', 'session'],
  PrepareStmt: ['PREPARE', 'session'],
  ExecuteStmt: ['EXECUTE', 'session'],
  DeallocateStmt: ['DEALLOCATE', 'session'],
  ExplainStmt: ['EXPLAIN', 'read'],
  VariableShowStmt: ['SHOW', 'read'],
  VariableSetStmt: ['SET', 'session'],
  DiscardStmt: ['DISCARD', 'session'],
  ListenStmt: ['LISTEN', 'session'],
  UnlistenStmt: ['UNLISTEN', 'session'],
  NotifyStmt: ['NOTIFY', 'session'],
  VacuumStmt: ['VACUUM', 'schema-change'],
  ClusterStmt: ['CLUSTER', 'schema-change'],
  ReindexStmt: ['REINDEX', 'schema-change'],
  RefreshMatViewStmt: ['REFRESH MATERIALIZED VIEW', 'write'],

  CreateStmt: ['CREATE TABLE', 'schema-change'],
  CreateTableAsStmt: ['CREATE TABLE AS', 'schema-change', 'write'],
  CreateSchemaStmt: ['CREATE SCHEMA', 'schema-change'],
  CreateSeqStmt: ['CREATE SEQUENCE', 'schema-change'],
  AlterSeqStmt: ['ALTER SEQUENCE', 'schema-change'],
  ViewStmt: ['CREATE VIEW', 'schema-change'],
  IndexStmt: ['CREATE INDEX', 'schema-change'],
  CreateStatsStmt: ['CREATE STATISTICS', 'schema-change'],
  AlterStatsStmt: ['ALTER STATISTICS', 'schema-change'],
  CreateEnumStmt: ['CREATE TYPE', 'schema-change'],
  AlterEnumStmt: ['ALTER TYPE', 'schema-change'],
  CreateRangeStmt: ['CREATE TYPE', 'schema-change'],
  CompositeTypeStmt: ['CREATE TYPE', 'schema-change'],
  /** What it sets are functions. */
  AlterTypeStmt: ['ALTER TYPE', 'schema-change', 'code'],
  CreateDomainStmt: ['CREATE DOMAIN', 'schema-change'],
  AlterDomainStmt: ['ALTER DOMAIN', 'schema-change'],
  CreateConversionStmt: ['CREATE CONVERSION', 'schema-change', 'code'],
  CreateCastStmt: ['CREATE CAST', 'schema-change', 'code'],
  CreateTransformStmt: ['CREATE TRANSFORM', 'schema-change', 'code'],
  CreateOpClassStmt: ['CREATE OPERATOR CLASS', 'schema-change', 'code'],
  CreateOpFamilyStmt: ['CREATE OPERATOR FAMILY', 'schema-change'],
  AlterOpFamilyStmt: ['ALTER OPERATOR FAMILY', 'schema-change', 'code'],
  AlterOperatorStmt: ['ALTER OPERATOR', 'schema-change', 'code'],
  AlterCollationStmt: ['ALTER COLLATION', 'schema-change'],
  AlterTSDictionaryStmt: ['ALTER TEXT SEARCH DICTIONARY', 'schema-change'],
  AlterTSConfigurationStmt: ['ALTER TEXT SEARCH CONFIGURATION', 'schema-change'],
  /** Aggregates, operators, types, text search, collations: all may name functions. */
  DefineStmt: ['CREATE', 'schema-change', 'code'],
  AlterTableStmt: ['ALTER TABLE', 'schema-change'],
  AlterTableMoveAllStmt: ['ALTER TABLE', 'schema-change'],
  AlterObjectDependsStmt: ['ALTER', 'schema-change'],
  AlterObjectSchemaStmt: ['ALTER', 'schema-change'],
  RenameStmt: ['RENAME', 'schema-change'],
  CommentStmt: ['COMMENT', 'schema-change'],
  SecLabelStmt: ['SECURITY LABEL', 'schema-change', 'privilege-change'],

  DropStmt: ['DROP', 'schema-change', 'schema-destruction'],
  TruncateStmt: ['TRUNCATE', 'write', 'schema-destruction'],
  DropdbStmt: ['DROP DATABASE', 'schema-change', 'schema-destruction'],
  DropOwnedStmt: ['DROP OWNED', 'schema-change', 'schema-destruction', 'privilege-change'],

  GrantStmt: ['GRANT', 'privilege-change'],
  GrantRoleStmt: ['GRANT', 'privilege-change'],
  AlterDefaultPrivilegesStmt: ['ALTER DEFAULT PRIVILEGES', 'privilege-change'],
  CreateRoleStmt: ['CREATE ROLE', 'privilege-change'],
  AlterRoleStmt: ['ALTER ROLE', 'privilege-change'],
  AlterRoleSetStmt: ['ALTER ROLE', 'privilege-change', 'system-change'],
  DropRoleStmt: ['DROP ROLE', 'privilege-change'],
  ReassignOwnedStmt: ['REASSIGN OWNED', 'privilege-change'],
  AlterOwnerStmt: ['ALTER OWNER', 'privilege-change'],
  CreatePolicyStmt: ['CREATE POLICY', 'privilege-change', 'schema-change'],
  AlterPolicyStmt: ['ALTER POLICY', 'privilege-change', 'schema-change'],

  DoStmt: ['DO', 'code'],
  CallStmt: ['CALL', 'code'],
  CreateFunctionStmt: ['CREATE FUNCTION', 'schema-change', 'code'],
  AlterFunctionStmt: ['ALTER FUNCTION', 'schema-change', 'code'],
  CreateTrigStmt: ['CREATE TRIGGER', 'schema-change', 'code'],
  CreateEventTrigStmt: ['CREATE EVENT TRIGGER', 'schema-change', 'code'],
  AlterEventTrigStmt: ['ALTER EVENT TRIGGER', 'schema-change', 'code'],
  RuleStmt: ['CREATE RULE', 'schema-change', 'code'],

  LoadStmt: ['LOAD', 'server-program'],
  CreateExtensionStmt: ['CREATE EXTENSION', 'schema-change', 'server-program'],
  AlterExtensionStmt: ['ALTER EXTENSION', 'schema-change', 'server-program'],
  AlterExtensionContentsStmt: ['ALTER EXTENSION', 'schema-change'],
  CreatePLangStmt: ['CREATE LANGUAGE', 'schema-change', 'server-program'],
  CreateAmStmt: ['CREATE ACCESS METHOD', 'schema-change', 'server-program'],

  AlterSystemStmt: ['ALTER SYSTEM', 'system-change'],
  CheckPointStmt: ['CHECKPOINT', 'system-change'],
  CreatedbStmt: ['CREATE DATABASE', 'schema-change', 'system-change'],
  AlterDatabaseStmt: ['ALTER DATABASE', 'system-change'],
  AlterDatabaseRefreshCollStmt: ['ALTER DATABASE', 'system-change'],
  AlterDatabaseSetStmt: ['ALTER DATABASE', 'system-change'],
  CreateTableSpaceStmt: ['CREATE TABLESPACE', 'system-change', 'server-file'],
  AlterTableSpaceOptionsStmt: ['ALTER TABLESPACE', 'system-change'],
  DropTableSpaceStmt: ['DROP TABLESPACE', 'system-change', 'schema-destruction'],
  CreatePublicationStmt: ['CREATE PUBLICATION', 'system-change'],
  AlterPublicationStmt: ['ALTER PUBLICATION', 'system-change'],

  CreateSubscriptionStmt: ['CREATE SUBSCRIPTION', 'system-change', 'foreign'],
  AlterSubscriptionStmt: ['ALTER SUBSCRIPTION', 'system-change', 'foreign'],
  DropSubscriptionStmt: ['DROP SUBSCRIPTION', 'system-change', 'foreign'],
  CreateFdwStmt: ['CREATE FOREIGN DATA WRAPPER', 'schema-change', 'foreign', 'code'],
  AlterFdwStmt: ['ALTER FOREIGN DATA WRAPPER', 'schema-change', 'foreign', 'code'],
  CreateForeignServerStmt: ['CREATE SERVER', 'schema-change', 'foreign'],
  AlterForeignServerStmt: ['ALTER SERVER', 'schema-change', 'foreign'],
  CreateForeignTableStmt: ['CREATE FOREIGN TABLE', 'schema-change', 'foreign'],
  CreateUserMappingStmt: ['CREATE USER MAPPING', 'privilege-change', 'foreign'],
  AlterUserMappingStmt: ['ALTER USER MAPPING', 'privilege-change', 'foreign'],
  DropUserMappingStmt: ['DROP USER MAPPING', 'privilege-change', 'foreign'],
  ImportForeignSchemaStmt: ['IMPORT FOREIGN SCHEMA', 'schema-change', 'foreign'],

  /** Parts of other statements that are called statements. */
  ReturnStmt: ['RETURN'],
  ReplicaIdentityStmt: ['REPLICA IDENTITY', 'schema-change'],
};

/**
 * Functions of PostgreSQL and its contrib modules that reach beyond tables, by name: a schema before it does not
 * matter, since an extension may be installed in any.
 */
const BY_NAME: Readonly<Record<string, Effect>> = {
  pg_read_file: 'server-file',
  pg_read_file_old: 'server-file',
  pg_read_binary_file: 'server-file',
  pg_stat_file: 'server-file',
  pg_current_logfile: 'server-file',
  lo_import: 'server-file',
  lo_export: 'server-file',
  pg_logdir_ls: 'server-file',
  pg_reload_conf: 'system-change',
  pg_rotate_logfile: 'system-change',
  pg_rotate_logfile_old: 'system-change',
  pg_terminate_backend: 'system-change',
  pg_cancel_backend: 'system-change',
  pg_promote: 'system-change',
  pg_switch_wal: 'system-change',
  pg_wal_replay_pause: 'system-change',
  pg_wal_replay_resume: 'system-change',
  pg_create_restore_point: 'system-change',
  pg_log_backend_memory_contexts: 'system-change',
  pg_import_system_collations: 'schema-change',
  pg_extension_config_dump: 'schema-change',
  set_config: 'session',
  nextval: 'write',
  setval: 'write',
  pg_notify: 'session',
  /** They take a statement as text and run it. */
  query_to_xml: 'code',
  query_to_xmlschema: 'code',
  query_to_xml_and_xmlschema: 'code',
  cursor_to_xml: 'code',
  ts_stat: 'code',
  ts_rewrite: 'code',
  crosstab: 'code',
  connectby: 'code',
  xpath_table: 'code',
  lowrite: 'write',
  /** Pages of tables as they are on the disk, and log. */
  get_raw_page: 'server-file',
  pg_hba_file_rules: 'server-file',
  pg_ident_file_mappings: 'server-file',
  pg_show_all_file_settings: 'server-file',
  pg_stat_statements_reset: 'system-change',
  /** Rows taken away, or made to come back, past every rule of the table. */
  heap_force_kill: 'unbounded-write',
  heap_force_freeze: 'unbounded-write',
};

/** The same by how the name begins. */
const BY_PREFIX: readonly (readonly [string, Effect])[] = [
  ['pg_ls_', 'server-file'],
  ['pg_file_', 'server-file'],
  ['lo_', 'write'],
  ['dblink', 'foreign'],
  ['postgres_fdw_', 'foreign'],
  ['pg_backup_', 'system-change'],
  ['pg_start_backup', 'system-change'],
  ['pg_stop_backup', 'system-change'],
  ['pg_replication_', 'system-change'],
  ['pg_logical_', 'system-change'],
  ['pg_create_logical_', 'system-change'],
  ['pg_create_physical_', 'system-change'],
  ['pg_copy_', 'system-change'],
  ['pg_drop_replication_', 'system-change'],
  ['pg_sync_replication_', 'system-change'],
  ['pg_stat_reset', 'system-change'],
  ['crosstab', 'code'],
];

/** They read tables they are told by name or by number, or what is in the files and the log of all: which ones does not show. */
const READS_ANY_TABLE =
  /^(?:(?:table|schema|database)_to_xml|(?:get_raw_page|bt_page_items|lo_import)$|pg_read_(?:binary_)?file|pg_logical_slot_(?:get|peek)_|pg_get_wal_)/;

export function readsAnyTable(name: string): boolean {
  return READS_ANY_TABLE.test(name);
}

export function effectOfFunction(name: string): Effect | null {
  return (
    (Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined) ??
    BY_PREFIX.find(([prefix]) => name.startsWith(prefix))?.[1] ??
    null
  );
}
