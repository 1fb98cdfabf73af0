//go:build connect

package connect

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/testseed"
)

var (
	crashes   = flag.Int("crashes", 6, "how often conch or the other side is killed, for each system with positions")
	crashSeed = flag.Uint64("crash.seed", testseed.New(), "seed of the moments of these crashes")
)

// TestCrashes kills conch, the other side, or both at random moments while a source fills a durable topic, and a sink empties it. The topic is
// the same in the end as what the other side has: nothing is lost, nothing is there twice, and the order is the same.
func TestCrashes(t *testing.T) {
	eachWithPositions(t, func(t *testing.T, s *system, seed uint64) { newCrashRun(t, s, seed).play() })
}

// eachWithPositions runs a test for each system with positions, with a seed of its own.
func eachWithPositions(t *testing.T, play func(t *testing.T, s *system, seed uint64)) {
	startKafka(t)
	startNATS(t)
	startRedis(t)
	for i, s := range []*system{kafkaSystem(), jetStreamSystem(), redisSystem()} {
		t.Run(s.name, func(t *testing.T) {
			t.Logf("-crash.seed %d", *crashSeed)
			s.server.use(t)
			play(t, s, *crashSeed+uint64(i))
		})
	}
}

// otherSide is a system on its way through crashes, and what it has sent so far.
type otherSide struct {
	t       *testing.T
	random  *rand.Rand
	server  *server
	in, out lane
	sent    []string
}

func newOtherSide(t *testing.T, s *system, random *rand.Rand) otherSide {
	return otherSide{t: t, random: random, server: s.server, in: s.open(t), out: s.open(t)}
}

// put has the other side take n messages more.
func (o *otherSide) put(n int) {
	first := len(o.sent)
	for range n {
		o.sent = append(o.sent, fmt.Sprintf(`{"n":%d}`, len(o.sent)))
	}
	o.in.put(o.t, o.sent[first:]...)
}

// crashRun is one system on its way through its crashes and those of conch.
type crashRun struct {
	otherSide
	conch *conch
}

func newCrashRun(t *testing.T, s *system, seed uint64) *crashRun {
	r := &crashRun{otherSide: newOtherSide(t, s, rand.New(rand.NewPCG(seed, 0)))}
	batch := []string{"batch = 7", "batch = 64", "batch = 256"}[r.random.IntN(3)]
	r.conch = startConch(t, sourceTable("in", r.in.source, "d.crash", batch)+sinkTable("out", "d.crash", r.out.sink, batch))
	return r
}

func (r *crashRun) play() {
	for i := range *crashes {
		// A run may be as long as its kills need. One kill that does not come to its end ends it, with all stacks.
		stuck := time.AfterFunc(4*patience, func() {
			debug.SetTraceback("all")
			panic(fmt.Sprintf("%s: kill %d of %d takes longer than %s; -crash.seed %d", r.t.Name(), i+1, *crashes, 4*patience, *crashSeed))
		})
		r.crash(i)
		stuck.Stop()
	}
	defer func(before time.Duration) { patience = before }(patience)
	patience += time.Duration(*crashes) * time.Second // all that was sent is read now
	r.put(1)                                          // what comes twice after the last crash comes before it
	got := r.conch.awaitEntries("d.crash", len(r.sent))
	want := r.in.take(r.t, len(r.sent))
	assertAll(r.t, true, r.sent, got)
	assert.Equal(r.t, digest(want), digest(got), "the topic is what the other side has, in its order")
	assertAll(r.t, false, r.sent, r.out.take(r.t, len(r.sent)))
	r.conch.awaitBalance("in")
	r.conch.awaitBalance("out")
}

// crash kills conch, the other side, or both. Now and then the sink catches up first, so that what it has to send at the end does not grow with the
// number of kills.
func (r *crashRun) crash(i int) {
	if i%10 == 9 {
		r.conch.awaitConnector("out", "has caught up", func(a *account) bool { return a.State == "running" && a.Pending+a.Lag == 0 })
	}
	switch r.random.IntN(4) {
	case 0:
		r.killWhileWritten()
	case 1:
		r.putAndTake()
		r.conch.kill()
		r.start()
	case 2:
		r.putAndTake()
		r.server.kill()
		r.server.restart(r.t)
	default:
		r.putAndTake()
		r.conch.kill()
		r.server.kill()
		r.server.restart(r.t)
		r.start()
	}
}

// putAndTake returns a while after conch has begun to take what it puts.
func (r *crashRun) putAndTake() {
	before := r.conch.connector("in").Taken
	r.put(500 + r.random.IntN(2500))
	r.conch.awaitConnector("in", "takes some", func(a *account) bool { return a.Taken > before })
	<-time.After(r.moment())
}

// killWhileWritten kills conch while messages come to the other side.
func (r *crashRun) killWhileWritten() {
	killed := make(chan struct{})
	time.AfterFunc(r.moment(), func() { r.conch.kill(); close(killed) })
	r.put(500 + r.random.IntN(2500))
	<-killed
	r.start()
}

// start starts conch again, which may be killed on its way.
func (r *crashRun) start() {
	r.forget()
	if r.random.IntN(3) == 0 {
		r.conch.listening = make(chan struct{})
		if err := r.conch.start(); err != nil {
			r.t.Fatal(err)
		}
		<-time.After(2 * r.moment())
		r.conch.kill()
		r.forget()
	}
	r.conch.restart()
}

// forget has the other side end what the conch that was killed has left there.
func (r *crashRun) forget() {
	if r.in.forget != nil {
		r.in.forget(r.t)
	}
}

// moment is a random one: crashes come at any.
func (r *crashRun) moment() time.Duration {
	return time.Duration(r.random.IntN(60_000)) * time.Microsecond
}

// digest is that of payloads in their order.
func digest(payloads []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, p := range payloads {
		_, _ = fmt.Fprintf(h, "%d %s", len(p), p) // a hash never fails
	}
	return [sha256.Size]byte(h.Sum(nil))
}
