//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"math/rand"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/require"
)

// conch and a real redis-server are sent the same random commands, and answer the same bytes, but for what this list
// allows. The reference is whatever redis-server is installed: Debian has 7.0, conch follows 7.2.
//
//   - Masked, being each server's own: client ids, versions, times, and in CLIENT LIST and CLIENT INFO the addresses, ages,
//     memory and the fields that 7.0 does not have.
//   - Up to 7.0 a subscriber that publishes to itself gets the message before the reply, and amid the array of EXEC;
//     from 7.2 on behind them. The reference's answers are put in 7.2's order.
//   - Unordered in Redis, compared as multisets: the confirmations of UNSUBSCRIBE and its kin without arguments, the
//     names that PUBSUB CHANNELS and SHARDCHANNELS list, the patterns' messages of one publish to one connection,
//     the lines of CLIENT LIST, and what different connections get.
//   - Behind Redis' text of a protocol error conch may name its own limit in brackets.
//
// Never sent, because the answers are meant to differ: conch's own verbs, commands of 7.2 that 7.0 does not know
// (CLIENT SETINFO, CLIENT NO-TOUCH), a HELLO that names the connection and then fails (7.0 keeps the name),
// CLIENT NO-EVICT ON (7.0 keeps it through RESET), unknown commands in a line (conch names HELP), keys and WATCH (differential_streams_test.go), HELP texts, INFO, CONFIG and COMMAND, a bulk string
// without its line end (Redis reads on, conch refuses it), bytes that do not print in words that errors quote (Redis sends
// them, up to a zero byte, conch shows them as \xNN), and CLIENT REPLY inside a transaction (Redis then sends torn arrays).

var (
	diffSeed  = flag.Int64("diff.seed", 1, "seed of the first sequence of the differential test; 0 takes one from the clock")
	diffSteps = flag.Int("diff.steps", 3000, "steps of the differential test")
	diffMost  = flag.Int("diff.most", 1, "differences to find before the differential test ends")
	diffOnly  = flag.String("diff.only", "", "families of commands to send, separated by commas; empty for all")
)

const stepsPerSequence = 40

// The harness is right if it finds nothing between two servers that are the same.
func TestRedisAnswersAsRedis(t *testing.T) {
	compareAtRandom(t, startRedis(t), startRedis(t), families, compose)
}

func TestConchAnswersAsRedis(t *testing.T) {
	c := start(t, "")
	subject := newServer(t, net.JoinHostPort(c.host, c.port))
	compareAtRandom(t, startRedis(t), subject, present(families), compose)
	c.stop()
}

func compareAtRandom(
	t *testing.T, reference, subject *server, from []family, compose func(*rand.Rand, []family) sequence,
) {
	t.Helper()
	seed := *diffSeed
	if seed == 0 {
		seed = int64(testseed.New())
	}
	seen := make(map[string]bool)
	for done := 0; done < *diffSteps && len(seen) < *diffMost; done += stepsPerSequence {
		s := compose(rand.New(rand.NewSource(seed)), asked(from))
		if d := compare(reference, subject, s); d != nil {
			s, d = shrink(reference, subject, s, d)
			if what := d.String(); !seen[what] {
				seen[what] = true
				t.Errorf("-diff.seed %d\n%s%s", seed, s, what)
			}
		}
		seed++
	}
}

// sequence is what is sent: steps over a few connections that are opened for it.
type sequence struct {
	conns int
	steps []step
}

// step is what one connection sends before all answers are compared.
type step struct {
	conn     int
	commands []command
	cut      int  // percent of the bytes that are written first, the rest later; 0 writes all at once
	alone    bool // left out while MULTI would queue it

	// What another connection sends while this one is blocked, or has its answer already.
	waker  int
	waking []command
}

func (s sequence) String() string {
	var b strings.Builder
	for _, step := range s.steps {
		fmt.Fprintf(&b, "conn %d:", step.conn)
		for _, c := range step.commands {
			fmt.Fprintf(&b, " %s", c)
		}
		if step.cut > 0 {
			fmt.Fprintf(&b, " (in two writes)")
		}
		if step.waking != nil {
			fmt.Fprintf(&b, "; meanwhile conn %d: %s", step.waker, step.waking)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// difference is what a connection got from the reference and from the subject in the last step that was compared.
type difference struct {
	step, conn int
	want, got  []frame
}

func (d *difference) String() string {
	return fmt.Sprintf("conn %d then gets\n  from the reference %q\n  from the subject   %q\n", d.conn, d.want, d.got)
}

// compare runs a sequence on both servers until their answers differ.
func compare(reference, subject *server, s sequence) *difference {
	want, got := reference.open(s.conns), subject.open(s.conns)
	defer want.close()
	defer got.close()
	for i, step := range s.steps {
		wanted, given := want.do(step), got.do(step)
		for conn := range wanted {
			text := fmt.Sprintf("%q", wanted[conn])
			if text != fmt.Sprintf("%q", given[conn]) || strings.Contains(text, nothingMore) {
				return &difference{step: i, conn: conn, want: wanted[conn], got: given[conn]}
			}
		}
	}
	return nil
}

// shrink leaves out what a difference does not need, as far as it gets in a while: a server that is silent costs time.
func shrink(reference, subject *server, s sequence, d *difference) (sequence, *difference) {
	began := time.Now()
	try := func(smaller []step) bool {
		if time.Since(began) > patience {
			return false
		}
		found := compare(reference, subject, sequence{s.conns, smaller})
		if found != nil {
			s.steps, d = smaller[:found.step+1], found
		}
		return found != nil
	}
	s.steps = s.steps[:d.step+1]
	for again := true; again; {
		again = false
		for i := len(s.steps) - 1; i >= 0; i-- {
			if i < len(s.steps) && try(without(s.steps, i)) {
				again = true
			}
		}
		for i := len(s.steps) - 1; i >= 0; i-- {
			for j := 0; i < len(s.steps) && j < len(s.steps[i].commands); j++ {
				if smaller := s.steps[i].less(j); smaller != nil && try(replaced(s.steps, i, *smaller)) {
					again = true
				}
			}
		}
	}
	return s, d
}

// less is the step without one of its commands; nil if that would change what it means.
func (s step) less(j int) *step {
	switch s.commands[j].verb() {
	case "MULTI", "EXEC", "DISCARD", "RESET", "CLIENT":
		return nil
	}
	if len(s.commands) == 1 || s.alone {
		return nil
	}
	s.commands = without(s.commands, j)
	return &s
}

func without[T any](all []T, i int) []T { return append(append([]T{}, all[:i]...), all[i+1:]...) }

func replaced(all []step, i int, s step) []step {
	all = append([]step{}, all...)
	all[i] = s
	return all
}

// startRedis runs redis-server on a free port.
func startRedis(t *testing.T, args ...string) *server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	require.NoError(t, err, "redis-server is not installed; see make e2e")
	_, port := freePort(t)
	cmd := exec.Command(path, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
	}, args...)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it keeps nothing
		_ = cmd.Wait()
	})
	awaitReady(t, out)
	return newServer(t, "127.0.0.1:"+port)
}
