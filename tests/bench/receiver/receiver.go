// receiver SECRET sqlite|log FOLDER: the same hook in Go, tuned, as one would write it: GitHub's signature over the raw body in constant
// time, a delivery once by its id, and an answer only when it is durable. What comes while one group is made durable is the next group.
// sqlite: one transaction a group (WAL, synchronous=FULL). log: one write and one fdatasync a group, and the ids in memory.
// Prints its port. tools/bench builds it with Debian's packages alone.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	_ "github.com/mattn/go-sqlite3"
)

const groupMax = 256

type delivery struct {
	id, ref string
	body    []byte
	stored  chan int // the status to answer with
}

func verified(secret []byte, given string, body []byte) bool {
	got, err := hex.DecodeString(strings.TrimPrefix(given, "sha256="))
	if err != nil {
		return false
	}
	m := hmac.New(sha256.New, secret)
	m.Write(body)
	return hmac.Equal(got, m.Sum(nil))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// What waits by now, at least one.
func group(waiting chan *delivery) []*delivery {
	all := []*delivery{<-waiting}
	for len(all) < groupMax {
		select {
		case d := <-waiting:
			all = append(all, d)
		default:
			return all
		}
	}
	return all
}

func intoSQLite(folder string, waiting chan *delivery) {
	db, err := sql.Open("sqlite3", "file:"+folder+"/receiver.db?_journal_mode=WAL&_synchronous=FULL")
	must(err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE delivery(n INTEGER PRIMARY KEY, id TEXT UNIQUE, ref TEXT, body BLOB)")
	must(err)
	insert, err := db.Prepare("INSERT OR IGNORE INTO delivery(id, ref, body) VALUES (?, ?, ?)")
	must(err)
	for {
		all := group(waiting)
		status := make([]int, len(all))
		tx, err := db.Begin()
		must(err)
		in := tx.Stmt(insert)
		for i, d := range all {
			done, err := in.Exec(d.id, d.ref, d.body)
			must(err)
			n, _ := done.RowsAffected()
			status[i] = 200 + 2*int(n)
		}
		must(tx.Commit())
		for i, d := range all {
			d.stored <- status[i]
		}
	}
}

func intoLog(folder string, waiting chan *delivery) {
	f, err := os.Create(folder + "/receiver.log")
	must(err)
	known := map[string]bool{}
	var out []byte
	for {
		all := group(waiting)
		status := make([]int, len(all))
		out = out[:0]
		for i, d := range all {
			if known[d.id] {
				status[i] = 200
				continue
			}
			known[d.id], status[i] = true, 202
			out = append(fmt.Appendf(out, "%s %d\n", d.id, len(d.body)), d.body...)
		}
		_, err := f.Write(out)
		must(err)
		must(syscall.Fdatasync(int(f.Fd())))
		for i, d := range all {
			d.stored <- status[i]
		}
	}
}

func main() {
	secret, kind, folder := []byte(os.Args[1]), os.Args[2], os.Args[3]
	waiting := make(chan *delivery, groupMax)
	if kind == "sqlite" {
		go intoSQLite(folder, waiting)
	} else {
		go intoLog(folder, waiting)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			w.WriteHeader(400)
			return
		}
		if !verified(secret, r.Header.Get("X-Hub-Signature-256"), body) {
			w.WriteHeader(401)
			return
		}
		var push struct{ Ref string }
		if json.Unmarshal(body, &push) != nil {
			w.WriteHeader(400)
			return
		}
		d := &delivery{r.Header.Get("X-GitHub-Delivery"), push.Ref, body, make(chan int, 1)}
		waiting <- d
		w.WriteHeader(<-d.stored)
	}
	at, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	fmt.Println(at.Addr().(*net.TCPAddr).Port)
	must(http.Serve(at, http.HandlerFunc(handler)))
}
