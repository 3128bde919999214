// Go: pgx, which prepares and reads in binary, in batches too, and lib/pq behind database/sql.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/lib/pq"
)

const columns = "select id, ssn, card, note, raw from people"

func say(name string, value interface{}) {
	text, _ := json.Marshal(value)
	fmt.Printf("%s: %s\n", name, text)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func stateOf(err error) string {
	var ofPgx *pgconn.PgError
	var ofPq *pq.Error
	if errors.As(err, &ofPgx) {
		return ofPgx.Code
	}
	if errors.As(err, &ofPq) {
		return string(ofPq.Code)
	}
	if err != nil {
		return err.Error()
	}
	return "none"
}

func readable(values []interface{}) []interface{} {
	for at, value := range values {
		if bytes, ok := value.([]byte); ok {
			values[at] = string(bytes)
		}
	}
	return values
}

func all(rows pgx.Rows, err error) [][]interface{} {
	must(err)
	defer rows.Close()
	found := [][]interface{}{}
	for rows.Next() {
		values, err := rows.Values()
		must(err)
		found = append(found, readable(values))
	}
	must(rows.Err())
	return found
}

func withPgx(ctx context.Context) {
	conn, err := pgx.Connect(ctx, "")
	must(err)
	defer conn.Close(ctx)
	for time := 0; time < 3; time++ {
		say(fmt.Sprint("pgx ", time), all(conn.Query(ctx, columns+" where id > $1 order by id", 0)))
	}
	say("pgx simple", all(conn.Query(ctx, columns+" where id > $1 order by id", pgx.QuerySimpleProtocol(true), 0)))
	batch := &pgx.Batch{}
	for n := 0; n < 10; n++ {
		batch.Queue(columns+" where id = $1", 1+n%2)
	}
	results := conn.SendBatch(ctx, batch)
	for n := 0; n < 10; n++ {
		say(fmt.Sprint("pgx batch ", n), all(results.Query()))
	}
	must(results.Close())
	_, err = conn.Exec(ctx, "create temp table copied (id int, name text)")
	must(err)
	copied, err := conn.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"id", "name"},
		pgx.CopyFromRows([][]interface{}{{1, "a"}, {2, nil}}))
	must(err)
	say("pgx copied", copied)
	_, err = conn.Exec(ctx, "listen news")
	must(err)
	_, err = conn.Exec(ctx, "notify news, 'a payload'")
	must(err)
	heard, err := conn.WaitForNotification(ctx)
	must(err)
	say("pgx notified", heard.Payload)
	for time := 0; time < 2; time++ {
		_, err = conn.Exec(ctx, "truncate spare")
		say(fmt.Sprint("denied pgx ", time), stateOf(err))
		_, err = conn.Prepare(ctx, fmt.Sprint("truncating ", time), "truncate only spare")
		say(fmt.Sprint("denied pgx prepared ", time), stateOf(err))
		say(fmt.Sprint("pgx after ", time), all(conn.Query(ctx, "select $1::int", 42)))
	}
	tx, err := conn.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "truncate spare")
	say("denied pgx in a transaction", stateOf(err))
	must(tx.Rollback(ctx))
	_, err = conn.Exec(ctx, "select 1 / $1::int", 0)
	say("pgx error", stateOf(err))
	say("pgx usable", all(conn.Query(ctx, "select 1")))
}

func withPq(ctx context.Context) {
	db, err := sql.Open("postgres", "")
	must(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	rows := func(text string, values ...interface{}) [][]interface{} {
		set, err := db.Query(text, values...)
		must(err)
		defer set.Close()
		names, _ := set.Columns()
		found := [][]interface{}{}
		for set.Next() {
			row := make([]interface{}, len(names))
			into := make([]interface{}, len(names))
			for at := range row {
				into[at] = &row[at]
			}
			must(set.Scan(into...))
			found = append(found, readable(row))
		}
		return found
	}
	say("pq simple", rows(columns+" order by id"))
	for time := 0; time < 3; time++ {
		say(fmt.Sprint("pq extended ", time), rows(columns+" where id > $1 order by id", 0))
	}
	for time := 0; time < 2; time++ {
		_, err = db.Exec("truncate spare")
		say(fmt.Sprint("denied pq ", time), stateOf(err))
		_, err = db.Prepare("truncate only spare")
		say(fmt.Sprint("denied pq prepared ", time), stateOf(err))
		say(fmt.Sprint("pq after ", time), rows("select $1::int", 42))
	}
	short, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	_, err = db.ExecContext(short, "select pg_sleep(60)")
	say("pq cancelled", err != nil)
	say("pq usable", rows("select 1"))
}

func main() {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	withPgx(ctx)
	withPq(ctx)
}
