// pgx: a statement prepared for each text, batches in one round trip, binary COPY, a pool of its own.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	insert = "INSERT INTO note (tenant, run, amount, body) VALUES ($1, $2, $3, $4)"
	find   = "SELECT tenant, id FROM item WHERE id = $1"
)

var ctx = context.Background()

func url(who tenant, more string) string {
	return fmt.Sprintf("host=%s port=%s user=%s password=%s sslmode=disable dbname=%s %s", os.Getenv("CLIENT_HOST"),
		os.Getenv("CLIENT_PORT"), who.user, password, os.Getenv("CLIENT_DATABASE"), more)
}

func with(who tenant, more string, action func(*pgx.Conn)) {
	conn, err := pgx.Connect(ctx, url(who, more))
	check(err)
	defer conn.Close(ctx)
	action(conn)
}

func withFour(action func([]*pgx.Conn)) {
	conns := []*pgx.Conn{}
	for _, who := range four {
		conn, err := pgx.Connect(ctx, url(who, ""))
		check(err)
		defer conn.Close(ctx)
		conns = append(conns, conn)
	}
	action(conns)
}

type querier interface {
	Query(context.Context, string, ...interface{}) (pgx.Rows, error)
	Exec(context.Context, string, ...interface{}) (pgconn.CommandTag, error)
}

func collect(rows pgx.Rows, err error, who tenant) []int {
	check(err)
	defer rows.Close()
	return pairs(rows, who)
}

func ints(db querier, who tenant, text string, arguments ...interface{}) []int {
	rows, err := db.Query(ctx, text, arguments...)
	return collect(rows, err, who)
}

func value(db querier, text string, arguments ...interface{}) string {
	rows, err := db.Query(ctx, text, arguments...)
	check(err)
	defer rows.Close()
	return firstText(rows)
}

func exec(db querier, text string, arguments ...interface{}) {
	_, err := db.Exec(ctx, text, arguments...)
	check(err)
}

func add(db querier, amount int, body string) error {
	_, err := db.Exec(ctx, insert, ownOne.name, run, amount, body)
	return err
}

func notes(db querier, body string) []int {
	return ints(db, ownOne, "SELECT tenant, amount FROM note WHERE run = $1 AND body = $2 ORDER BY amount", run, body)
}

func three(db querier, who tenant) {
	same(ints(db, who, "SELECT tenant, id FROM item WHERE id < 4 ORDER BY id"), numbers(1, 3))
}

func raises(state string, err error) {
	var found *pgconn.PgError
	if err == nil {
		panic("no error " + state)
	}
	if errors.As(err, &found) && found.Code == state {
		return
	}
	panic(fmt.Sprintf("%v in place of %s", err, state))
}

func main() {
	step("connect/login", func() {
		with(ownOne, "application_name=pgx", func(conn *pgx.Conn) {
			same(len(ints(conn, ownOne, "SELECT tenant, id FROM item")), items)
			same(value(conn, "SHOW application_name"), "pgx")
			same(conn.PgConn().ParameterStatus("application_name"), "pgx")
			check(conn.Ping(ctx))
		})
	})
	step("connect/wrong-password", func() {
		_, err := pgx.Connect(ctx, url(ownOne, "password=wrong"))
		raises("28P01", err)
	})
	step("connect/unknown-database", func() {
		_, err := pgx.Connect(ctx, url(ownOne, "dbname=nowhere"))
		raises("3D000", err)
	})
	step("connect/startup-settings", func() {
		with(ownOne, "statement_timeout=12345 app.word=word search_path='pg_catalog,public'", func(conn *pgx.Conn) {
			for turn := 0; turn < 3; turn++ {
				same(value(conn, "SHOW statement_timeout"), "12345ms")
				same(value(conn, "SHOW app.word"), "word")
				same(value(conn, "SHOW search_path"), "pg_catalog,public")
			}
		})
	})

	step("transactions/commit", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			check(conn.BeginTxFunc(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
				same(value(tx, "SHOW transaction_isolation"), "repeatable read")
				return add(tx, 1, "commit")
			}))
			same(notes(conn, "commit"), []int{1})
		})
	})
	step("transactions/error", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			tx, err := conn.Begin(ctx)
			check(err)
			check(add(tx, 2, "error"))
			raises("23505", add(tx, 2, "error"))
			raises("25P02", add(tx, 3, "error"))
			same(tx.Commit(ctx), pgx.ErrTxCommitRollback)
			same(notes(conn, "error"), []int{})
		})
	})
	step("savepoints/nested", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			check(conn.BeginFunc(ctx, func(tx pgx.Tx) error {
				check(add(tx, 10, "nested"))
				for amount := 10; amount <= 12; amount++ {
					err := tx.BeginFunc(ctx, func(inner pgx.Tx) error { return add(inner, amount, "nested") })
					same(err != nil, amount == 10)
				}
				inner, err := tx.Begin(ctx)
				check(err)
				check(add(inner, 13, "nested"))
				return inner.Rollback(ctx)
			}))
			same(notes(conn, "nested"), []int{10, 11, 12})
		})
	})

	step("prepared/types", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			for _, simple := range []bool{false, true} {
				var name string
				var made time.Time
				var tags []string
				var doc map[string]interface{}
				check(conn.QueryRow(ctx, "SELECT tenant, made, tags, doc FROM item WHERE id = $1 AND name <> $2",
					pgx.QuerySimpleProtocol(simple), 7, "x").Scan(&name, &made, &tags, &doc))
				mine(name, ownOne)
				same(made.UTC().Format(time.RFC3339), "2026-01-01T07:00:00Z")
				same(tags, []string{ownOne.name, "tag 0"})
				same(doc["tenant"], ownOne.name)
			}
		})
	})
	step("prepared/kept-while-idle", func() {
		withFour(func(conns []*pgx.Conn) {
			for n, conn := range conns {
				_, err := conn.Prepare(ctx, "same name", fmt.Sprintf("SELECT tenant, id + %d FROM item WHERE id = $1", n))
				check(err)
			}
			for turn := 1; turn <= 5; turn++ {
				for n, conn := range conns {
					same(ints(conn, four[n], "same name", turn), []int{turn + n})
					same(ints(conn, four[n], find, turn), []int{turn})
				}
			}
		})
	})
	step("prepared/many", func() {
		with(ownOne, "statement_cache_capacity=10", func(conn *pgx.Conn) {
			for turn := 0; turn < 2; turn++ {
				for n := 1; n <= 40; n++ {
					same(ints(conn, ownOne, fmt.Sprintf("SELECT tenant, %d FROM item WHERE id = $1", n), n), []int{n})
				}
			}
		})
	})
	step("prepared/describe-mode", func() {
		with(ownOne, "statement_cache_mode=describe", func(conn *pgx.Conn) {
			for n := 1; n <= 20; n++ {
				same(ints(conn, ownOne, find, n), []int{n})
			}
		})
	})
	step("prepared/after-error", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			divide := "SELECT tenant, 10 / $1::int FROM item WHERE id = 1"
			same(ints(conn, ownOne, divide, 5), []int{2})
			_, err := conn.Exec(ctx, divide, 0)
			raises("22012", err)
			_, err = conn.Exec(ctx, "SELECT FROM WHERE $1", 1)
			raises("42601", err)
			same(ints(conn, ownOne, divide, 2), []int{5})
		})
	})
	step("prepared/deallocate", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			_, err := conn.Prepare(ctx, "mine", find)
			check(err)
			check(conn.Deallocate(ctx, "mine"))
			_, err = conn.Prepare(ctx, "mine", "SELECT tenant, 5 FROM item WHERE id = $1")
			check(err)
			same(ints(conn, ownOne, "mine", 1), []int{5})
		})
	})

	step("batch/send", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			batch := &pgx.Batch{}
			for n := 1; n <= 50; n++ {
				batch.Queue(find, n)
				batch.Queue(insert, ownOne.name, run, 100+n, "batch")
			}
			results := conn.SendBatch(ctx, batch)
			for n := 1; n <= 50; n++ {
				rows, err := results.Query()
				same(collect(rows, err, ownOne), []int{n})
				_, err = results.Exec()
				check(err)
			}
			check(results.Close())
			same(notes(conn, "batch"), numbers(101, 150))
		})
	})
	step("batch/error", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			batch := &pgx.Batch{}
			batch.Queue(insert, ownOne.name, run, 200, "batch error")
			batch.Queue("SELECT 1 / $1::int", 0)
			batch.Queue(insert, ownOne.name, run, 201, "batch error")
			results := conn.SendBatch(ctx, batch)
			_, err := results.Exec()
			check(err)
			_, err = results.Exec()
			raises("22012", err)
			results.Close()
			same(notes(conn, "batch error"), []int{})
		})
	})
	step("batch/simple", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			results, err := conn.PgConn().Exec(ctx, "SELECT 1; ; SELECT tenant FROM item WHERE id = 1; -- end").ReadAll()
			check(err)
			mine(string(results[len(results)-1].Rows[0][0]), ownOne)
		})
	})
	step("cursor/rows", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			rows, err := conn.Query(ctx, "SELECT tenant, id FROM item ORDER BY id")
			check(err)
			same(rows.Next(), true)
			rows.Close() // reads the rest
			check(rows.Err())
			check(conn.BeginFunc(ctx, func(tx pgx.Tx) error {
				exec(tx, "DECLARE c CURSOR FOR SELECT tenant, id FROM item ORDER BY id")
				for first := 1; first <= 301; first += 100 {
					same(ints(tx, ownOne, "FETCH 100 FROM c"), numbers(first, first+99))
				}
				return nil
			}))
		})
	})

	step("copy/in", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			tx, err := conn.Begin(ctx)
			check(err)
			exec(tx, "CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
			rows := [][]interface{}{}
			for n := 1000; n < 4000; n++ {
				rows = append(rows, []interface{}{n, "copy"})
			}
			copied, err := tx.CopyFrom(ctx, pgx.Identifier{"incoming"}, []string{"amount", "body"}, pgx.CopyFromRows(rows))
			check(err)
			same(copied, int64(3000))
			exec(tx, "INSERT INTO note (tenant, run, amount, body) SELECT $1, $2, amount, body FROM incoming", ownOne.name, run)
			same(notes(tx, "copy"), numbers(1000, 3999))
			check(tx.Rollback(ctx))
		})
	})
	step("copy/in-error", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			tx, err := conn.Begin(ctx)
			check(err)
			exec(tx, "CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP")
			_, err = tx.CopyFrom(ctx, pgx.Identifier{"incoming"}, []string{"amount"}, pgx.CopyFromSlice(5,
				func(n int) ([]interface{}, error) {
					if n == 3 {
						return nil, errors.New("changed my mind")
					}
					return []interface{}{n}, nil
				}))
			same(err != nil && strings.Contains(err.Error(), "changed my mind"), true)
			check(tx.Rollback(ctx))
			_, err = conn.CopyFrom(ctx, pgx.Identifier{"note"}, []string{"amount"}, pgx.CopyFromRows([][]interface{}{{1}}))
			raises("0A000", err)
			three(conn, ownOne)
		})
	})
	step("copy/out", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			var text bytes.Buffer
			_, err := conn.PgConn().CopyTo(ctx, &text, "COPY (SELECT tenant, id FROM item ORDER BY id) TO STDOUT")
			check(err)
			lines := strings.Split(strings.TrimSpace(text.String()), "\n")
			same(len(lines), items)
			for n, line := range lines {
				same(line, ownOne.name+"\t"+strconv.Itoa(n+1))
			}
		})
	})

	step("cancel/request", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			for turn := 0; turn < 2; turn++ {
				timer := time.AfterFunc(400*time.Millisecond, func() { conn.PgConn().CancelRequest(ctx) })
				_, err := conn.Exec(ctx, "SELECT pg_sleep(30)")
				timer.Stop()
				raises("57014", err)
				three(conn, ownOne)
			}
		})
	})
	step("cancel/timeout", func() {
		with(ownOne, "statement_timeout=150", func(conn *pgx.Conn) {
			_, err := conn.Exec(ctx, "SELECT pg_sleep(30)")
			raises("57014", err)
			three(conn, ownOne)
		})
	})
	// A context that ends closes the connection; the next one is served.
	step("cancel/context", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			some, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			_, err := conn.Exec(some, "SELECT pg_sleep(2)")
			same(err != nil, true)
			same(conn.IsClosed(), true)
		})
		with(ownOne, "", func(conn *pgx.Conn) { three(conn, ownOne) })
	})

	step("settings/kept-while-idle", func() {
		withFour(func(conns []*pgx.Conn) {
			for n, conn := range conns {
				exec(conn, fmt.Sprintf("SET TimeZone = '%s'", zones[n]))
				exec(conn, "SELECT set_config('app.zone', $1, false)", zones[n])
			}
			for turn := 0; turn < 3; turn++ {
				for n, conn := range conns {
					same(value(conn, "SHOW TimeZone"), zones[n])
					same(value(conn, "SELECT current_setting('app.zone')"), zones[n])
					same(conn.PgConn().ParameterStatus("TimeZone"), zones[n])
					three(conn, four[n])
				}
			}
		})
	})
	step("settings/transaction", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			check(conn.BeginFunc(ctx, func(tx pgx.Tx) error {
				exec(tx, "SET LOCAL work_mem = '1MB'")
				same(value(tx, "SHOW work_mem"), "1MB")
				return nil
			}))
			same(value(conn, "SHOW work_mem"), "4MB")
		})
	})
	step("session/temporary-table", func() {
		for _, who := range []tenant{ownOne, other} {
			with(who, "", func(conn *pgx.Conn) {
				exec(conn, "CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6")
				time.Sleep(20 * time.Millisecond)
				same(ints(conn, who, "SELECT * FROM mine ORDER BY id"), numbers(1, 5))
				exec(conn, "DROP TABLE mine")
			})
		}
	})
	step("reset/discard-all", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			_, err := conn.Prepare(ctx, "mine", find)
			check(err)
			exec(conn, "SET work_mem = '1MB'", pgx.QuerySimpleProtocol(true))
			exec(conn, "DISCARD ALL", pgx.QuerySimpleProtocol(true))
			_, err = conn.Exec(ctx, "mine", 1)
			raises("26000", err)
			same(value(conn, "SHOW work_mem", pgx.QuerySimpleProtocol(true)), "4MB")
		})
	})

	step("reconnect/pool", func() {
		pools := []*pgxpool.Pool{}
		for _, who := range []tenant{ownOne, other} {
			pool, err := pgxpool.Connect(ctx, url(who, "pool_max_conns=4 pool_max_conn_lifetime=200ms"))
			check(err)
			defer pool.Close()
			pools = append(pools, pool)
		}
		atOnce(80, func(n int) { same(ints(pools[n%2], four[n%2], find, n), []int{n}) })
	})
	step("reconnect/ended-by-server", func() {
		with(ownOne, "", func(conn *pgx.Conn) {
			exec(conn, "BEGIN")
			exec(conn, "SET LOCAL idle_in_transaction_session_timeout = 100")
			time.Sleep(500 * time.Millisecond)
			_, err := conn.Exec(ctx, "SELECT 1")
			raises("25P03", err)
			same(conn.IsClosed(), true)
		})
		with(ownOne, "", func(conn *pgx.Conn) { three(conn, ownOne) })
	})
	step("reconnect/many", func() {
		for turn := 0; turn < 12; turn++ {
			with(four[turn%4], "", func(conn *pgx.Conn) { three(conn, four[turn%4]) })
		}
	})

	runSteps(packageVersion("golang-github-jackc-pgx-v4-dev"))
}
