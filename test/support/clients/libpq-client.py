"""Speaks to PostgreSQL through whichever libpq it is run with, by the functions that programs call: what comes back in text and in
binary, by COPY, what is denied, and a query that is cancelled in each way that library has. Says `name: value` a line.

Takes a connection string, and ways to cancel: `plain` (PQcancel) and `encrypted` (PQcancelBlocking)."""
import ctypes
import sys
import time

pq = ctypes.CDLL("libpq.so.5")
POINTER, TEXT, NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
for name, result, *arguments in (
    ("PQconnectdb", POINTER, TEXT),
    ("PQerrorMessage", TEXT, POINTER),
    ("PQexec", POINTER, POINTER, TEXT),
    ("PQexecParams", POINTER, POINTER, TEXT, NUMBER, POINTER, POINTER, POINTER, POINTER, NUMBER),
    ("PQgetvalue", POINTER, POINTER, NUMBER, NUMBER),
    ("PQgetlength", NUMBER, POINTER, NUMBER, NUMBER),
    ("PQresultErrorField", TEXT, POINTER, NUMBER),
    ("PQresultErrorMessage", TEXT, POINTER),
    ("PQresultStatus", NUMBER, POINTER),
    ("PQntuples", NUMBER, POINTER),
    ("PQsendQuery", NUMBER, POINTER, TEXT),
    ("PQgetResult", POINTER, POINTER),
    ("PQgetCopyData", NUMBER, POINTER, ctypes.POINTER(TEXT), NUMBER),
    ("PQgetCancel", POINTER, POINTER),
    ("PQcancel", NUMBER, POINTER, TEXT, NUMBER),
    ("PQfinish", None, POINTER),
    ("PQprotocolVersion", NUMBER, POINTER),
    ("PQbackendPID", NUMBER, POINTER),
):
    function = getattr(pq, name)
    function.restype, function.argtypes = result, arguments

SQLSTATE = ord("C")


def connect():
    connection = pq.PQconnectdb(sys.argv[1].encode())
    if pq.PQstatus(POINTER(connection)) != 0:
        sys.exit(pq.PQerrorMessage(connection).decode())
    return connection


def value(result, row=0, column=0):
    if pq.PQntuples(result) == 0:
        return state(result)
    return ctypes.string_at(pq.PQgetvalue(result, row, column), pq.PQgetlength(result, row, column)).decode()


def state(result):
    return (pq.PQresultErrorField(result, SQLSTATE) or b"none").decode()


def ask(text):
    return pq.PQexec(connection, text.encode())


def extended(text, binary):
    return pq.PQexecParams(connection, text.encode(), 0, None, None, None, None, binary)


def say(name, what):
    print(f"{name}: {what}", flush=True)


connection = connect()
say("library", pq.PQlibVersion() // 10000)
if hasattr(pq, "PQfullProtocolVersion"):
    say("protocol", pq.PQfullProtocolVersion(POINTER(connection)))
else:
    say("protocol", pq.PQprotocolVersion(connection) * 10000)
say("server", pq.PQserverVersion(POINTER(connection)) // 10000)
say("tls", value(ask("select ssl from pg_stat_ssl where pid = pg_backend_pid()")))
say("process", value(ask("select pg_backend_pid()")) == str(pq.PQbackendPID(connection)))
say("simple", value(ask("select note from people where id = 1")))
say("text", value(extended("select note from people where id = 1", 0)))
say("binary", value(extended("select note from people where id = 1", 1)))
say("denied", state(ask("select 1; drop table spare")))
say("denied extended", state(extended("drop table spare", 0)))
say("goes on", value(ask("select 'yes'")))

ask("copy people (note) to stdout")
rows = []
row = TEXT()
while pq.PQgetCopyData(connection, ctypes.byref(row), 0) > 0:
    rows.append(row.value.decode().strip())
pq.PQgetResult(connection)
pq.PQgetResult(connection)
say("copy", ", ".join(rows))


def plain():
    error = ctypes.create_string_buffer(256)
    return pq.PQcancel(pq.PQgetCancel(connection), error, 256)


def encrypted():
    pq.PQcancelCreate.restype, pq.PQcancelCreate.argtypes = POINTER, [POINTER]
    return pq.PQcancelBlocking(POINTER(pq.PQcancelCreate(connection)))


watcher = connect()
RUNNING = b"select count(*) from pg_stat_activity where state = 'active' and pid = %d and wait_event = 'PgSleep'"
for way in sys.argv[2:]:
    if way == "encrypted" and not hasattr(pq, "PQcancelCreate"):
        continue
    pq.PQsendQuery(connection, b"select pg_sleep(120)")
    while value(pq.PQexec(watcher, RUNNING % pq.PQbackendPID(connection))) != "1":
        time.sleep(0.02)
    sent = {"plain": plain, "encrypted": encrypted}[way]()
    result = pq.PQgetResult(connection) if sent else None
    say(f"cancelled {way}", state(result) if result else "not sent")
    while result:
        result = pq.PQgetResult(connection)
say("still there", value(ask("select 'yes'")))
pq.PQfinish(connection)
