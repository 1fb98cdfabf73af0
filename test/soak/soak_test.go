//go:build soak

package soak

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/attack"
	"github.com/conchmq/conch/internal/faulty"
	"github.com/conchmq/conch/internal/testseed"
)

var (
	minutes = flag.Float64("minutes", 1, "how long")
	seed    = flag.Uint64("seed", 0, "seed of what is sent and of what goes wrong; 0 takes a new one")
	race    = flag.Bool("race-binary", false, "build the server with the race detector")

	given  = flag.String("binary", "", "a binary to test, instead of one that is built from the tree")
	binary string
)

// run is one soak.
type run struct {
	report *report
	seed   uint64
	target *target
	proxy  *faulty.Proxy
	web    *faulty.Proxy // in front of HTTP
	near   *island       // whose link comes and goes; nil without root
	far    *island       // from which peers vanish; nil without root

	attacks  chan struct{} // holds as many as run at once
	attacked sync.Map      // how often the scenario of a name was tried
	stops    atomic.Int64  // grows when the server is stopped, and when it goes on
}

func TestSoak(t *testing.T) {
	if *seed == 0 {
		*seed = testseed.New()
	}
	var kinds []string
	for _, f := range faulty.Faults() {
		kinds = append(kinds, f.String())
	}
	var points []string
	for _, a := range attack.Scenarios() {
		points = append(points, a.Point())
	}
	s := &run{
		report: newReport(rows(kinds, slices.Compact(points))), seed: *seed, attacks: make(chan struct{}, attacksAtOnce),
	}
	t.Logf("seed %d; again with: make soak MINUTES=%g SEED=%d", *seed, *minutes, *seed)
	s.build(t)
	s.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*minutes*float64(time.Minute)))
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM) // the places are taken away then, too
	defer stop()
	s.play(ctx)
	s.settle()
	for _, f := range faulty.Faults() {
		s.report.add(rowProxyPrefix+f.String(), s.proxy.Count(f)+s.web.Count(f))
	}
	wrong := s.report.write(os.Stdout, fmt.Sprintf("soak of %g minutes, seed %d", *minutes, *seed))
	assert.Empty(t, wrong)
}

// build builds the binary, unless one is given.
func (s *run) build(t *testing.T) {
	if *given != "" {
		binary = *given
		return
	}
	binary = filepath.Join(t.TempDir(), "conch")
	args := []string{"build", "-o", binary}
	if *race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "../..")...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// start makes the places, the server and the proxy.
func (s *run) start(t *testing.T) {
	host := "127.0.0.1"
	args := []string{
		"--log-format", "json",
		"--slow-hard", "1MiB", "--slow-soft", "1MiB", "--slow-time", "10s", "--drain-timeout", "2s",
		"--max-memory", fmt.Sprintf("%dMiB", maxMemory), "--recent", "4MiB", // less than a round
	}
	var err error
	if s.near, err = newIsland(0); err == nil {
		t.Cleanup(s.near.remove)
		s.far, err = newIsland(1)
	}
	if err == nil {
		t.Cleanup(s.far.remove)
		host = s.near.host
		args = append(args, "--protected-mode=false") // an address that nobody but this machine has a route to
	} else {
		s.near = nil
		s.report.skip(rowPartition, "skipped: "+err.Error())
		s.report.skip(rowVanished, "skipped: "+err.Error()+"; resets instead")
	}
	s.report.skip(rowWallClock, "not injected: it is the whole machine's")
	var secure []string
	if s.hasTLS() {
		args = append(args, certificate(t)...)
		secure = []string{"--tls-listen", host + ":0", "--https", host + ":0"}
	} else {
		s.report.skip(rowBadTLS, "skipped: the binary has no TLS")
		s.report.skip(rowEventsTwo, "skipped: the binary has no TLS")
	}
	users := filepath.Join(t.TempDir(), "users.acl")
	require.NoError(t, os.WriteFile(users, []byte(userRules), 0o600))
	socket := filepath.Join(t.TempDir(), "conch.sock")
	args = append(args, "--aclfile", users, "--unix-socket", socket)
	s.target = &target{report: s.report, args: args, socket: socket}
	first, err := launch(s.report, "", append(append([]string{host + ":0", "--http", host + ":0"}, args...), secure...)...)
	require.NoError(t, err)
	s.target.process = first
	t.Cleanup(func() { _ = s.target.current().cmd.Process.Kill() }) // it has ended, unless something went wrong
	s.proxy, err = faulty.Start(first.addr, func(number uint64) faulty.Plan { return faulty.Draw(s.seed, number) })
	require.NoError(t, err)
	t.Cleanup(s.proxy.Shut)
	s.web, err = faulty.Start(first.httpAddr, func(number uint64) faulty.Plan { return faulty.Draw(s.seed+1, number) })
	require.NoError(t, err)
	t.Cleanup(s.web.Shut)
}

// play lets everything happen at once, until the time is over, each kind of round has been played and each attack tried.
func (s *run) play(limit context.Context) {
	ctx, stop := context.WithCancel(context.Background())
	var actors sync.WaitGroup
	actors.Go(func() { s.measureStalls(ctx) })
	for _, a := range append(s.actors(), s.attackers()...) {
		for number := range a.count {
			rng := s.rng(a.name, number)
			actors.Go(func() {
				for ctx.Err() == nil && pause(ctx, a.every) {
					a.act(ctx, rng)
				}
			})
		}
	}
	for number := 0; number < len(roundKinds) || limit.Err() == nil || !s.attackedByAll(); number++ {
		s.round(number)
		s.report.add(rowRounds, 1)
	}
	stop()
	actors.Wait()
}

// settle waits until everybody has gone, holds the books against each other, and ends the server.
func (s *run) settle() {
	p := s.target.current()
	var info map[string]int64
	var err error
	alone := func() bool {
		info, err = inform(p.addr)
		return err == nil && info["connected_clients"] == 1
	}
	for deadline := time.Now().Add(patience); !alone(); {
		if time.Now().After(deadline) {
			s.report.fail("%d connections are left at the end; %v", info["connected_clients"]-1, err)
			break
		}
		pause(context.Background(), 100*time.Millisecond)
	}
	s.target.account(p)
	if matched, ok := info["messages_matched"]; ok {
		off := matched - info["messages_delivered"] - info["messages_dropped"] - info["messages_undelivered"]
		s.report.add(rowAccount, off)
	} else {
		s.report.skip(rowAccount, "not counted by this server")
	}
	peak := s.report.counts[rowPeak]
	if peak > memoryBound && !*race {
		s.report.fail("the server took %d MiB, more than %d: 1.5 × max-memory + 100", peak, memoryBound)
	}
	s.goroutines(p, info)
}

// maxGoroutines is what a server with one connection may have: a few of its own, and of the runtime.
const maxGoroutines = 50

// goroutines ends the server and counts what it still has: by INFO if that tells, otherwise by the dump that the runtime
// writes on SIGQUIT.
func (s *run) goroutines(p *process, info map[string]int64) {
	n, ok := info["goroutines"]
	if ok {
		if err := p.end(syscall.SIGTERM); err != nil {
			s.report.fail("conch ends with %v after SIGTERM", err)
		}
	} else {
		_ = p.end(syscall.SIGQUIT) // the status is that of a process that a signal has ended
		n = p.goroutines.Load()
		s.report.skip(rowGoroutines, "by SIGQUIT")
	}
	s.report.add(rowGoroutines, n)
	if n > maxGoroutines {
		s.report.fail("%d goroutines are left at the end", n)
	}
}

// hasTLS asks the binary.
func (s *run) hasTLS() bool {
	help, err := exec.Command(binary, "serve", "--help").CombinedOutput()
	return err == nil && strings.Contains(string(help), "--tls-listen")
}

// rng is the random source of one actor.
func (s *run) rng(name string, number int) *rand.Rand {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, name, number) // a hash takes everything
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// pause lets time pass, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
