// lib/pq under database/sql: an unnamed statement is parsed in one batch and bound in the next, COPY in a transaction.

package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lib/pq"
)

const (
	insert = "INSERT INTO note (tenant, run, amount, body) VALUES ($1, $2, $3, $4)"
	find   = "SELECT tenant, id FROM item WHERE id = $1"
)

var ctx = context.Background()

func open(who tenant, more string) *sql.DB {
	db, err := sql.Open("postgres", fmt.Sprintf("host=%s port=%s user=%s password=%s sslmode=disable dbname=%s %s",
		os.Getenv("CLIENT_HOST"), os.Getenv("CLIENT_PORT"), who.user, password, os.Getenv("CLIENT_DATABASE"), more))
	check(err)
	return db
}

// One connection of a pool for itself, until the function returns.
func with(who tenant, more string, action func(*sql.Conn)) {
	db := open(who, more)
	defer db.Close()
	conn, err := db.Conn(ctx)
	check(err)
	defer conn.Close()
	action(conn)
}

func withFour(action func([]*sql.Conn)) {
	conns := []*sql.Conn{}
	for _, who := range four {
		db := open(who, "")
		defer db.Close()
		conn, err := db.Conn(ctx)
		check(err)
		defer conn.Close()
		conns = append(conns, conn)
	}
	action(conns)
}

type querier interface {
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
}

func collect(rows *sql.Rows, err error, who tenant) []int {
	check(err)
	defer rows.Close()
	return pairs(rows, who)
}

func ints(db querier, who tenant, text string, arguments ...interface{}) []int {
	rows, err := db.QueryContext(ctx, text, arguments...)
	return collect(rows, err, who)
}

func value(db querier, text string, arguments ...interface{}) string {
	rows, err := db.QueryContext(ctx, text, arguments...)
	check(err)
	defer rows.Close()
	return firstText(rows)
}

func exec(db querier, text string, arguments ...interface{}) {
	_, err := db.ExecContext(ctx, text, arguments...)
	check(err)
}

func notes(db querier, body string) []int {
	return ints(db, ownOne, "SELECT tenant, amount FROM note WHERE run = $1 AND body = $2 ORDER BY amount", run, body)
}

func three(db querier, who tenant) {
	same(ints(db, who, "SELECT tenant, id FROM item WHERE id < 4 ORDER BY id"), numbers(1, 3))
}

func raises(state string, err error) {
	if err == nil {
		panic("no error " + state)
	}
	if found, is := err.(*pq.Error); is && string(found.Code) == state || strings.Contains(err.Error(), state) {
		return
	}
	panic(fmt.Sprintf("%v in place of %s", err, state))
}

func begin(conn *sql.Conn, options *sql.TxOptions) *sql.Tx {
	tx, err := conn.BeginTx(ctx, options)
	check(err)
	return tx
}

func add(db querier, amount int, body string) error {
	_, err := db.ExecContext(ctx, insert, ownOne.name, run, amount, body)
	return err
}

func main() {
	step("connect/login", func() {
		with(ownOne, "application_name='lib/pq script'", func(conn *sql.Conn) {
			same(len(ints(conn, ownOne, "SELECT tenant, id FROM item")), items)
			same(value(conn, "SHOW application_name"), "lib/pq script")
		})
	})
	step("connect/wrong-password", func() {
		raises("28P01", open(tenant{ownOne.name, ownOne.user + " password=wrong"}, "password=wrong").Ping())
	})
	step("connect/unknown-database", func() { raises("3D000", open(ownOne, "dbname=nowhere").Ping()) })
	step("connect/startup-settings", func() {
		with(ownOne, "statement_timeout=12345 search_path='pg_catalog,public' options='-c app.word=two\\\\ words'", func(conn *sql.Conn) {
			for turn := 0; turn < 3; turn++ {
				same(value(conn, "SHOW statement_timeout"), "12345ms")
				same(value(conn, "SHOW search_path"), "pg_catalog,public")
				same(value(conn, "SHOW app.word"), "two words")
			}
		})
	})

	step("transactions/commit", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
			check(add(tx, 1, "commit"))
			same(value(tx, "SHOW transaction_isolation"), "repeatable read")
			check(tx.Commit())
			same(notes(conn, "commit"), []int{1})
		})
	})
	step("transactions/error", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, nil)
			check(add(tx, 2, "error"))
			raises("23505", add(tx, 2, "error"))
			raises("25P02", add(tx, 3, "error"))
			check(tx.Rollback())
			same(notes(conn, "error"), []int{})
		})
	})
	step("transactions/read-only", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, &sql.TxOptions{ReadOnly: true})
			three(tx, ownOne)
			raises("25006", add(tx, 4, "read only"))
			check(tx.Rollback())
		})
	})
	step("savepoints/nested", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, nil)
			check(add(tx, 10, "nested"))
			exec(tx, "SAVEPOINT a")
			check(add(tx, 11, "nested"))
			raises("23505", add(tx, 11, "nested"))
			exec(tx, "ROLLBACK TO a")
			check(add(tx, 12, "nested"))
			exec(tx, "RELEASE a")
			check(tx.Commit())
			same(notes(conn, "nested"), []int{10, 12})
		})
	})

	step("prepared/unnamed-over-sync", func() {
		withFour(func(conns []*sql.Conn) {
			for turn := 1; turn <= 10; turn++ {
				for n, conn := range conns {
					same(ints(conn, four[n], find, turn), []int{turn})
				}
			}
		})
	})
	step("prepared/kept-while-idle", func() {
		withFour(func(conns []*sql.Conn) {
			statements := []*sql.Stmt{}
			for n, conn := range conns {
				statement, err := conn.PrepareContext(ctx, fmt.Sprintf("SELECT tenant, id + %d FROM item WHERE id = $1", n))
				check(err)
				statements = append(statements, statement)
			}
			for turn := 1; turn <= 5; turn++ {
				for n, statement := range statements {
					rows, err := statement.QueryContext(ctx, turn)
					same(collect(rows, err, four[n]), []int{turn + n})
					tx := begin(conns[n], nil)
					rows, err = tx.Stmt(statement).QueryContext(ctx, turn)
					same(collect(rows, err, four[n]), []int{turn + n})
					check(tx.Commit())
				}
			}
		})
	})
	step("prepared/types", func() {
		for _, binary := range []string{"yes", "no"} {
			with(ownOne, "binary_parameters="+binary, func(conn *sql.Conn) {
				var name, price string
				var made time.Time
				var tags []string
				row := conn.QueryRowContext(ctx, "SELECT tenant, price, made, tags FROM item WHERE id = $1 AND name <> $2", 7, "x")
				check(row.Scan(&name, &price, &made, pq.Array(&tags)))
				mine(name, ownOne)
				same(price, "7.25")
				same(made.UTC().Format(time.RFC3339), "2026-01-01T07:00:00Z")
				same(tags, []string{ownOne.name, "tag 0"})
			})
		}
	})
	step("prepared/after-error", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			divide, err := conn.PrepareContext(ctx, "SELECT tenant, 10 / $1::int FROM item WHERE id = 1")
			check(err)
			for _, n := range []int{5, 0, 2} {
				rows, err := divide.QueryContext(ctx, n)
				if n == 0 {
					raises("22012", err)
				} else {
					same(collect(rows, err, ownOne), []int{10 / n})
				}
			}
			_, err = conn.PrepareContext(ctx, "SELECT FROM WHERE $1")
			raises("42601", err)
			check(divide.Close())
		})
	})

	step("batch/many-statements", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			rows, err := conn.QueryContext(ctx, "SELECT tenant, 1 FROM item WHERE id = 1; ; SELECT tenant, 2 FROM item WHERE id = 1")
			check(err)
			defer rows.Close()
			for n := 1; n <= 2; n++ {
				same(rows.Next(), true)
				var name string
				var found int
				check(rows.Scan(&name, &found))
				mine(name, ownOne)
				same(found, n)
				same(rows.Next(), false)
				same(rows.NextResultSet(), n == 1)
			}
		})
		with(ownOne, "", func(conn *sql.Conn) {
			exec(conn, "-- nothing")
			exec(conn, ";")
		})
	})

	step("copy/in", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, nil)
			exec(tx, "CREATE TEMP TABLE incoming (amount int, body text) ON COMMIT DROP")
			statement, err := tx.Prepare(pq.CopyIn("incoming", "amount", "body"))
			check(err)
			for n := 0; n < 3000; n++ {
				_, err = statement.Exec(1000+n, "copy")
				check(err)
			}
			_, err = statement.Exec()
			check(err)
			check(statement.Close())
			exec(tx, "INSERT INTO note (tenant, run, amount, body) SELECT $1, $2, amount, body FROM incoming", ownOne.name, run)
			same(notes(tx, "copy"), numbers(1000, 3999))
			check(tx.Rollback())
		})
	})
	step("copy/in-error", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, nil)
			exec(tx, "CREATE TEMP TABLE incoming (amount int) ON COMMIT DROP")
			statement, err := tx.Prepare(pq.CopyIn("incoming", "amount"))
			check(err)
			_, err = statement.Exec("no number")
			check(err)
			_, err = statement.Exec()
			raises("22P02", err)
			statement.Close()
			check(tx.Rollback())
			three(conn, ownOne)
		})
	})

	step("cancel/context", func() {
		db := open(ownOne, "")
		defer db.Close()
		for turn := 0; turn < 2; turn++ {
			some, cancel := context.WithTimeout(ctx, 400*time.Millisecond)
			_, err := db.ExecContext(some, "SELECT pg_sleep(30)")
			cancel()
			if err == nil || !strings.Contains(err.Error(), "canceling statement") && err != context.DeadlineExceeded {
				panic(fmt.Sprint("not cancelled: ", err))
			}
			three(db, ownOne)
		}
	})
	step("cancel/timeout", func() {
		with(ownOne, "statement_timeout=150", func(conn *sql.Conn) {
			_, err := conn.ExecContext(ctx, "SELECT pg_sleep(30)")
			raises("57014", err)
			three(conn, ownOne)
		})
	})

	step("settings/kept-while-idle", func() {
		withFour(func(conns []*sql.Conn) {
			for n, conn := range conns {
				exec(conn, fmt.Sprintf("SET TimeZone = '%s'", zones[n]))
				exec(conn, "SELECT set_config('app.zone', $1, false)", zones[n])
			}
			for turn := 0; turn < 3; turn++ {
				for n, conn := range conns {
					same(value(conn, "SHOW TimeZone"), zones[n])
					same(value(conn, "SELECT current_setting('app.zone')"), zones[n])
					three(conn, four[n])
				}
			}
		})
	})
	step("settings/transaction", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			tx := begin(conn, nil)
			exec(tx, "SET LOCAL work_mem = '1MB'")
			same(value(tx, "SHOW work_mem"), "1MB")
			check(tx.Commit())
			same(value(conn, "SHOW work_mem"), "4MB")
		})
	})
	step("session/temporary-table", func() {
		for _, who := range []tenant{ownOne, other} {
			with(who, "", func(conn *sql.Conn) {
				exec(conn, "CREATE TEMP TABLE mine AS SELECT tenant, id FROM item WHERE id < 6")
				time.Sleep(20 * time.Millisecond)
				same(ints(conn, who, "SELECT * FROM mine ORDER BY id"), numbers(1, 5))
				exec(conn, "DROP TABLE mine")
			})
		}
	})
	step("reset/discard-all", func() {
		with(ownOne, "", func(conn *sql.Conn) {
			statement, err := conn.PrepareContext(ctx, find)
			check(err)
			exec(conn, "SET work_mem = '1MB'")
			exec(conn, "DISCARD ALL")
			same(value(conn, "SHOW work_mem"), "4MB")
			_, err = statement.QueryContext(ctx, 1)
			raises("26000", err)
			exec(conn, "RESET ALL")
			three(conn, ownOne)
		})
	})

	step("reconnect/pool", func() {
		dbs := []*sql.DB{open(ownOne, ""), open(other, "")}
		for _, db := range dbs {
			db.SetMaxOpenConns(4)
			db.SetMaxIdleConns(3)
			db.SetConnMaxLifetime(50 * time.Millisecond)
		}
		atOnce(80, func(n int) { same(ints(dbs[n%2], four[n%2], find, n), []int{n}) })
		for _, db := range dbs {
			check(db.Close())
		}
	})
	step("reconnect/ended-by-server", func() {
		db := open(ownOne, "")
		defer db.Close()
		db.SetMaxOpenConns(1)
		tx, err := db.Begin()
		check(err)
		exec(tx, "SET LOCAL idle_in_transaction_session_timeout = 100")
		time.Sleep(500 * time.Millisecond)
		_, err = tx.Exec("SELECT 1")
		same(err != nil, true)
		tx.Rollback()
		three(db, ownOne)
	})
	step("reconnect/many", func() {
		for turn := 0; turn < 12; turn++ {
			with(four[turn%4], "", func(conn *sql.Conn) { three(conn, four[turn%4]) })
		}
	})

	runSteps(packageVersion("golang-github-lib-pq-dev"))
}
