// Package edge is a storefront's. `session` is a map that your server keeps for this browser. Call before the page is
// written: Visitor gives the visitor's ID or "", Sale true once the order (sale, products, email) is kept.
// Set IDENTITY_URL, the service's address, and IDENTITY_KEY, a private key.
package edge

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"time"
)

type values = map[string]any

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func ask(w http.ResponseWriter, r *http.Request, path string, body values, pauses ...time.Duration) values {
	text, _ := json.Marshal(body)
	client := http.Client{Timeout: 500 * time.Millisecond, CheckRedirect: stay}
	for _, pause := range pauses {
		time.Sleep(pause * time.Millisecond)
		if call, err := http.NewRequest("POST", os.Getenv("IDENTITY_URL")+path, bytes.NewReader(text)); err == nil {
			call.Header = http.Header{"Content-Type": {"application/json"}, "Cookie": r.Header["Cookie"]}
			call.Header.Set("Authorization", "Bearer "+os.Getenv("IDENTITY_KEY"))
			if answer, err := client.Do(call); err == nil {
				var found values
				defer answer.Body.Close()
				w.Header()["Set-Cookie"] = append(w.Header()["Set-Cookie"], answer.Header["Set-Cookie"]...)
				if json.NewDecoder(answer.Body).Decode(&found) == nil && answer.StatusCode < 500 && answer.StatusCode != 429 {
					return found
				}
			}
		}
	}
	return nil
}

func agent(r *http.Request) values {
	told := values{"authority": r.Host, "method": r.Method, "target": r.RequestURI, "signature": r.Header.Get("Signature")}
	told["signature_agent"], told["signature_input"] = r.Header.Get("Signature-Agent"), r.Header.Get("Signature-Input")
	return told
}

func Visitor(w http.ResponseWriter, r *http.Request, session values) (visitor string) {
	gpc, signed := r.Header.Get("Sec-GPC"), agent(r)
	body := values{"client": values{"ip": r.RemoteAddr, "user_agent": r.UserAgent(), "gpc": gpc, "agent": signed}}
	if _, err := r.Cookie("__Host-visitor"); err != nil {
		body["token"] = session["visitor_token"]
	}
	found := ask(w, r, "/v1/visitors", body, 0)
	if decision, _ := found["decision"].(values); decision["reason"] != nil && decision["reason"] != "store_unavailable" {
		session["visitor_token"] = found["token"] // nil: this visitor has no ID; else the token stays
		visitor, _ = found["visitor"].(string)
	}
	return visitor
}

func Sale(w http.ResponseWriter, r *http.Request, session, order values) bool {
	if token, asked := session["visitor_token"]; asked { // absent: nobody could be asked
		order["visitor"] = token
	}
	order["agent"] = agent(r)
	return ask(w, r, "/v2/log/sale", order, 0, 200, 400)["status"] == "ok"
}
