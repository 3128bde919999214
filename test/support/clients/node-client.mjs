/** node-postgres: simple and extended queries, named statements, binary results, notifications, errors, cancelling by time-out. */
import pg from 'pg';

// Values as they come: what the library makes of dates is not what is compared.
const types = {
  getTypeParser: (_oid, format) => (value) => (format === 'binary' ? value.toString('hex') : value),
};
const ssl = process.env.SQL_TLS === 'yes' ? { rejectUnauthorized: false } : false;
// Its own reading of PGSSLMODE would put the setting above out of force.
delete process.env.PGSSLMODE;
const client = new pg.Client({ ssl, types });
const say = (name, value) => process.stdout.write(`${name}: ${JSON.stringify(value)}\n`);
const COLUMNS = 'select id, ssn, card, note, extra, tags, nums, raw, born, price from people';

async function denied(name, ask) {
  const state = await ask().then(
    () => 'none',
    (error) => error.code,
  );
  say(`denied ${name}`, state);
}

await client.connect();
const rows = async (query) => (await client.query({ rowMode: 'array', ...query })).rows;
say('simple', await rows({ text: `${COLUMNS} order by id` }));
say('extended', await rows({ text: `${COLUMNS} where id > $1 order by id`, values: [0] }));
for (const time of [0, 1, 2])
  say(
    `named ${time}`,
    await rows({ name: 'by-id', text: `${COLUMNS} where id = $1`, values: [1 + (time % 2)] }),
  );
say('binary', await rows({ text: 'select id, ssn, card from people order by id', binary: true }));
say('limited', await rows({ text: `${COLUMNS} order by id`, values: [], rows: 1 }));
say(
  'several',
  (await client.query('select id from people order by id; select ssn from people order by id')).map(
    (result) => result.rows,
  ),
);
const heard = new Promise((resolve) => client.once('notification', (message) => resolve(message.payload)));
await client.query('listen news');
await client.query("notify news, 'a payload'");
say('notified', await heard);
for (const time of [0, 1]) {
  await denied(`simple ${time}`, () => client.query('truncate spare'));
  await denied(`extended ${time}`, () => client.query({ text: 'truncate spare', values: [] }));
  await denied(`named ${time}`, () =>
    client.query({ name: 'denied', text: 'truncate only spare', values: [] }),
  );
  say(`after ${time}`, await rows({ text: 'select 40 + $1::int', values: [2] }));
}
await client.query('begin');
await denied('in a transaction', () => client.query('truncate spare'));
await client.query('rollback');
say('error', await client.query('select 1 / $1::int', [0]).catch((error) => [error.code, error.message]));
// For this one alone: a busy machine may be as long at what comes behind it.
await client.query('begin');
await client.query('set local statement_timeout = 200');
say('cancelled', await client.query('select pg_sleep(60)').catch((error) => error.code));
await client.query('rollback');
say('usable', await rows({ text: 'select 1' }));
await client.end();
