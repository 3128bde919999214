/**
 * Functions of large objects by their numbers (pg_proc.dat), which never change: clients call them by number (FunctionCall)
 * and in no other way. Of other numbers nobody knows what they stand for in this database.
 */
export const LARGE_OBJECT_FUNCTIONS: ReadonlyMap<number, string> = new Map([
  [715, 'lo_create'],
  [764, 'lo_import'],
  [765, 'lo_export'],
  [767, 'lo_import'],
  [952, 'lo_open'],
  [953, 'lo_close'],
  [954, 'loread'],
  [955, 'lowrite'],
  [956, 'lo_lseek'],
  [957, 'lo_creat'],
  [958, 'lo_tell'],
  [964, 'lo_unlink'],
  [1004, 'lo_truncate'],
  [3170, 'lo_lseek64'],
  [3171, 'lo_tell64'],
  [3172, 'lo_truncate64'],
]);

/** loread(): what it gives is bytes; all others of them give numbers. */
export const LO_READ = 954;

/** Longer ones write more at once than clients do; what is held of a call is bounded by it. */
export const CALL_MAX_LENGTH = 1_048_576;
