//go:build soak

package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
)

// post sends one publisher's messages over HTTP: one in a request, or many as NDJSON. It gives up when a request fails.
func (r *round) post(i int) {
	rng := r.rng("publisher", r.number*roundPublishers+i)
	two, many := i%2 == 1 && r.hasTLS(), i >= socketPublishers+2
	by := direct
	if two {
		by = secure
	}
	p := &poster{round: r, browser: r.newBrowser(by, two), base: base(two), user: rng.IntN(2) == 0}
	defer p.cut()
	if p.user && !p.isDenied() {
		return
	}
	id := r.number*roundPublishers + i + 1
	all := roundPosts
	if many {
		all = roundMessages
	}
	for number := 0; number < all; {
		n := 1
		if many {
			n = min(1+rng.IntN(100), all-number)
		}
		if !p.publish(rng, id, number, n, many) {
			return
		}
		number += n
	}
}

// poster is a publisher over HTTP.
type poster struct {
	*round
	*browser
	base string
	user bool
}

// do makes one request.
func (p *poster) do(topic, contentType, body string) (*http.Response, error) {
	request, err := http.NewRequest(http.MethodPost, p.base+"/topics/"+topic, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	if p.user {
		request.SetBasicAuth("writer", password)
	}
	return p.Do(request)
}

// isDenied publishes to a topic that the user writer may not use.
func (p *poster) isDenied() bool {
	answer, err := p.do("other", "text/plain", "x")
	if err != nil {
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusForbidden && answer.StatusCode != http.StatusServiceUnavailable {
		p.report.fail("round %d: a POST without the right was answered %s", p.number, answer.Status)
	}
	p.report.add(rowUsers, 1)
	p.report.add(rowDenied, 1)
	return true
}

// publish sends n messages in one request, and notes which are acknowledged.
func (p *poster) publish(rng *rand.Rand, id, number, n int, many bool) bool {
	topic, payload := p.message(rng, id, number)
	ids, body, contentType, row := []string{fmt.Sprintf("%d-%d", id, number)}, payload, "text/plain", rowPosted
	if many {
		contentType, row = "application/x-ndjson", rowMany
		body, ids = "", nil
		for range n {
			topic, payload = p.message(rng, id, number)
			line, _ := json.Marshal(map[string]string{"topic": topic, "payload": payload}) // strings
			body += string(line) + "\n"
			ids = append(ids, fmt.Sprintf("%d-%d", id, number))
			number++
		}
	}
	p.window.take(len(body))
	answer, err := p.do(topic, contentType, body)
	if err != nil {
		p.window.give(len(body)) // if they came through all the same, the window is a little wider from now on
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		p.window.give(len(body))
		if answer.StatusCode != http.StatusServiceUnavailable {
			text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10)) // as much as there is
			p.complain([]string{fmt.Sprintf("a POST was answered %s %s", answer.Status, text)})
		}
		return false
	}
	in := bufio.NewReader(answer.Body)
	for _, id := range ids {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		var o struct {
			Status   int
			Detail   string
			Sequence json.Number
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Sequence == "" {
			if o.Status != http.StatusServiceUnavailable {
				p.complain([]string{fmt.Sprintf("a message of a POST was answered %q", line)})
			}
			return false
		}
		p.acknowledge(id)
		p.report.add(row, 1)
	}
	return true
}
