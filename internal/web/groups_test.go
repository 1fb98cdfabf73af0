package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// ids is the body of a request about entries.
func ids(all ...string) string {
	text, err := json.Marshal(map[string][]string{"ids": all})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// startGroup is start with the stream jobs, which has the entries 1-0 to n-0, and its group workers.
func startGroup(t testing.TB, n int, o server.Options) *site {
	t.Helper()
	s := start(t, o, web.Options{})
	c := s.Dial(t)
	defer func() { _ = c.Close() }()
	for i := range n {
		s.xadd(c, "jobs", fmt.Sprintf("%d-0", i+1), "message", fmt.Sprint("job ", i+1))
	}
	require.Equal(t, http.StatusCreated, s.request("PUT", "/streams/jobs/groups/workers?mkstream=1", "").StatusCode)
	return s
}

const workers = "/streams/jobs/groups/workers"

// jobs are the lines of an answer with these entries.
func jobs(numbers ...int) (lines string) {
	for _, n := range numbers {
		lines += fmt.Sprintf(`{"event":"entry","stream":"jobs","id":"%d-0","payload":"job %d"}`+"\n", n, n)
	}
	return lines
}

// Groups are made once, listed, and deleted.
func TestGroups(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	s.expectProblem(s.request("GET", "/streams/jobs/groups", ""), http.StatusNotFound)
	a := s.request("PUT", workers, "")
	assert.Contains(t, s.expectProblem(a, http.StatusNotFound), "mkstream=1")
	a = s.request("PUT", workers+"?mkstream=1", "")
	require.Equal(t, http.StatusCreated, a.StatusCode)
	assert.JSONEq(t, `{"stream": "jobs", "group": "workers"}`, a.body)
	a = s.request("PUT", workers+"?mkstream=1", "")
	s.expectProblem(a, http.StatusConflict)
	assert.Equal(t, "BUSYGROUP", a.json["code"])
	c := s.Dial(t)
	s.xadd(c, "jobs", "1-0", "message", "x")
	s.xadd(c, "jobs", "2-0", "message", "x")
	for after, lag := range map[string]int{"": 2, "0": 2, "1-0": 1, "%24": 0} {
		require.Equal(t, http.StatusCreated, s.request("PUT", "/streams/jobs/groups/from-"+after+"?after="+after, "").StatusCode)
		assert.Contains(t, s.request("GET", "/streams/jobs/groups", "").body, fmt.Sprintf(`"lag":%d`, lag))
		require.Equal(t, http.StatusNoContent, s.request("DELETE", "/streams/jobs/groups/from-"+after, "").StatusCode)
	}
	a = s.request("GET", "/streams/jobs/groups", "")
	assert.JSONEq(t, `{"stream": "jobs", "groups": [{"name": "workers", "consumers": 0, "pending": 0, "last-delivered-id": "0-0", "entries-read": 0, "lag": 2, "missed": 0}]}`, a.body)

	for _, query := range []string{"?after=x", "?after=MKSTREAM", "?mkstream=2"} {
		s.expectProblem(s.request("PUT", "/streams/jobs/groups/others"+query, ""), http.StatusBadRequest)
	}
	s.expectProblem(s.request("PUT", "/streams/jobs/groups/", ""), http.StatusBadRequest)
	s.expectProblem(s.request("PUT", "/streams//groups/a", ""), http.StatusBadRequest)
	require.Equal(t, http.StatusNoContent, s.request("DELETE", workers, "").StatusCode)
	s.expectProblem(s.request("DELETE", workers, ""), http.StatusNotFound)
	s.expectProblem(s.request("DELETE", "/streams/nosuch/groups/workers", ""), http.StatusNotFound)
}

// The life of an entry: it is delivered to one consumer, is pending, is released, claimed by another consumer, and acknowledged.
func TestAGroupAtWork(t *testing.T) {
	s := startGroup(t, 3, server.Options{})
	post := func(path, body string, options ...option) string {
		t.Helper()
		a := s.request("POST", workers+path, body, options...)
		require.Equal(t, http.StatusOK, a.StatusCode, a.body)
		return a.body
	}
	assert.Equal(t, jobs(1, 2), post("/read?consumer=ann&count=2", ""))
	assert.Equal(t, `{"entries":[`+strings.TrimSpace(jobs(3))+"]}\n", post("/read?consumer=bob", "", header("Accept", "application/json")))
	assert.Empty(t, post("/read?consumer=bob", ""), "nothing is new")
	assert.JSONEq(t, `{"entries": []}`, post("/read?consumer=bob&format=json", ""))

	assert.Equal(t, jobs(1, 2), post("/read?consumer=ann&after=0", ""), "what ann has, again")
	assert.Equal(t, jobs(2), post("/read?consumer=ann&after=1-0", ""))
	pending := s.request("GET", workers+"/pending?count=2", "")
	assert.Regexp(t, `^\{"pending":\[\{"id":"1-0","consumer":"ann","idle":\d+,"deliveries":2\},\{"id":"2-0","consumer":"ann","idle":\d+,"deliveries":3\}\],`+
		`"next":"\(2-0","more":true\}`, pending.body)
	pending = s.request("GET", workers+"/pending?from=(2-0", "")
	assert.Regexp(t, `^\{"pending":\[\{"id":"3-0","consumer":"bob","idle":\d+,"deliveries":1\}\],"next":"\(3-0","more":false\}`, pending.body)
	assert.Regexp(t, `"id":"3-0".*"next"`, s.request("GET", workers+"/pending?consumer=bob", "").body)
	assert.JSONEq(t, `{"pending":[],"next":"-","more":false}`, s.request("GET", workers+"/pending?idle=1h", "").body)

	assert.Equal(t, "{\"released\":1}\n", post("/release?as=silent&id=1-0&id=9-0", ""))
	released := s.request("GET", workers+"/pending?idle=1h", "")
	assert.JSONEq(t, `{"pending":[{"id":"1-0","consumer":null,"idle":null,"deliveries":1}],"next":"(1-0","more":false}`, released.body)
	claimed := post("/read?consumer=bob&claim=1h", "")
	assert.Regexp(t, `^\{"event":"entry","stream":"jobs","id":"1-0","idle":\d+,"deliveries":2,"payload":"job 1"\}\n$`, claimed)
	assert.Equal(t, jobs(2), post("/claim?consumer=bob&format=", ids("2-0", "9-0"), asJSON))
	assert.Empty(t, post("/claim?consumer=ann&idle=1h", ids("2-0"), asJSON))

	assert.Equal(t, "{\"acknowledged\":2}\n", post("/ack", ids("1-0", "3-0", "9-0"), asJSON))
	assert.Equal(t, "{\"acknowledged\":0}\n", post("/ack?id=1-0", ""))
	consumers := s.request("GET", workers+"/consumers", "")
	assert.Regexp(t, `^\{"consumers":\[\{"name":"ann","pending":0,"idle":\d+,"inactive":\d+\},\{"name":"bob","pending":1,"idle":\d+,"inactive":\d+\}\]\}`, consumers.body)
	assert.Equal(t, "{\"pending\":1}\n", s.request("DELETE", workers+"/consumers/bob", "").body)
	assert.Equal(t, "{\"pending\":0}\n", s.request("DELETE", workers+"/consumers/bob", "").body)
	assert.JSONEq(t, `{"pending":[],"next":"-","more":false}`, s.request("GET", workers+"/pending", "").body)
}

// An entry that was deleted while it was pending is shown to its consumer, and dropped by a claim.
func TestAPendingEntryThatIsDeleted(t *testing.T) {
	s := startGroup(t, 2, server.Options{})
	require.Equal(t, jobs(1, 2), s.request("POST", workers+"/read?consumer=ann", "").body)
	c := s.Dial(t)
	c.Command("XDEL", "jobs", "1-0")
	c.Expect(":1\r\n")
	history := s.request("POST", workers+"/read?consumer=ann&after=0", "")
	assert.Equal(t, `{"event":"entry","stream":"jobs","id":"1-0","deleted":true}`+"\n"+jobs(2), history.body)
	assert.Equal(t, jobs(2), s.request("POST", workers+"/claim?consumer=bob", ids("1-0", "2-0"), asJSON).body)
	assert.NotContains(t, s.request("GET", workers+"/pending", "").body, `"1-0"`)
}

// What is not to become pending does not.
func TestAReadWithoutPending(t *testing.T) {
	s := startGroup(t, 1, server.Options{})
	assert.Equal(t, jobs(1), s.request("POST", workers+"/read?consumer=ann&noack=1", "").body)
	assert.Contains(t, s.request("GET", workers+"/pending", "").body, `"pending":[]`)
}

// Names may have any bytes.
func TestNamesInGroups(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	path := "/streams/%FF%2F/groups/%2F%FE"
	a := s.request("PUT", path+"?mkstream=1", "")
	require.Equal(t, http.StatusCreated, a.StatusCode)
	assert.JSONEq(t, `{"stream_base64": "/y8=", "group_base64": "L/4="}`, a.body)
	require.Equal(t, http.StatusOK, s.request("POST", "/streams/%FF%2F", "x").StatusCode)
	a = s.request("POST", path+"/read?consumer=%FD+%2F", "")
	assert.Contains(t, a.body, `"stream_base64":"/y8="`)
	assert.Contains(t, s.request("GET", path+"/pending", "").body, `"consumer_base64":"/SAv"`)
	assert.Contains(t, s.request("GET", path+"/consumers", "").body, `"name_base64":"/SAv"`)
	assert.Contains(t, s.request("GET", "/streams/%FF%2F/groups", "").body, `"name_base64":"L/4="`)
	assert.Equal(t, "{\"pending\":1}\n", s.request("DELETE", path+"/consumers/%FD%20%2F", "").body)
	long := s.dial()
	long.Send("POST %s/read?consumer=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", "/streams/a/groups/b", strings.Repeat("x", 80<<10))
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, status(t, long))
}

func TestRefusedRequestsToGroups(t *testing.T) {
	s := startGroup(t, 1, server.Options{})
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, test := range map[string]struct {
		status     int
		path, body string
	}{
		"no consumer":                     {400, workers + "/read", ""},
		"no consumer to claim for":        {400, workers + "/claim?id=1-0", ""},
		"a body of a read":                {400, workers + "/read?consumer=ann", "x"},
		"no entry":                        {400, workers + "/read?consumer=ann&count=0", ""},
		"a wait that is no duration":      {400, workers + "/read?consumer=ann&wait=20", ""},
		"a wait below zero":               {400, workers + "/read?consumer=ann&wait=-1s", ""},
		"a wait that is too long":         {400, workers + "/read?consumer=ann&wait=10m1ms", ""},
		"a claim that is no duration":     {400, workers + "/read?consumer=ann&claim=x", ""},
		"another noack":                   {400, workers + "/read?consumer=ann&noack=x", ""},
		"what is no id":                   {400, workers + "/read?consumer=ann&after=x", ""},
		"another format":                  {400, workers + "/read?consumer=ann&format=xml", ""},
		"a group that does not exist":     {404, "/streams/jobs/groups/nosuch/read?consumer=ann", ""},
		"a stream that does not exist":    {404, "/streams/nosuch/groups/workers/read?consumer=ann", ""},
		"claims of no group":              {404, "/streams/jobs/groups/nosuch/claim?consumer=ann&id=1-0", ""},
		"a release of no group":           {404, "/streams/jobs/groups/nosuch/release?id=1-0", ""},
		"a release as something else":     {400, workers + "/release?id=1-0&as=x", ""},
		"no ids":                          {400, workers + "/ack", ids()},
		"too many ids":                    {400, workers + "/ack", ids(many...)},
		"an option among the ids":         {400, workers + "/claim?consumer=ann", ids("1-0", "FORCE")},
		"an option in the query":          {400, workers + "/claim?consumer=ann&id=1-0&id=JUSTID", ""},
		"an end of a range":               {400, workers + "/ack?id=-", ""},
		"an id that is too large":         {400, workers + "/ack?id=1-99999999999999999999", ""},
		"an id that is a number":          {400, workers + "/ack", `{"ids": [1]}`},
		"another member":                  {400, workers + "/ack", `{"ids": ["1-0"], "more": 1}`},
		"no object":                       {400, workers + "/ack", `["1-0"]`},
		"more than a JSON body may have":  {413, workers + "/ack", `{"ids": ["` + strings.Repeat("1", 1<<20) + `"]}`},
		"neither a body nor ids of XNACK": {400, workers + "/release", `{}`},
	} {
		t.Run(name, func(*testing.T) {
			var options []option
			if strings.HasPrefix(test.body, "{") || strings.HasPrefix(test.body, "[") {
				options = append(options, asJSON)
			}
			if test.body == "" && strings.Contains(test.path, "/ack") && !strings.Contains(test.path, "id=") {
				options = append(options, asJSON)
			}
			s.expectProblem(s.request("POST", test.path, test.body, options...), test.status)
		})
	}
	s.expectProblem(s.request("POST", workers+"/ack", "ids"), http.StatusUnsupportedMediaType)
	for _, path := range []string{
		workers + "/pending?count=1001", workers + "/pending?from=x", workers + "/pending?idle=x", workers + "/pending?count=0",
	} {
		s.expectProblem(s.request("GET", path, ""), http.StatusBadRequest)
	}
	for _, path := range []string{"/streams/jobs/groups/nosuch/pending", "/streams/nosuch/groups/workers/consumers", "/streams/jobs/groups/nosuch/consumers"} {
		s.expectProblem(s.request("GET", path, ""), http.StatusNotFound)
	}
	s.expectProblem(s.request("DELETE", "/streams/jobs/groups/nosuch/consumers/ann", ""), http.StatusNotFound)
	assert.Equal(t, jobs(1), s.request("POST", workers+"/read?consumer=ann", "").body, "nothing of this has an effect")
}

// fillable is a store with a disk or a memory that may be full.
type fillable struct {
	*store.Store
	diskIsFull, memoryIsFull atomic.Bool
}

func (f *fillable) Err() error {
	if f.diskIsFull.Load() {
		return errors.New("no space is left on the disk")
	}
	return nil
}

func (f *fillable) Room(bytes int) bool { return !f.memoryIsFull.Load() && f.Store.Room(bytes) }

// What the log does not take is not delivered. Acknowledgements are taken all the same.
func TestDeliveriesWithoutSpace(t *testing.T) {
	kept := &fillable{Store: openStore(t)}
	s := startGroup(t, 2, server.Options{Store: kept})
	require.Equal(t, jobs(1), s.request("POST", workers+"/read?consumer=ann&count=1", "").body)
	kept.diskIsFull.Store(true)
	a := s.request("POST", workers+"/read?consumer=ann", "")
	s.expectProblem(a, http.StatusInsufficientStorage)
	assert.Equal(t, "MISCONF", a.json["code"])
	s.expectProblem(s.request("PUT", "/streams/jobs/groups/others", ""), http.StatusInsufficientStorage)
	assert.Equal(t, "{\"acknowledged\":1}\n", s.request("POST", workers+"/ack?id=1-0", "").body, "an acknowledgement frees space")
	kept.diskIsFull.Store(false)

	kept.memoryIsFull.Store(true)
	a = s.request("POST", workers+"/read?consumer=ann", "")
	s.expectProblem(a, http.StatusServiceUnavailable)
	assert.Equal(t, "OOM", a.json["code"])
	assert.Equal(t, "{\"acknowledged\":0}\n", s.request("POST", workers+"/ack?id=1-0", "").body)
	kept.memoryIsFull.Store(false)
	assert.Equal(t, jobs(2), s.request("POST", workers+"/read?consumer=ann", "").body, "nothing is lost")
}

// Half a body has no effect.
func TestHalfAnAcknowledgement(t *testing.T) {
	s := startGroup(t, 1, server.Options{})
	require.Equal(t, jobs(1), s.request("POST", workers+"/read?consumer=ann", "").body)
	for _, half := range []string{"Content-Length: 100\r\n\r\n" + ids("1-0"), "Transfer-Encoding: chunked\r\n\r\nf\r\n" + ids("1-0")} {
		c := s.dial()
		c.Send("POST %s/ack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s", workers, half)
		_ = c.Close()
	}
	s.await("the halves are gone", func() bool { return s.Service().Counts.Open.Load() == 0 })
	assert.Contains(t, s.request("GET", workers+"/pending", "").body, `"1-0"`)
	a := s.raw("POST " + workers + "/ack HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n" + ids("1-0"))
	assert.Equal(t, http.StatusBadRequest, a.StatusCode, "the length cuts the body off")
}

// Ten thousand entries are acknowledged by one request.
func TestTenThousandAcknowledgements(t *testing.T) {
	const n = 10_000
	s := startGroup(t, 0, server.Options{})
	c := s.Dial(t)
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%d-1", i+1)
		c.Send("XADD jobs %s m x\n", all[i])
	}
	for _, id := range all {
		c.Expect(fmt.Sprintf("$%d\r\n%s\r\n", len(id), id))
	}
	a := s.request("POST", workers+"/read?consumer=ann&count=20000", "")
	assert.Equal(t, n, strings.Count(a.body, "\n"))
	assert.Equal(t, fmt.Sprintf("{\"acknowledged\":%d}\n", n), s.request("POST", workers+"/ack", ids(all...), asJSON).body)
	assert.Contains(t, s.request("GET", workers+"/pending", "").body, `"pending":[]`)
}
