"""psqlODBC by pyodbc: statements with parameters bound by the driver and by the server, cursors, errors, transactions."""
import json
import os

import pyodbc


def say(name, value):
    print(f'{name}: {json.dumps(value, default=str)}')


COLUMNS = 'select id, ssn, card, note, extra, raw, born, price from people'


def plain(row):
    return [value.decode() if isinstance(value, bytes) else value for value in row]


def denied(name, ask):
    try:
        ask()
        state = 'none'
    except pyodbc.Error as error:
        state = error.args[0]
    say(f'denied {name}', state)


def connect(**options):
    parts = {
        'Driver': 'PostgreSQL Unicode',
        'Servername': os.environ['PGHOST'],
        'Port': os.environ['PGPORT'],
        'Database': os.environ['PGDATABASE'],
        'Username': os.environ['PGUSER'],
        'Password': os.environ['PGPASSWORD'],
        'SSLmode': os.environ['PGSSLMODE'],
        **options,
    }
    return pyodbc.connect(';'.join(f'{name}={value}' for name, value in parts.items()), autocommit=True)


for name, options in (
    ('server side', {'UseServerSidePrepare': 1}),
    ('client side', {'UseServerSidePrepare': 0}),
    ('declared', {'UseDeclareFetch': 1, 'Fetch': 1}),
):
    connection = connect(**options)
    cursor = connection.cursor()
    for turn in range(2):
        rows = cursor.execute(f'{COLUMNS} where id > ? order by id', (0,)).fetchall()
        say(f'{name} {turn}', [plain(row) for row in rows])
    say(f'{name}, one', plain(cursor.execute(f'{COLUMNS} where id = ?', (1,)).fetchone()))
    say(f'{name}, columns', [column[0] for column in cursor.description])
    say(f'{name}, tables', sorted(row.table_name for row in cursor.tables(schema='public', tableType='TABLE')))
    say(f'{name}, types', [row.type_name for row in cursor.columns(table='people', schema='public')])
    cursor.execute('create temp table copied (id int, name text)')
    cursor.executemany('insert into copied values (?, ?)', [(n, str(n)) for n in range(20)])
    say(f'{name}, many', cursor.execute('select count(*) from copied').fetchone()[0])
    for turn in range(2):
        denied(f'{name} {turn}', lambda: cursor.execute('truncate spare'))
        denied(f'{name} {turn}, with a parameter', lambda: cursor.execute('do $$ begin end $$; truncate spare'))
        say(f'{name}, after {turn}', cursor.execute('select 40 + ?::int', (2,)).fetchone()[0])
    connection.autocommit = False
    cursor.execute('insert into copied values (100, null)')
    denied(f'{name}, in a transaction', lambda: cursor.execute('truncate spare'))
    connection.rollback()
    connection.autocommit = True
    try:
        cursor.execute('select 1 / ?::int', (0,)).fetchone()
    except pyodbc.Error as error:
        say(f'{name}, error', error.args[0])
    say(f'{name}, usable', cursor.execute('select 1').fetchone()[0])
    connection.close()
