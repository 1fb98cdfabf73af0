package web_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	entries "github.com/conchmq/conch/internal/entry"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

// openStore opens streams in memory, for a test that makes them fail.
func openStore(t testing.TB) *store.Store {
	t.Helper()
	kept, err := store.Open(store.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, kept.Close(0)) })
	return kept
}

// xadd appends by a socket, with an id of its own.
func (s *site) xadd(c *harness.Conn, stream, id string, fields ...string) {
	s.t.Helper()
	c.Command(append([]string{"XADD", stream, id}, fields...)...)
	c.Expect(fmt.Sprintf("$%d\r\n%s\r\n", len(id), id))
}

// xrange is the reply to XRANGE of all entries, by a socket.
func (s *site) xrange(stream string) string {
	s.t.Helper()
	c := s.Dial(s.t)
	defer func() { _ = c.Close() }()
	c.Command("XRANGE", stream, "-", "+")
	frame, err := c.Frame()
	require.NoError(s.t, err)
	return string(frame)
}

// entry is the reply to XRANGE for one entry.
func entry(id string, fields ...string) string {
	return fmt.Sprintf("*1\r\n*2\r\n$%d\r\n%s\r\n%s", len(id), id, harness.RESP(fields...))
}

// The body is the field message, and headers of the request are fields.
func TestAnAppend(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	a := s.request("POST", "/streams/a%2Fb", "hello", header("Conch-Header-Region", "eu"), header("Conch-Header-Kind", "x"))
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	id, _ := a.json["id"].(string)
	assert.Equal(t, "a/b", a.json["stream"])
	assert.Equal(t, `"`+id+`"`, a.Header.Get("ETag"))
	assert.Equal(t, entry(id, "kind", "x", "region", "eu", "message", "hello"), s.xrange("a/b"))

	for _, body := range []string{"", "\xff\r\n\x00", strings.Repeat("x", 1<<20)} {
		a = s.request("POST", "/streams/bytes", body, header("Content-Type", "application/json"))
		require.Equal(t, http.StatusOK, a.StatusCode)
		id, _ := a.json["id"].(string)
		assert.Equal(t, entry(id, "message", body), s.xrange("bytes"), "whatever its type")
		c := s.Dial(t)
		c.Command("DEL", "bytes")
		c.Expect(":1\r\n")
	}
}

// With fields=1 the members of an object are the fields.
func TestAnAppendOfFields(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	post := func(body string) answer {
		return s.request("POST", "/streams/orders?fields=1", body, asJSON, header("Conch-Header-By", "web"))
	}
	for body, fields := range map[string][]string{
		`{"price": 120, "region": "eu"}`:                    {"price", "120", "region", "eu"},
		`{"b": "1", "a": "2", "b": "3"}`:                    {"b", "1", "a", "2", "b", "3"},
		`{"item": ["a", 5, true, {"x": [1, 2]}], "z": 1e2}`: {"item", "a", "item", "5", "item", "true", "item", `{"x":[1,2]}`, "z", "1e2"},
		`{"user": {"id": 7}, "ok": false}`:                  {"user", `{"id":7}`, "ok", "false"},
		`{"photo_base64": "/9g=", "": "\ud83d\ude00"}`:      {"photo", "\xff\xd8", "", "😀"},
		`{"message": "hi", "region": "eu"}`:                 {"message", "hi", "region", "eu"},
	} {
		a := post(body)
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		id, _ := a.json["id"].(string)
		assert.Equal(t, entry(id, append([]string{"by", "web"}, fields...)...), s.xrange("orders"), body)
		c := s.Dial(t)
		c.Command("DEL", "orders")
		c.Expect(":1\r\n")
	}
	for _, body := range []string{
		``, `{`, `[]`, `"x"`, `{}`, `{"a": null}`, `{"a": [null]}`, `{"a": []}`, `{"a": 1} x`, `{"a": "\ud800"}`, "{\"a\": \"\xff\"}", `{"a_base64": "x"}`,
		`{"a": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	} {
		s.expectProblem(post(body), http.StatusBadRequest)
	}
	s.expectProblem(post(`{"a": "`+strings.Repeat("x", 1<<20)+`"}`), http.StatusRequestEntityTooLarge)
	s.expectProblem(s.request("POST", "/streams/orders?fields=1", `{"a": 1}`), http.StatusUnsupportedMediaType)
	s.expectProblem(s.request("POST", "/streams/orders?fields=2", `{"a": 1}`, asJSON), http.StatusBadRequest)
	assert.Equal(t, "*0\r\n", s.xrange("orders"), "what is refused has no effect")
}

// An append with a key is made once for each user.
func TestAnAppendWithAKey(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for _, user := range []string{"ann", "bob"} {
		require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/"+user, `{"rules": ["on", ">pw", "+xadd", "~*"]}`, asJSON).StatusCode)
	}
	post := func(key, body string, options ...option) string {
		a := s.request("POST", "/streams/orders", body, append(options, header("Idempotency-Key", key))...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		id, _ := a.json["id"].(string)
		return id
	}
	first := post("order-17", "x")
	assert.Equal(t, first, post("order-17", "x"))
	assert.NotEqual(t, first, post("order-18", "x"))
	ann := post("order-17", "x", basic("ann", "pw"))
	assert.NotEqual(t, first, ann, "the keys of one user are no matter of another")
	assert.NotEqual(t, ann, post("order-17", "x", basic("bob", "pw")))
	assert.Equal(t, ann, post("order-17", "x", basic("ann", "pw")))
	assert.Equal(t, 4, strings.Count(s.xrange("orders"), "message"))
}

// An append with If-Match is made if the stream has not moved on. Otherwise the answer has the last id.
func TestAConditionalAppend(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	post := func(options ...option) answer { return s.request("POST", "/streams/orders", "x", options...) }
	first := post(header("If-None-Match", "*"))
	require.Equal(t, http.StatusOK, first.StatusCode, first.body)
	tag := first.Header.Get("ETag")
	for _, condition := range []option{header("If-None-Match", "*"), header("If-Match", `"0-0"`), header("If-Match", `"5-1"`)} {
		a := post(condition)
		s.expectProblem(a, http.StatusPreconditionFailed)
		assert.Equal(t, tag, a.Header.Get("ETag"))
		assert.Equal(t, "LASTID", a.json["code"])
	}
	second := post(header("If-Match", tag))
	require.Equal(t, http.StatusOK, second.StatusCode, second.body)
	assert.NotEqual(t, tag, second.Header.Get("ETag"))
	s.expectProblem(post(header("If-Match", tag)), http.StatusPreconditionFailed)

	c := s.Dial(t)
	c.Command("XTRIM", "orders", "MAXLEN", "0")
	c.Expect(":2\r\n")
	tag = s.request("GET", "/streams/orders", "").Header.Get("ETag")
	assert.Equal(t, second.Header.Get("ETag"), tag, "the last id is not that of the entries that are left")
	s.expectProblem(post(header("If-None-Match", "*")), http.StatusPreconditionFailed)
	assert.Equal(t, http.StatusOK, post(header("If-Match", tag)).StatusCode)

	// A retry of an append that was made is answered by its id.
	a := s.request("POST", "/streams/new", "x", header("If-None-Match", "*"), header("Idempotency-Key", "k"))
	again := s.request("POST", "/streams/new", "x", header("If-None-Match", "*"), header("Idempotency-Key", "k"))
	assert.Equal(t, http.StatusOK, again.StatusCode, again.body)
	assert.Equal(t, a.body, again.body)
	s.expectProblem(post(header("If-Match", `"99999999999999999999-0"`)), http.StatusBadRequest)
}

// A client with an older token than that of the stream is refused.
func TestAFencedAppend(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Command("XFENCE", "orders", "7")
	c.Expect(":7\r\n")
	for token, want := range map[string]int{"6": http.StatusPreconditionFailed, "7": http.StatusOK, "8": http.StatusOK, "x": http.StatusBadRequest, "": http.StatusBadRequest} {
		a := s.request("POST", "/streams/orders", "x", header("Conch-Fence", token))
		assert.Equal(t, want, a.StatusCode, a.body)
	}
	assert.Equal(t, http.StatusOK, s.request("POST", "/streams/orders", "x").StatusCode, "without a token there is no condition")
}

// Of many clients that append behind the same entry, one does in each round, and no entry is overwritten unseen.
func TestManyConditionalAppends(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	const clients, each = 4, 5
	var racing sync.WaitGroup
	for i := range clients {
		racing.Go(func() {
			for made := 0; made < each; {
				seen := s.request("GET", "/streams/counter?reverse=1&count=1", "")
				n := 0
				if seen.body != "" {
					fields, _ := seen.json["fields"].(map[string]any)
					n, _ = strconv.Atoi(fmt.Sprint(fields["n"]))
				}
				a := s.request("POST", "/streams/counter?fields=1", fmt.Sprintf(`{"n": %d, "by": %d}`, n+1, i), asJSON, header("If-Match", seen.Header.Get("ETag")))
				if a.StatusCode == http.StatusOK {
					made++
				} else {
					assert.Equal(t, http.StatusPreconditionFailed, a.StatusCode, a.body)
				}
			}
		})
	}
	racing.Wait()
	last := s.request("GET", "/streams/counter?reverse=1&count=1", "")
	assert.Contains(t, last.body, fmt.Sprintf(`"n":%d,`, clients*each))
}

func TestRefusedAppends(t *testing.T) {
	s := start(t, server.Options{Limits: protocol.Limits{Message: 8}}, web.Options{})
	for name, test := range map[string]struct {
		status  int
		path    string
		options []option
	}{
		"a stream without a name":   {400, "/streams/", nil},
		"a message twice":           {400, "/streams/a", []option{header("Conch-Header-Message", "x")}},
		"many messages":             {415, "/streams/a", []option{ndjson}},
		"a tag that is none":        {400, "/streams/a", []option{header("If-Match", "5-1")}},
		"a weak tag":                {400, "/streams/a", []option{header("If-Match", `W/"5-1"`)}},
		"a tag that is no id":       {400, "/streams/a", []option{header("If-Match", `"x"`)}},
		"any tag":                   {400, "/streams/a", []option{header("If-Match", "*")}},
		"two conditions":            {400, "/streams/a", []option{header("If-Match", `"5-1"`), header("If-None-Match", "*")}},
		"another tag than this one": {400, "/streams/a", []option{header("If-None-Match", `"5-1"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.status, s.request("POST", test.path, "hello", test.options...).StatusCode)
		})
	}
	s.expectProblem(s.request("POST", "/streams/a", "123456789"), http.StatusRequestEntityTooLarge)
	s.expectProblem(s.request("PUT", "/streams/a", "x"), http.StatusMethodNotAllowed)
	for _, half := range []string{"Content-Length: 8\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n8\r\nhalf"} {
		c := s.dial()
		c.Send("POST /streams/a HTTP/1.1\r\nHost: localhost\r\n%s", half)
		_ = c.Close()
	}
	harness.Eventually(t, func() bool { return s.Service().Counts.Open.Load() == 0 }, "the halves are gone")
	assert.Equal(t, "*0\r\n", s.xrange("a"), "nothing of this has an effect")
}

// A store that takes nothing: its disk is full, or its log has failed.
type fullDisk struct{ *store.Store }

func (fullDisk) Err() error { return errors.New("no space is left on the disk") }

func TestAppendsThatTheLogRefuses(t *testing.T) {
	s := start(t, server.Options{Store: fullDisk{openStore(t)}}, web.Options{})
	a := s.request("POST", "/streams/a", "x")
	assert.Contains(t, s.expectProblem(a, http.StatusInsufficientStorage), "no space is left")
	assert.Equal(t, "MISCONF", a.json["code"])

	s = start(t, server.Options{Store: failedLog{openStore(t)}}, web.Options{})
	s.expectProblem(s.request("POST", "/streams/a", "x"), http.StatusServiceUnavailable)

	kept, err := store.Open(store.Options{Memory: 64 << 10})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, kept.Close(0)) })
	s = start(t, server.Options{Store: kept}, web.Options{})
	a = s.request("POST", "/streams/a", strings.Repeat("x", 128<<10))
	s.expectProblem(a, http.StatusServiceUnavailable)
	assert.Equal(t, "OOM", a.json["code"])
}

// Entries come as lines, or as one object.
func TestTheEntriesOfAStream(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	s.xadd(c, "orders", "1000-0", "message", "hi", "region", "eu", "retries", "3")
	s.xadd(c, "orders", "2000-0", "price", "120", "item", "a", "item", "b")
	s.xadd(c, "orders", "3000-0", "message", "\xff")
	c.Command("XDEL", "orders", "3000-0")
	c.Expect(":1\r\n")
	s.xadd(c, "orders", "3000-1", "message", "\xff")
	first := `{"event":"entry","stream":"orders","id":"1000-0","payload":"hi","headers":{"region":"eu","retries":3}}`
	second := `{"event":"entry","stream":"orders","id":"2000-0","fields":{"price":120,"item":["a","b"]}}`
	third := `{"event":"entry","stream":"orders","id":"3000-1","payload_base64":"/w=="}`
	type page struct {
		entries []string
		next    string
		more    bool
	}
	for query, want := range map[string]page{
		"":                                {[]string{first, second, third}, "(3000-1", false},
		"?count=1":                        {[]string{first}, "(1000-0", true},
		"?count=3":                        {[]string{first, second, third}, "(3000-1", false},
		"?count=2&from=(1000-0":           {[]string{second, third}, "(3000-1", false},
		"?to=2000":                        {[]string{first, second}, "(2000-0", false},
		"?from=1970-01-01T00:00:02Z":      {[]string{second, third}, "(3000-1", false},
		"?to=1970-01-01T00:00:01.5Z":      {[]string{first}, "(1000-0", false},
		"?reverse=1":                      {[]string{third, second, first}, "(1000-0", false},
		"?reverse=1&count=1":              {[]string{third}, "(3000-1", true},
		"?reverse=1&count=1&to=(3000-1":   {[]string{second}, "(2000-0", true},
		"?reverse=1&from=2000-0&reverse=": {[]string{third, second}, "(2000-0", false},
		"?from=4000":                      {nil, "4000", false},
		"?reverse=1&to=500":               {nil, "500", false},
		"?last=2":                         {[]string{second, third}, "(3000-1", false},
		"?last=9":                         {[]string{first, second, third}, "(3000-1", false},
		"?last=1&to=(3000-1":              {[]string{second}, "(2000-0", false},
		"?last=1&from=4000":               {nil, "4000", false},
	} {
		a := s.request("GET", "/streams/orders"+query, "")
		assert.Equal(t, http.StatusOK, a.StatusCode, a.body)
		assert.Equal(t, "application/x-ndjson", a.Header.Get("Content-Type"))
		assert.Equal(t, `"3000-1"`, a.Header.Get("ETag"))
		lines := ""
		for _, line := range want.entries {
			lines += line + "\n"
		}
		end := fmt.Sprintf(`"next":%q,"more":%t}`, want.next, want.more)
		assert.Equal(t, lines+`{"event":"end",`+end+"\n", a.body, query)
		for _, as := range []answer{
			s.request("GET", "/streams/orders"+query, "", header("Accept", "application/json")),
			s.request("GET", "/streams/orders?format=json&"+strings.TrimPrefix(query, "?"), ""),
		} {
			assert.Equal(t, "application/json", as.Header.Get("Content-Type"))
			assert.Equal(t, `{"entries":[`+strings.Join(want.entries, ",")+"],"+end+"\n", as.body, query)
		}
	}
	for id, want := range map[string]string{"1000-0": first, "2000-0": second, "3000-1": third, "1000": first} {
		a := s.request("GET", "/streams/orders/entries/"+id, "")
		assert.Equal(t, want+"\n", a.body)
		assert.Equal(t, "application/json", a.Header.Get("Content-Type"))
	}
	s.expectProblem(s.request("GET", "/streams/orders/entries/3000-0", ""), http.StatusNotFound)
	s.expectProblem(s.request("GET", "/streams/nosuch/entries/3000-0", ""), http.StatusNotFound)
	for _, id := range []string{"-", "+", "(1000-0", "x", "", "1-2-3", "99999999999999999999-1"} {
		s.expectProblem(s.request("GET", "/streams/orders/entries/"+id, ""), http.StatusBadRequest)
	}
	head := s.request("HEAD", "/streams/orders", "")
	assert.Equal(t, `"3000-1"`, head.Header.Get("ETag"))
	assert.Empty(t, head.body)
	none := s.request("GET", "/streams/nosuch", "")
	assert.Equal(t, `"0-0"`, none.Header.Get("ETag"))
	assert.JSONEq(t, `{"event":"end","next":"-","more":false}`, none.body)
	for _, query := range []string{"?last=0", "?last=x", "?last=1&count=1", "?last=1&reverse=1", "?count=0", "?count=-1", "?count=x", "?count=99999999999", "?reverse=2", "?from=x", "?to=5-x", "?format=xml"} {
		s.expectProblem(s.request("GET", "/streams/orders"+query, ""), http.StatusBadRequest)
	}
}

// Names of all bytes, and the rights to them.
func TestRightsToStreams(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	admin := s.Dial(t)
	admin.Send("AUTH secret\n")
	admin.Expect("+OK\r\n")
	for rules, may := range map[string][2]bool{ // read, write
		"~orders":     {true, true},
		"%R~orders":   {true, false},
		"%W~ord*":     {false, true},
		"~other":      {false, false},
		"%RW~orders*": {true, true},
	} {
		admin.Command("ACL", "SETUSER", "ann", "reset", "on", ">pw", "+@all", rules)
		admin.Expect("+OK\r\n")
		for method, allowed := range map[string]bool{"GET": may[0], "HEAD": may[0], "POST": may[1]} {
			want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[allowed]
			a := s.request(method, "/streams/orders", "x", basic("ann", "pw"))
			assert.Equal(t, want, a.StatusCode, "%s %s", method, rules)
			if !allowed {
				assert.Empty(t, a.Header.Get("ETag"), "a refusal shows no id")
			}
		}
	}
	s.expectProblem(s.request("GET", "/streams/orders", ""), http.StatusUnauthorized)
	s.expectProblem(s.request("POST", "/streams/orders", "x"), http.StatusUnauthorized)
}

// A client that does not read the entries of an answer is gone after slow-time. Until then it holds little memory, and delays no
// other client.
func TestEntriesThatAreNotRead(t *testing.T) {
	s := start(t, server.Options{SlowTime: 200 * time.Millisecond}, web.Options{})
	c := s.Dial(t)
	for i := range 100 {
		s.xadd(c, "large", fmt.Sprintf("%d-0", i+1), "message", strings.Repeat("x", 1<<20))
	}
	const clients = 8
	for range clients {
		slow := s.dial()
		slow.Send("GET /streams/large?count=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	most := 0
	harness.Eventually(t, func() bool {
		c.Command("XLEN", "large")
		c.Expect(":100\r\n")
		most = max(most, s.Info(t, "client_memory"))
		return s.Info(t, "connected_clients") == 2
	}, "they are gone")
	assert.Less(t, most, clients*(8<<20), "an answer of 100 MiB is never in memory")
}

// An answer that is larger than the memory for all clients arrives whole at a client that reads.
func TestAnAnswerLargerThanMemory(t *testing.T) {
	s := start(t, server.Options{MaxMemory: 32 << 20, Store: openStore(t)}, web.Options{})
	c := s.Dial(t)
	for i := range 64 {
		s.xadd(c, "large", fmt.Sprintf("%d-0", i+1), "message", strings.Repeat("x", 1<<20))
	}
	response, err := s.client.Get(s.url + "/streams/large?count=1000")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	n, err := io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	assert.Greater(t, n, int64(64<<20))
}

// Pages of other origins may use what a client of streams needs.
func TestStreamsFromAPage(t *testing.T) {
	s := start(t, server.Options{}, web.Options{Origins: []string{"https://app.example.org"}})
	a := s.request("OPTIONS", "/streams/a", "", header("Origin", "https://app.example.org"), header("Access-Control-Request-Method", "POST"),
		header("Access-Control-Request-Headers", "content-type, conch-header-region, x-other"))
	allowed := a.Header.Get("Access-Control-Allow-Headers")
	for _, name := range []string{"If-Match", "If-None-Match", "Idempotency-Key", "conch-header-region"} {
		assert.Contains(t, allowed, name)
	}
	assert.NotContains(t, allowed, "x-other")
	assert.Equal(t, "ETag", a.Header.Get("Access-Control-Expose-Headers"))
}

// Fields that were read and are appended again are the same entry.
func FuzzFields(f *testing.F) {
	for _, text := range []string{
		`{"a": 1, "b": ["x", 2], "c_base64": "/w=="}`, `{"a": {"b": [1, 2.50, null]}}`, `{"": ""}`, `{"a": "\u00e4\ud83d\ude00"}`, `{"a":1e999,"a":-0}`, `[[`, `{"a":[[1],[]]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		fields, err := web.FieldsOf(body)
		if err != nil {
			return
		}
		require.Zero(t, len(fields)%2)
		require.NotEmpty(t, fields)
		texts := make([][]byte, len(fields))
		for i, text := range fields {
			if texts[i] = []byte(text); i%2 == 0 && (strings.HasSuffix(text, "_base64") || text == "message" || !utf8.ValidString(text)) {
				return // another field may have the same member
			}
		}
		var m, again entries.Message
		m.ResetTexts(texts)
		fields, err = web.FieldsOf(m.Payload())
		require.NoError(t, err, "%s", m.Payload())
		texts = texts[:0]
		for _, text := range fields {
			texts = append(texts, []byte(text))
		}
		again.ResetTexts(texts)
		require.Equal(t, string(m.Payload()), string(again.Payload()), "%s", body)
	})
}
