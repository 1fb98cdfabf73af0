//go:build unix

package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/stream"
)

var openingEntries = flag.Int("opening.entries", 0, "how many entries TestOpening makes, opens again, and measures; 0 leaves it out")

// openingStep is the step and the directory of a process that TestOpening starts.
const openingStep = "CONCH_OPENING"

// entriesPerRecord and entrySize are what the log of TestOpening has.
const (
	entriesPerRecord = 100
	entrySize        = 100
)

// Opening takes at most 1.5 times of what reading the checkpoint takes, after a clean stop, and 5 times after a kill: this measures it. Each
// step is a process, because memory is measured, too.
func TestOpening(t *testing.T) {
	if step := os.Getenv(openingStep); step != "" {
		name, dir, _ := strings.Cut(step, " ")
		map[string]func(*testing.T, string){"build": buildForOpening, "open": measureOpening, "stop": stopCleanly}[name](t, dir)
		return
	}
	if *openingEntries == 0 {
		t.Skip("it measures; see -opening.entries")
	}
	dir := filepath.Join(t.TempDir(), "log")
	run := func(step string) string {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestOpening$", "-opening.entries", strconv.Itoa(*openingEntries))
		cmd.Env = append(os.Environ(), openingStep+"="+step+" "+dir)
		out, err := cmd.CombinedOutput()
		if step != "build" {
			assert.NoError(t, err, "%s", out)
		}
		text, _, _ := strings.Cut(string(out), "PASS")
		return strings.TrimSpace(text)
	}
	t.Log(run("build"))
	for range 3 {
		t.Log("after a kill: " + run("open"))
	}
	run("stop")
	for range 3 {
		t.Log("after a clean stop: " + run("open"))
	}
}

// buildForOpening appends entries to one stream, at 1,000 a second by their ids, and is killed.
func buildForOpening(t *testing.T, dir string) {
	s, err := Open(Options{Dir: dir, Fsync: FsyncNo})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	fields := [][]byte{[]byte("text"), make([]byte, entrySize-20)}
	now, at, sequence, written := s.Now(), 0.0, s.Sequence(), int64(0)
	c := new(stream.Change)
	start := time.Now()
	for range *openingEntries / entriesPerRecord {
		payload := []byte(nil)
		for range entriesPerRecord {
			at += r.ExpFloat64()
			sequence++
			c.Reset()
			c.Time, c.Sequence = now+int64(at), sequence
			_, err := s.Streams().PlanAdd(c, []byte("events"), &stream.AddOptions{Auto: true, Fields: fields})
			require.NoError(t, err)
			if payload == nil {
				payload = stream.BeginRecord(nil, c.Sequence, c.Time)
			}
			payload = stream.AppendChange(payload, c)
			s.Streams().Apply(c)
		}
		require.NotZero(t, s.Append(payload))
		if written += int64(len(payload)); written >= checkpointEvery {
			written = 0
			require.NoError(t, s.checkpoints.write(func(f func()) bool { f(); return true }))
		}
	}
	require.NoError(t, s.log.Sync())
	_, _ = fmt.Fprintf(os.Stdout, "%d entries in %.0f s, %d bytes of the last changes are in no checkpoint, %s\n",
		*openingEntries, time.Since(start).Seconds(), written, memoryOfProcess())
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
}

func stopCleanly(t *testing.T, dir string) {
	s, err := Open(Options{Dir: dir, Fsync: FsyncNo})
	require.NoError(t, err)
	require.NoError(t, s.Close(s.Sequence()))
}

// measureOpening opens the store, beside a read of the checkpoint into new memory. What the process has afterwards is killed with it.
func measureOpening(t *testing.T, dir string) {
	names, err := filepath.Glob(filepath.Join(dir, "checkpoint-*"))
	require.NoError(t, err)
	size := 0
	start, rawUsed := time.Now(), cpu()
	for _, name := range names {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		size += len(b)
	}
	raw := time.Since(start)
	rawUsed = cpu() - rawUsed
	runtime.GC()
	used := cpu()
	start = time.Now()
	s, err := Open(Options{Dir: dir, Fsync: FsyncNo})
	opening := time.Since(start)
	used = cpu() - used
	require.NoError(t, err)
	st := s.Streams().Lookup([]byte("events"))
	require.Equal(t, uint64(*openingEntries), st.EntriesAdded())
	_, _ = fmt.Fprintf(os.Stdout, "%d checkpoints of %d bytes read in %d ms (of the processor %d), opened in %d (%d): %.1f times; %s\n", len(names), size,
		raw.Milliseconds(), rawUsed.Milliseconds(), opening.Milliseconds(), used.Milliseconds(), opening.Seconds()/raw.Seconds(), memoryOfProcess())
	require.NoError(t, s.log.Close())
}

// cpu is the time of the processor that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for a wrong argument alone
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memoryOfProcess describes the memory of this process.
func memoryOfProcess() string {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	resident := "unknown"
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				resident = strings.TrimSpace(text)
			}
		}
	}
	return fmt.Sprintf("heap %d MiB, resident %s", stats.HeapAlloc>>20, resident)
}
