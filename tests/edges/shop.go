// A shop's server around the edge, with sessions in its memory.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"

	"shop/edge"
)

var (
	lock     sync.Mutex
	sessions = map[string]map[string]any{}
)

func sessionOf(w http.ResponseWriter, r *http.Request) map[string]any {
	lock.Lock()
	defer lock.Unlock()
	id := fmt.Sprintf("s%d", len(sessions))
	if sent, err := r.Cookie("sid"); err == nil {
		id = sent.Value
	}
	if sessions[id] == nil {
		sessions[id] = map[string]any{}
	}
	w.Header().Add("Set-Cookie", "sid="+id)
	return sessions[id]
}

func said(kept bool) string {
	if kept {
		return "kept"
	}
	return "lost"
}

func page(w http.ResponseWriter, r *http.Request) {
	session := sessionOf(w, r)
	switch r.URL.Path {
	case "/order":
		var order map[string]any
		if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(w, said(edge.Sale(w, r, session, order)))
	default:
		if visitor := edge.Visitor(w, r, session); visitor != "" {
			fmt.Fprint(w, visitor)
		} else {
			fmt.Fprint(w, "nobody")
		}
	}
}

func main() {
	http.HandleFunc("/", page)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
