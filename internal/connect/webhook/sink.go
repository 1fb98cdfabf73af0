package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/conchmq/conch/internal/connect"
)

const (
	maxPause   = 5 * time.Minute // that Retry-After can demand
	maxAnswer  = 64 << 10        // what is read of an answer, for the connection to be used again
	answerTime = time.Second     // for that: the status is known by then
)

// sink posts messages to a URL: each one alone, or a batch as a JSON array.
type sink struct {
	address    connect.Address
	url        *url.URL
	array      bool
	key        []byte // nil: nothing is signed
	token      string // of the header Authorization, without a user in the URL
	client     *http.Client
	lastReason string // of the last refusal

	taken     map[string]bool // ids of a batch whose Write has failed: they are not posted again
	notBefore time.Time       // no request comes earlier: the server has demanded that
}

func newSink(a connect.Address) (connect.Sink, error) {
	s := &sink{address: a, token: a.Take("conch-token")}
	if a.URL.Host == "" {
		return nil, errors.New("the address needs a host: https://example.com/path")
	}
	switch a.Take("conch-format") {
	case "", "one":
	case "array":
		s.array = true
	default:
		return nil, errors.New("conch-format is one, for a request for each message, or array, for a JSON array of many")
	}
	timeout, err := a.TakeDuration("conch-timeout", 30*time.Second)
	if err != nil {
		return nil, err //nolint:wrapcheck // of this project
	}
	if s.key, err = parseKey(a.Take("conch-secret")); err != nil {
		return nil, err
	}
	u := *a.URL
	u.User, u.RawQuery = nil, a.Query.Encode() // what is left is the other server's
	clear(a.Query)
	s.url = &u
	s.taken = make(map[string]bool)
	s.client = &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s, nil
}

// Connect makes a pool of connections, and tries one: so a server that is away shows before the first message. It waits for as long as the
// server has demanded, over several attempts if need be.
func (s *sink) Connect(ctx context.Context) error {
	if err := s.awaitPause(ctx); err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	s.client.Transport = transport
	if proxy, _ := http.ProxyFromEnvironment(&http.Request{URL: s.url}); proxy != nil {
		return nil // the proxy connects
	}
	port := s.url.Port()
	if port == "" {
		port = s.url.Scheme // net knows both
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(s.url.Hostname(), port))
	if err != nil {
		return err //nolint:wrapcheck // names the address
	}
	return conn.Close() //nolint:wrapcheck // nothing was written
}

// Write posts a batch. Of an array that is refused it posts each message again, alone, to find those that are the reason.
func (s *sink) Write(ctx context.Context, batch []connect.Message) error {
	var refused connect.Refusals
	if s.array && len(batch) > 1 {
		ok, err := s.post(ctx, batch)
		if ok || err != nil {
			return err
		}
	}
	for i := range batch {
		if s.taken[batch[i].ID] {
			continue
		}
		ok, err := s.post(ctx, batch[i:i+1])
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d messages were posted in time, the others follow: %w", len(s.taken), len(batch), context.Cause(ctx))
		}
		if err != nil {
			return err // those before it come again, and are known
		}
		if ok {
			s.taken[batch[i].ID] = true
		} else {
			refused.Add(i, errors.New(s.lastReason))
		}
	}
	clear(s.taken)
	return refused.Err() //nolint:wrapcheck // of this project
}

// post sends one request. ok is false if the server refuses what is in it.
func (s *sink) post(ctx context.Context, messages []connect.Message) (ok bool, err error) {
	request, err := s.request(ctx, messages)
	if err != nil {
		return false, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) { // it has the URL, whose query may have secrets
			err = wrapped.Err
		}
		return false, fmt.Errorf("POST: %w", err)
	}
	enough := time.AfterFunc(answerTime, func() { _ = response.Body.Close() })
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // the status is all that counts
	enough.Stop()
	_ = response.Body.Close()
	return s.evaluate(response)
}

// evaluate reads a status. 4xx is of the message, but for those that are of the address or of the time.
func (s *sink) evaluate(response *http.Response) (ok bool, err error) {
	status := response.StatusCode
	err = fmt.Errorf("the server answers %s", response.Status)
	switch {
	case status >= 200 && status < 300:
		return true, nil
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		s.notBefore = time.Now().Add(pauseOf(response.Header.Get("Retry-After")))
		return false, err
	case status < 400, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusNotFound,
		status == http.StatusMethodNotAllowed, status == http.StatusProxyAuthRequired, status == http.StatusGone:
		return false, &connect.Permanent{Err: err}
	}
	s.lastReason = err.Error()
	return false, nil
}

// pauseOf is how long a server demands to wait, in seconds or until a date.
func pauseOf(text string) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return max(0, min(maxPause, time.Duration(min(seconds, 1<<20))*time.Second))
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, min(maxPause, time.Until(date)))
	}
	return 0
}

// awaitPause waits for the end of the pause that the server has demanded.
func (s *sink) awaitPause(ctx context.Context) error {
	pause := time.Until(s.notBefore)
	if pause <= 0 {
		return nil
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the server demands a pause until %s: %w", s.notBefore.UTC().Format(time.RFC3339), context.Cause(ctx))
	}
}

func (s *sink) request(ctx context.Context, messages []connect.Message) (*http.Request, error) {
	first := &messages[0]
	body, kind := first.Payload, "application/octet-stream"
	switch {
	case s.array:
		body, kind = appendArray(nil, messages), "application/json"
	case json.Valid(body):
		kind = "application/json"
	case utf8.Valid(body):
		kind = "text/plain; charset=utf-8"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the address cannot be requested: %w", errors.Unwrap(err))
	}
	request.Header.Set("Content-Type", kind)
	request.Header.Set("User-Agent", "conch")
	if user := s.address.URL.User; user != nil {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	} else if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	if !s.array {
		setHeader(request.Header, "Conch-Topic", first.Topic)
		for _, h := range first.Headers {
			setHeader(request.Header, "Conch-Header-"+h.Name, h.Value)
		}
	}
	s.sign(request.Header, first.ID, body)
	return request, nil
}

// setHeader adds a header, if HTTP can have it: a name of others may have bytes that no header has.
func setHeader(header http.Header, name, value string) {
	for _, text := range []string{name, value} {
		for i := range len(text) {
			if c := text[i]; c < ' ' || c == 0x7f {
				return
			}
		}
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || bytes.IndexByte([]byte(`()<>@,;:\"/[]?={}`), c) >= 0 {
			return
		}
	}
	header.Add(name, value)
}

func appendArray(dst []byte, messages []connect.Message) []byte {
	dst = append(dst, '[')
	for i := range messages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = messages[i].AppendJSON(dst)
	}
	return append(dst, ']')
}

// Close ends the idle connections.
func (s *sink) Close(context.Context) error {
	s.client.CloseIdleConnections()
	return nil
}
