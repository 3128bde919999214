"""asyncpg: everything in binary, statements prepared and kept, cursors by portals, COPY, notifications, cancelling."""
import asyncio
import io
import json

import asyncpg


def say(name, value):
    print(f'{name}: {json.dumps(value, default=str)}')


COLUMNS = 'select id, ssn, card, note, extra, tags, nums, raw, born, price from people'


def plain(record):
    return [value.decode() if isinstance(value, bytes) else value for value in record]


async def denied(connection, name, ask):
    try:
        await ask()
        state = 'none'
    except asyncpg.PostgresError as error:
        state = error.sqlstate
    say(f'denied {name}', state)


async def main():
    connection = await asyncpg.connect()
    say('version', asyncpg.__version__)
    say('fetch', [plain(row) for row in await connection.fetch(f'{COLUMNS} where id > $1 order by id', 0)])
    statement = await connection.prepare(f'{COLUMNS} where id = $1')
    for time in range(3):
        say(f'prepared {time}', plain(await statement.fetchrow(1 + time % 2)))
    say('attributes', [attribute.name for attribute in statement.get_attributes()])
    say('value', await connection.fetchval('select ssn from people where id = $1', 1))
    say('expression', await connection.fetchval('select upper(ssn) from people where id = $1', 1))
    async with connection.transaction():
        say('cursor', [plain(row) async for row in connection.cursor(f'{COLUMNS} order by id', prefetch=1)])
        cursor = await connection.cursor(f'{COLUMNS} order by id')
        say('portal', [plain(row) for row in await cursor.fetch(1)])
        say('skipped', await cursor.forward(1))
        say('exhausted', await cursor.fetchrow())
    await connection.execute('create temp table copied (id int, name text)')
    await connection.executemany('insert into copied values ($1, $2)', [(n, str(n)) for n in range(50)])
    say('many', await connection.fetchval('select count(*) from copied'))
    out = io.BytesIO()
    await connection.copy_from_table('people', columns=['id', 'ssn', 'note'], output=out, format='csv')
    say('copy out', out.getvalue().decode())
    out = io.BytesIO()
    await connection.copy_from_query('select id, ssn from people order by id', output=out, format='binary')
    say('copy binary', [secret in out.getvalue() for secret in (b'078-05-1120', b'219-09-9999')])
    await connection.copy_records_to_table('copied', records=[(100, 'a'), (101, None)])
    say('copy in', await connection.fetchval('select count(*) from copied where id >= 100'))
    heard = asyncio.get_running_loop().create_future()
    await connection.add_listener('news', lambda *what: heard.set_result(what[2:]))
    await connection.execute("notify news, 'a payload'")
    say('notified', await asyncio.wait_for(heard, 60))
    for time in range(2):
        await denied(connection, f'prepared {time}', lambda: connection.fetch('truncate spare'))
        await denied(connection, f'simple {time}', lambda: connection.execute('truncate spare'))
        say(f'after {time}', await connection.fetchval('select 40 + $1::int', 2))
    transaction = connection.transaction()
    await transaction.start()
    await denied(connection, 'in a transaction', lambda: connection.execute('truncate spare'))
    await denied(connection, 'behind it', lambda: connection.fetchval('select 1 where ' + ('1 = 1')))
    await transaction.rollback()
    try:
        async with connection.transaction():
            await connection.fetchval('select 1 / $1::int', 0)
    except asyncpg.DivisionByZeroError as error:
        say('error', [error.sqlstate, error.message])
    say('in transaction', connection.is_in_transaction())
    sleeping = asyncio.ensure_future(connection.fetchval('select pg_sleep(600)'))
    # What comes before the server has begun it cancels nothing.
    watcher = await asyncpg.connect()
    asleep = f"select from pg_stat_activity where wait_event = 'PgSleep' and pid = {connection.get_server_pid()}"
    while not await watcher.fetch(asleep):
        await asyncio.sleep(0.02)
    await watcher.close()
    sleeping.cancel()
    try:
        await sleeping
    except asyncio.CancelledError:
        say('cancelled', True)
    say('usable', await connection.fetchval('select 1'))
    await connection.close()


asyncio.run(main())
