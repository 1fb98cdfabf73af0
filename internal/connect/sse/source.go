package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/redirect"
)

const (
	queueBytes = 1 << 20
	patience   = 30 * time.Second // for the head of an answer
	partition  = "events"         // the one that there is
)

// source reads the events of one URL.
type source struct {
	address connect.Address
	url     *url.URL
	token   string
	last    string // the id that Read has come to, for the next connection

	client *http.Client
	queue  *connect.Queue
	cancel context.CancelFunc
	tasks  sync.WaitGroup // the goroutine that reads the answer; Close waits for it
}

func newSource(a connect.Address) (connect.Source, error) {
	s := &source{address: a, token: a.Take("conch-token")}
	if a.URL.Host == "" {
		return nil, errors.New("the address needs a host: sse+https://example.com/events")
	}
	u := *a.URL
	u.Scheme = strings.TrimPrefix(u.Scheme, "sse+")
	u.User, u.RawQuery = nil, a.Query.Encode() // what is left is the other server's
	clear(a.Query)
	s.url = &u
	return s, nil
}

// Connect requests the events behind the last one that conch has.
func (s *source) Connect(ctx context.Context, start connect.Start) error {
	last := s.last
	if start.Durable { // what was read and did not take effect comes again
		last = start.Positions[partition]
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = patience
	s.client = &http.Client{Transport: transport, CheckRedirect: redirect.Follow}
	running, cancel := context.WithCancel(context.Background())
	s.queue, s.cancel = connect.NewQueue(queueBytes), cancel
	request, err := s.request(running, last)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, cancel) // ctx ends the attempt, and not the connection
	response, err := s.client.Do(request)
	if !stop() && err == nil {
		_ = response.Body.Close() // ctx has ended it
		return context.Cause(ctx)
	}
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) { // it has the URL, whose query may have secrets
			err = wrapped.Err
		}
		return fmt.Errorf("GET: %w", err)
	}
	if err := checkAnswer(response); err != nil {
		_ = response.Body.Close() // nothing was read that matters
		return err
	}
	s.tasks.Go(func() {
		defer func() { _ = response.Body.Close() }() // its end is that of the connection
		s.queue.End(s.read(running, response.Body, last))
	})
	return nil
}

func (s *source) request(ctx context.Context, last string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("the address cannot be requested: %w", errors.Unwrap(err))
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("User-Agent", "conch")
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	if user := s.address.URL.User; user != nil {
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	} else if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	return request, nil
}

// checkAnswer returns why an answer has no events. 5xx, 408 and 429 are of the time, all else stays.
func checkAnswer(r *http.Response) error {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.StatusCode == http.StatusOK && kind == "text/event-stream":
		return nil
	case r.StatusCode == http.StatusOK:
		return &connect.Permanent{Err: fmt.Errorf("the answer is %.60q, not text/event-stream", kind)}
	}
	err := fmt.Errorf("the server answers %s", r.Status)
	if r.StatusCode >= 500 || r.StatusCode == http.StatusRequestTimeout || r.StatusCode == http.StatusTooManyRequests {
		return err
	}
	return &connect.Permanent{Err: err}
}

// read queues events until the answer ends.
func (s *source) read(ctx context.Context, from io.Reader, last string) error {
	p := &parser{lines: connect.NewLines(from, s.address.Limit+len("data: ")), limit: s.address.Limit, id: last}
	for {
		event, err := p.next()
		if errors.Is(err, io.EOF) {
			return errors.New("the server has ended the events")
		}
		if err != nil {
			return err
		}
		err = s.queue.Put(ctx, connect.Message{
			Payload: event.data, Meta: map[string]string{"event": event.name}, ID: event.id, Partition: partition, Position: p.id,
		})
		if err != nil {
			return err //nolint:wrapcheck // the end of the connection
		}
	}
}

// Read takes what was read ahead.
func (s *source) Read(ctx context.Context) (connect.Batch, error) {
	taken, err := s.queue.Take(ctx)
	if err != nil {
		return connect.Batch{}, err //nolint:wrapcheck // of the connection, or of ctx
	}
	s.last = taken[len(taken)-1].Position
	return connect.Batch{Messages: taken}, nil
}

// Close ends the connection.
func (s *source) Close(context.Context) error {
	if s.cancel != nil {
		s.cancel()
	}
	s.tasks.Wait()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
	return nil
}
