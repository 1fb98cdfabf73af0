package nats

import (
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answers are those of a stream to what one connection has published. The library's futures would take two channels and a timer for each
// message. A goroutine of the library adds answers; the sink's waits for them.
type answers struct {
	mu     sync.Mutex // guards the fields below
	came   int        // since the last await had its answers
	wanted int        // 0: nothing waits
	all    chan struct{}
	errors map[*nats.Msg]error
}

func newAnswers() *answers { return &answers{errors: make(map[*nats.Msg]error)} }

// taken is called for a message that the stream has kept.
func (a *answers) taken(jetstream.JetStream, *nats.Msg, *jetstream.PubAck) { a.add(nil, nil) }

// refused is called for one that it has not.
func (a *answers) refused(_ jetstream.JetStream, m *nats.Msg, err error) { a.add(m, err) }

func (a *answers) add(m *nats.Msg, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.errors[m] = err
	}
	a.came++
	a.check()
}

// await returns a channel that is closed once n answers have come.
func (a *answers) await(n int) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = make(chan struct{})
	if a.wanted = n; n == 0 {
		close(a.all)
	}
	a.check()
	return a.all
}

func (a *answers) check() {
	if a.wanted > 0 && a.came == a.wanted {
		a.came, a.wanted = 0, 0
		close(a.all)
	}
}

// take returns the errors among the answers.
func (a *answers) take() map[*nats.Msg]error {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.errors
	a.errors = make(map[*nats.Msg]error)
	return all
}
