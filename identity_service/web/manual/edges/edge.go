// Package edge is a storefront's. `session` is a map that your server keeps for this browser. Call before the page is
// written: Visitor gives the visitor's ID or "", Sale true once the order (sale, products, email) is kept, Consent, for
// buttons of your own, once "granted" or "refused" is. Set IDENTITY_URL, the service, and IDENTITY_KEY, a private key.
package edge

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

type values = map[string]any

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func ask(w http.ResponseWriter, r *http.Request, path string, body values, pauses ...int) values {
	text, _ := json.Marshal(body)
	client := http.Client{Timeout: 500 * time.Millisecond, CheckRedirect: stay}
	for _, milliseconds := range append([]int{0}, pauses...) {
		time.Sleep(time.Duration(milliseconds) * time.Millisecond)
		call, err := http.NewRequest("POST", os.Getenv("IDENTITY_URL")+path, strings.NewReader(string(text)))
		if err != nil {
			return nil
		}
		key := "Bearer " + os.Getenv("IDENTITY_KEY")
		call.Header = http.Header{"Authorization": {key}, "Content-Type": {"application/json"}, "Cookie": r.Header["Cookie"]}
		answer, err := client.Do(call)
		if err != nil {
			continue
		}
		for _, line := range answer.Header["Set-Cookie"] {
			w.Header().Add("Set-Cookie", line)
		}
		var found values
		err = json.NewDecoder(answer.Body).Decode(&found)
		answer.Body.Close()
		if err == nil && answer.StatusCode < 500 && answer.StatusCode != 429 {
			return found
		}
	}
	return nil
}

func identify(w http.ResponseWriter, r *http.Request, session values, path string, body values) (string, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr // a proxy's header was read
	}
	body["client"] = values{"ip": host, "user_agent": r.UserAgent(), "gpc": r.Header.Get("Sec-GPC")}
	if _, err := r.Cookie("__Host-visitor"); err != nil {
		body["token"] = session["visitor_token"]
	}
	found := ask(w, r, path, body)
	decision, _ := found["decision"].(values)
	if decision["reason"] == nil || decision["reason"] == "store_unavailable" {
		return "", false // the token stays
	}
	session["visitor_token"] = found["token"] // nil: this visitor has no ID
	visitor, _ := found["visitor"].(string)
	return visitor, true
}

func Visitor(w http.ResponseWriter, r *http.Request, session values) string {
	visitor, _ := identify(w, r, session, "/v1/visitors", values{})
	return visitor
}

func Consent(w http.ResponseWriter, r *http.Request, session values, choice string) bool {
	_, kept := identify(w, r, session, "/v1/consents", values{"consent": choice})
	return kept
}

func Sale(w http.ResponseWriter, r *http.Request, session, order values) bool {
	if token, asked := session["visitor_token"]; asked { // absent: nobody could be asked
		order["visitor"] = token
	}
	return ask(w, r, "/v2/log/sale", order, 200, 400)["status"] == "ok"
}
