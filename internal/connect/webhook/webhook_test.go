package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/drivertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is the other side. It answers by the body, 200 if that names no status, and keeps what it accepts.
type receiver struct {
	url string

	mu       sync.Mutex // for handlers and the test
	accepted []string
	heads    []http.Header
	targets  []string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	user, password, _ := request.BasicAuth()
	switch text := string(body); {
	case user == "u" && password != "right":
		w.WriteHeader(http.StatusUnauthorized)
		return
	case strings.Contains(text, "poison"):
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	case strings.Contains(text, "busy"):
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case strings.Contains(text, "moved"):
		http.Redirect(w, request, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		return
	}
	r.accepted, r.heads, r.targets = append(r.accepted, string(body)), append(r.heads, request.Header), append(r.targets, request.RequestURI)
}

func TestEachMessageIsARequest(t *testing.T) {
	r := newReceiver(t)
	sink := drivertest.OpenSink(t, System, r.url+"/hook?x=1&conch-secret=s3")
	batch := drivertest.Numbers(0, 1000)
	batch[1].Payload = []byte("text")
	batch[2].Payload = []byte{0xff}
	batch[3].Headers = []connect.Header{{Name: "no name", Value: "1"}, {Name: "forged", Value: "a\r\nb: c"}, {Name: "fine", Value: "é"}}
	require.NoError(t, drivertest.Write(t, sink, batch))
	require.Len(t, r.accepted, 1000)
	for i, want := range []string{"application/json", "text/plain; charset=utf-8", "application/octet-stream"} {
		assert.Equal(t, want, r.heads[i].Get("Content-Type"))
	}
	assert.Equal(t, "/hook?x=1", r.targets[0])
	assert.Equal(t, "t", r.heads[0].Get("Conch-Topic"))
	assert.Equal(t, "0", r.heads[0].Get("Conch-Header-N"))
	assert.Equal(t, "é", r.heads[3].Get("Conch-Header-Fine"))
	assert.Empty(t, r.heads[3].Get("Conch-Header-Forged"))
	assert.Equal(t, "999", r.accepted[999])

	id, now, signed := r.heads[7].Get("Webhook-Id"), r.heads[7].Get("Webhook-Timestamp"), r.heads[7].Get("Webhook-Signature")
	assert.Equal(t, "id-7", id)
	assert.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(signature([]byte("s3"), id, now, []byte("7"))), signed)
}

// The example of the specification of Standard Webhooks.
func TestTheSignatureIsThatOfOthers(t *testing.T) {
	key, err := parseKey("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	sum := signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	assert.Equal(t, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", base64.StdEncoding.EncodeToString(sum))
	_, err = parseKey("whsec_no base64")
	assert.ErrorContains(t, err, "behind whsec_ stands the key in base64")
}

func TestABatchIsAnArray(t *testing.T) {
	r := newReceiver(t)
	sink := drivertest.OpenSink(t, System, r.url+"?conch-format=array")
	for i := 0; i < 10_000; i += 250 {
		require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(i, i+250)))
	}
	require.Len(t, r.accepted, 40)
	var messages []struct {
		Topic, ID, Payload string
		Headers            map[string]string
	}
	require.NoError(t, json.Unmarshal([]byte(r.accepted[39]), &messages))
	require.Len(t, messages, 250)
	assert.Equal(t, []string{"t", "id-9999", "9999", "9999"}, []string{
		messages[249].Topic, messages[249].ID, messages[249].Payload, messages[249].Headers["n"],
	})
}

func TestAMessageThatIsRefused(t *testing.T) {
	for _, format := range []string{"one", "array"} {
		r := newReceiver(t)
		sink := drivertest.OpenSink(t, System, r.url+"?conch-format="+format)
		batch := drivertest.Numbers(0, 5)
		batch[1].Payload, batch[4].Payload = []byte("poison 1"), []byte("poison 4")
		refused := (*connect.Refused)(nil)
		require.ErrorAs(t, drivertest.Write(t, sink, batch), &refused, format)
		assert.Equal(t, []int{1, 4}, refused.Indices)
		require.ErrorContains(t, refused, "422 Unprocessable Entity")
		assert.Len(t, r.accepted, 3)
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	r := newReceiver(t)
	permanent := (*connect.Permanent)(nil)
	err := drivertest.Write(t, drivertest.OpenSink(t, System, strings.Replace(r.url, "//", "//u:wrong@", 1)+"?conch-token=t0ken"), drivertest.Numbers(0, 1))
	require.ErrorAs(t, err, &permanent)
	assert.NotContains(t, err.Error(), "wrong")
	batch := drivertest.Numbers(0, 1)
	batch[0].Payload = []byte("moved")
	require.ErrorAs(t, drivertest.Write(t, drivertest.OpenSink(t, System, r.url), batch), &permanent)
	batch[0].Payload = []byte("busy")
	err = drivertest.Write(t, drivertest.OpenSink(t, System, r.url), batch)
	require.ErrorContains(t, err, "429 Too Many Requests")
	refused := (*connect.Refused)(nil)
	require.NotErrorAs(t, err, &refused)
	assert.NotErrorAs(t, err, new(*connect.Permanent))
}

func TestRetryAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "7": 7 * time.Second, "86400": maxPause, "99999999999999": maxPause,
		"Sat, 01 Jan 2000 00:00:10 GMT": 10 * time.Second, // the clock of a bubble begins at that midnight
		"Mon, 01 Jan 1990 00:00:00 GMT": 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			assert.Equal(t, want, pauseOf(text), text)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &sink{notBefore: start.Add(maxPause)}
		attempt, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		require.ErrorContains(t, s.awaitPause(attempt), "demands a pause until 2000-01-01T00:05:00Z")
		require.NoError(t, s.awaitPause(t.Context()))
		assert.Equal(t, maxPause, time.Since(start), "over several attempts")
	})
}

// A write that its time-out ends goes on with the next message: else a batch that takes longer would never end.
func TestAWriteGoesOnWhereItEnded(t *testing.T) {
	var got []string // the handlers', one at a time
	ctx, cancel := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		if got = append(got, string(body)); len(got) == 3 {
			cancel()
			<-request.Context().Done()
		}
	}))
	t.Cleanup(s.Close)
	sink := drivertest.OpenSink(t, System, s.URL)
	require.ErrorContains(t, sink.Write(ctx, drivertest.Numbers(0, 5)), "2 of 5 messages were posted in time")
	require.NoError(t, sink.Close(t.Context()))
	require.NoError(t, sink.Connect(t.Context()))
	require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(0, 5)))
	require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(0, 1)), "a batch that has ended is forgotten")
	assert.Equal(t, []string{"0", "1", "2", "2", "3", "4", "0"}, got)
}

// An answer that never ends, or is large without an end, delays no message for long: its status is known.
func TestAnAnswerWithoutAnEnd(t *testing.T) {
	for name, pieces := range map[string]int{"stalls": 1, "is large": -1} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
				_, _ = io.Copy(io.Discard, request.Body)
				for i := 0; i != pieces; i++ {
					if _, err := w.Write(make([]byte, 60<<10)); err != nil {
						return
					}
				}
				_ = http.NewResponseController(w).Flush()
				<-request.Context().Done()
			}))
			t.Cleanup(s.Close)
			sink := drivertest.OpenSink(t, System, s.URL+"?conch-timeout=1h")
			require.NoError(t, drivertest.Write(t, sink, drivertest.Numbers(0, 2)))
		})
	}
}

func TestWhatAnAddressNeeds(t *testing.T) {
	for text, wrong := range map[string]string{
		"https:///path":               "the address needs a host",
		"https://h?conch-format=two":  "conch-format is one",
		"https://h?conch-timeout=now": "conch-timeout is a duration",
		"https://h/p?any=thing":       "",
	} {
		a := drivertest.Address(t, System, text)
		_, err := newSink(a)
		if wrong == "" {
			require.NoError(t, err)
			assert.Empty(t, a.Query, "the rest is the other server's")
		} else {
			assert.ErrorContains(t, err, wrong)
		}
	}
	sink, err := newSink(drivertest.Address(t, System, "http://127.0.0.1:1"))
	require.NoError(t, err)
	require.Error(t, sink.Connect(t.Context()), "a server that is away")
	require.NoError(t, sink.Close(t.Context()))
}
