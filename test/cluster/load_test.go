//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/conchmq/conch/client"
)

// load is all that clients propose while the faults come. Topics p.… are plain, d.… durable, and s.… are streams.
type load struct {
	*nodes
	seed    uint64
	ledgers map[byte]*ledger // by the first letter of a topic
	clients []*client.Client
	group   *group

	ctx    context.Context // ends with stop
	stop   context.CancelFunc
	actors sync.WaitGroup
}

const (
	proposalTime = 10 * time.Second // more than a node takes
	longestPause = 12 * time.Millisecond
)

func newLoad(c *nodes, seed uint64) *load {
	l := &load{nodes: c, seed: seed, ledgers: map[byte]*ledger{'p': newLedger(), 'd': newLedger(), 's': newLedger()}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	for i := range count {
		l.clients = append(l.clients, c.connect(c.from(i)...))
	}
	return l
}

// begin starts the load: at each node, publishers of plain and durable topics, and appends with and without a key.
func (l *load) begin() error {
	l.group = newGroup(l)
	if err := l.group.begin(); err != nil {
		return err
	}
	for i, c := range l.clients {
		publish := func(ctx context.Context, topic, _, text string) (uint64, error) {
			p, err := c.Publish(ctx, topic, []byte(text))
			return p.Sequence, err
		}
		add := func(ctx context.Context, stream, _, text string) (uint64, error) {
			_, err := c.Append(ctx, stream, []client.Field{{Name: "message", Value: text}})
			return 0, err
		}
		addOnce := func(ctx context.Context, stream, id, text string) (uint64, error) {
			_, err := c.Append(ctx, stream, []client.Field{{Name: "message", Value: text}}, client.Idempotent("load", id))
			return 0, err
		}
		l.act(fmt.Sprint("plain", i), "p.0", publish)
		l.act(fmt.Sprint("other", i), fmt.Sprint("p.", i+1), publish)
		l.act(fmt.Sprint("durable", i), fmt.Sprint("d.", i%2), publish)
		l.act(fmt.Sprint("append", i), "s.0", add)
		l.act(fmt.Sprint("once", i), jobs, addOnce)
	}
	return nil
}

// act starts an actor: it proposes one after the other, and never proposes again what may have taken effect.
func (l *load) act(origin, topic string, propose func(ctx context.Context, topic, id, text string) (uint64, error)) {
	random, book := rand.New(rand.NewPCG(l.seed, uint64(len(origin)))), l.ledgers[topic[0]]
	l.actors.Go(func() {
		for n := 0; l.ctx.Err() == nil; n++ {
			id := fmt.Sprintf("%s-%d", origin, n)
			ctx, cancel := context.WithTimeout(context.Background(), proposalTime)
			sequence, err := propose(ctx, topic, id, payload(id, random.IntN(300)))
			cancel()
			book.note(origin, id, sequence, err)
			l.pause(time.Duration(random.Int64N(int64(longestPause))))
			if err != nil {
				l.pause(10 * longestPause)
			}
		}
	})
}

func (l *load) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-l.ctx.Done():
	}
}

// end ends what proposes, and waits for the outcomes.
func (l *load) end() {
	l.stop()
	l.actors.Wait()
}

// close ends all clients.
func (l *load) close() {
	l.end()
	if l.group != nil {
		l.group.end()
	}
	for _, c := range l.clients {
		_ = c.Close() // always nil
	}
}
