"""psycopg 3: server-side parameters, text and binary, pipelines, server cursors, COPY, notifications, cancelling."""
import json
import threading
import time

import psycopg


def say(name, value):
    print(f'{name}: {json.dumps(value, default=str)}')


COLUMNS = 'select id, ssn, card, note, extra, tags, nums, raw, born, price from people'


def plain(row):
    return [bytes(value).decode() if isinstance(value, (bytes, memoryview)) else value for value in row]


def denied(name, ask):
    try:
        ask()
        state = 'none'
    except psycopg.Error as error:
        state = error.sqlstate
    say(f'denied {name}', state)


with psycopg.connect('', autocommit=True, prepare_threshold=1) as connection:
    say('version', psycopg.__version__)
    for binary in (False, True):
        for turn in range(3):
            cursor = connection.cursor(binary=binary)
            say(f'rows {binary} {turn}', [plain(row) for row in cursor.execute(f'{COLUMNS} where id > %s order by id', (0,))])
    with connection.pipeline():
        cursors = [connection.execute(f'{COLUMNS} where id = %s', (n % 2 + 1,)) for n in range(20)]
        say('pipeline', [plain(cursor.fetchone()) for cursor in cursors])
    with connection.transaction(), connection.cursor('named') as cursor:
        cursor.itersize = 1
        say('named', [plain(row) for row in cursor.execute(f'{COLUMNS} order by id')])
        cursor.execute(f'{COLUMNS} order by id')
        cursor.scroll(1)
        say('scrolled', plain(cursor.fetchone()))
    say('streamed', [plain(row) for row in connection.cursor().stream(f'{COLUMNS} order by id')])
    connection.execute('create temp table copied (id int, name text)')
    connection.cursor().executemany('insert into copied values (%s, %s)', [(n, str(n)) for n in range(50)])
    with connection.cursor().copy('copy people (id, ssn, note) to stdout') as copy:
        say('copy out', [row for row in copy.rows()])
    with connection.cursor().copy('copy copied from stdin (format binary)') as copy:
        copy.set_types(['int4', 'text'])
        copy.write_row((100, 'x'))
    say('copied', connection.execute('select count(*) from copied').fetchone())
    heard = []
    connection.add_notify_handler(lambda notify: heard.append(notify.payload))
    connection.execute('listen news')
    connection.execute("notify news, 'a payload'")
    connection.execute('select 1')
    say('notified', heard)
    for turn in range(2):
        denied(f'simple {turn}', lambda: connection.execute('truncate spare'))
        denied(f'prepared {turn}', lambda: connection.execute('truncate spare', prepare=True))
        say(f'after {turn}', connection.execute('select 40 + %s', (2,)).fetchone())

    def pipelined():
        with connection.pipeline() as pipeline:
            connection.execute('insert into copied values (200, null)')
            connection.execute('truncate spare')
            pipeline.sync()
            connection.execute('select 1')

    denied('pipelined', pipelined)
    say('status', connection.info.transaction_status.name)
    try:
        with connection.transaction():
            denied('in a transaction', lambda: connection.execute('truncate spare'))
            connection.execute('select 1')
    except psycopg.errors.InFailedSqlTransaction:
        pass
    say('status after', connection.info.transaction_status.name)
    try:
        connection.execute('select 1 / %s', (0,))
    except psycopg.errors.DivisionByZero as error:
        say('error', [error.sqlstate, error.diag.message_primary])

    def cancel():
        # What comes before the server has begun it cancels nothing.
        asleep = f"select from pg_stat_activity where wait_event = 'PgSleep' and pid = {connection.info.backend_pid}"
        with psycopg.connect('', autocommit=True) as watcher:
            while watcher.execute(asleep).fetchone() is None:
                time.sleep(0.02)
        connection.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        connection.execute('select pg_sleep(600)')
    except psycopg.errors.QueryCanceled as error:
        say('cancelled', error.sqlstate)
    thread.join()
    say('usable', connection.execute('select 1').fetchone())
