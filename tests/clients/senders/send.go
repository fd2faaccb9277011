// Sends orders as a shop's server does: NAME ADDRESS…; prints a line for each answer.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

const lines = `[{"id":"12793","quantity":2,"price":"99.95"},{"id":7,"quantity":1,"price":1}]`

func show(answer *http.Response, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.StatusCode, string(text))
}

func main() {
	for at, address := range os.Args[2:] {
		sale := fmt.Sprintf("%s-%d", os.Args[1], at)
		to := address + "/v2/log/sale"
		json := fmt.Sprintf(`{"key":"demo-public-key","sale":"%s-json","products":%s}`, sale, lines)
		show(http.Post(to, "application/json", strings.NewReader(json)))
		flat := url.Values{"key": {"demo-public-key"}, "sale": {sale + "-query"}, "products": {lines}}
		show(http.Get(to + "?" + flat.Encode()))
		flat.Set("sale", sale+"-form")
		show(http.PostForm(to, flat))
	}
}
