package log

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/conchmq/conch/internal/testseed"
	"github.com/stretchr/testify/require"
)

var (
	crashRuns = flag.Int("crash.runs", 300, "how many crashes")
	crashSeed = flag.Uint64("crash.seed", 0, "the seed of the first run; 0: any")
)

// lives is a log that crashes again and again, and what must be left of it.
type lives struct {
	rng  *rand.Rand
	disk *disk
	o    Options
	l    *Log

	life   uint64
	first  uint64   // the number of the first of records
	model  []Record // what was appended, in the files' order
	synced uint64   // what must be left behind a crash
	// cached is what must be left if the process alone ended.
	cached uint64
	// cutting is the number from which on the tail was being cut when the machine went off; 0: none.
	cutting uint64
	reset   uint64 // the number of a Reset that was under way; 0: none
	// head is what CutHead has confirmed, newHead what it may have stored.
	head, newHead uint64
	epochs        []Epoch
	newEpoch      *Epoch // what Begin was storing
	checkpoint    [2]int // the version that Replace has confirmed, and the one that it may have written
	clean         bool
	interrupted   int  // how many openings were cut off since the last that was not
	killed        bool // the process alone has ended before
	small         bool // this run changes the small files most
	// layers returns those of the next life; nil: files are plain.
	layers func(*rand.Rand) Layers

	mu       sync.Mutex // guards progress, which the log's goroutines report
	progress Progress
}

func (c *lives) last() uint64 { return c.first + uint64(len(c.model)) - 1 }

// keyOf is a key that a number names.
func keyOf(n byte) *Key { return &Key{path: fmt.Sprintf("key %d", n), secret: [keySize]byte{n}} }

// layerings are how the files of a log are stored, over all its lives.
var layerings = []struct {
	name   string
	layers func(*rand.Rand) Layers
}{
	{"plain", nil},
	{"compressed", func(rng *rand.Rand) Layers { return Layers{Compress: CompressS2 + Compression(rng.IntN(2))} }}, //nolint:gosec // 0 or 1
	{"encrypted", func(*rand.Rand) Layers { return Layers{Key: keyOf(1)} }},
	{"compressed and encrypted", func(*rand.Rand) Layers { return Layers{Compress: CompressZstd, Key: keyOf(1)} }},
	{"another in each life", func(rng *rand.Rand) Layers {
		keys := []*Key{nil, keyOf(1), keyOf(2)}
		return Layers{Compression(rng.IntN(3)), keys[rng.IntN(3)], keys[1:]} //nolint:gosec // below 3
	}},
}

// Whatever a crash leaves: what was promised is there, in its order, once, and nothing else.
func TestCrashes(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = testseed.New()
	}
	for _, test := range layerings {
		t.Run(test.name, func(t *testing.T) {
			crashes := 0
			for i := range *crashRuns {
				seed := seed + uint64(i)
				n, problem := crashRunOver(seed, "", test.layers)
				require.Empty(t, problem, "-crash.seed %d -crash.runs 1", seed)
				crashes += n
			}
			t.Logf("seed %d: %d runs with %d crashes", seed, *crashRuns, crashes)
		})
	}
}

// crashRun lives several lives on one disk. It returns how many ended by a crash, and what was wrong.
func crashRun(seed uint64, ignored string) (crashes int, problem string) {
	return crashRunOver(seed, ignored, nil)
}

func crashRunOver(seed uint64, ignored string, layers func(*rand.Rand) Layers) (crashes int, problem string) {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := &lives{rng: rng, disk: newDisk(), first: 1, head: 1, newHead: 1, layers: layers}
	c.disk.ignored, c.small = ignored, rng.IntN(6) == 0
	fsyncs := []Fsync{Always, Always, No, 1e6, 1e9}
	c.o = Options{
		Files: c.disk, Fsync: fsyncs[rng.IntN(len(fsyncs))], SegmentSize: 4096 << rng.IntN(3), Recent: 1,
		Progress: func(p Progress) {
			c.mu.Lock()
			c.progress = p
			c.mu.Unlock()
		},
	}
	defer func() {
		if c.l != nil {
			_ = c.l.Close() // the last life is of no interest
		}
	}()
	for range 2 + rng.IntN(4) {
		if problem := c.open(); problem != "" {
			return crashes, fmt.Sprintf("%s (policy %v, life %d)", problem, c.o.Fsync, c.life)
		}
		if c.l != nil {
			c.live()
		}
		if c.end() {
			crashes++
		}
	}
	problem = c.open()
	return crashes, problem
}

// open opens the log, and compares what is there with what must be. The machine may go off meanwhile; then there is no log.
func (c *lives) open() string {
	c.life++
	if c.life > 1 && c.rng.IntN(4) == 0 {
		c.disk.stopAt = 1 + c.rng.IntN(6)
	}
	if c.layers != nil {
		c.o.Files = WithLayers(c.disk, c.layers(c.rng))
	}
	after := c.newHead - 1
	if c.cutting == 0 && c.reset == 0 && c.synced > after {
		after += c.rng.Uint64N(c.synced - after + 1)
	}
	var found []Record
	l, recovery, err := Open(c.o, after, collect(&found))
	if err != nil && c.reset > 0 && !c.disk.off { // the snapshot for which the log was reset is there
		after, found = c.reset-1, nil
		l, recovery, err = Open(c.o, after, collect(&found))
	}
	c.l = l
	if c.disk.off {
		c.interrupted++
		return ""
	}
	if err != nil {
		return fmt.Sprintf("opening failed: %v", err)
	}
	c.disk.stopAt = 0
	return c.compare(after, found, recovery)
}

// compare checks what was found, and makes it the model.
func (c *lives) compare(after uint64, found []Record, recovery Recovery) string {
	least, last := max(c.synced, c.cached), c.last()
	switch {
	case c.reset > 0 && recovery.Head == c.reset:
		c.first, c.model, c.newHead, c.head, least, last = c.reset, nil, c.reset, c.reset, c.reset-1, c.reset-1
	case c.cutting > 0:
		least = min(least, c.cutting-1)
	}
	m := recovery.Last
	switch {
	case len(recovery.Damages) > 0:
		return fmt.Sprintf("damage where nothing is damaged: %v", &recovery.Damages[0])
	case m < least:
		return fmt.Sprintf("record %d is the last, and %d was promised", m, least)
	case m > last:
		return fmt.Sprintf("record %d is the last, and %d the last one appended", m, last)
	case recovery.Head < c.head || recovery.Head > c.newHead:
		return fmt.Sprintf("the head is %d, not %d to %d", recovery.Head, c.head, c.newHead)
	// An opening that was cut off has let the last segment grow again; one with another key, cut off too, has half an index behind it.
	case c.clean && (!recovery.Clean && (c.layers == nil || c.interrupted < 2) || m != last):
		return fmt.Sprintf("a clean stop at %d is not there: %+v", last, recovery)
	}
	c.model = c.model[:m+1-c.first]
	if after < m {
		want := c.model[max(after+1, c.first)-c.first:]
		if len(want)+len(found) > 0 && !reflect.DeepEqual(want, found) {
			return fmt.Sprintf("other records than those that were appended behind %d: %s", after, difference(want, found))
		}
	} else if len(found) > 0 {
		return "a record that the checkpoint has was applied"
	}
	if problem := c.compareFiles(recovery); problem != "" {
		return problem
	}
	c.synced, c.cached, c.cutting, c.reset, c.clean, c.interrupted = m, 0, 0, 0, false, 0
	c.head, c.newHead = recovery.Head, recovery.Head
	c.progress = c.l.Progress()
	return ""
}

func difference(want, found []Record) string {
	for i := range min(len(want), len(found)) {
		if !reflect.DeepEqual(want[i], found[i]) {
			return fmt.Sprintf("want %d of %x, got %d of %x", want[i].Number, want[i].Payload[:8], found[i].Number, found[i].Payload[:8])
		}
	}
	return fmt.Sprintf("want %d, got %d", len(want), len(found))
}

// compareFiles checks the epochs and the checkpoint.
func (c *lives) compareFiles(recovery Recovery) string {
	if c.newEpoch != nil && len(recovery.Epochs) == len(c.epochs)+1 {
		c.epochs = append(c.epochs, *c.newEpoch)
	}
	c.newEpoch = nil
	if len(c.epochs) != len(recovery.Epochs) {
		return fmt.Sprintf("epochs are %v, not %v", recovery.Epochs, c.epochs)
	}
	for i, e := range c.epochs {
		if e.ID != recovery.Epochs[i].ID {
			return fmt.Sprintf("epochs are %v, not %v", recovery.Epochs, c.epochs)
		}
	}
	content, err := ReadFile(c.o.Files, "checkpoint")
	if err != nil && c.checkpoint[0] > 0 {
		return fmt.Sprintf("the checkpoint is gone: %v", err)
	}
	if err == nil {
		for version := c.checkpoint[0]; version <= c.checkpoint[1]; version++ {
			if bytes.Equal(content, checkpoint(version)) {
				c.checkpoint[0] = version
				return ""
			}
		}
		return fmt.Sprintf("the checkpoint is none of those that were written: %d bytes", len(content))
	}
	return ""
}

func checkpoint(version int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("checkpoint %d\n", version), 100))
}

// live appends and cuts until it has enough, or the machine goes off.
func (c *lives) live() {
	if c.killed && c.rng.IntN(2) == 0 { // what the operating system has kept must be on the disk now
		c.disk.mu.Lock()
		c.disk.stopAt = max(1, c.disk.steps)
		c.disk.mu.Unlock()
		return
	}
	if c.rng.IntN(3) > 0 {
		c.disk.mu.Lock()
		c.disk.stopAt = c.disk.steps + 1 + c.rng.IntN(5<<c.rng.IntN(5))
		c.disk.mu.Unlock()
	}
	if c.rng.IntN(2) == 0 {
		c.newEpoch = &Epoch{ID: c.rng.Uint64()}
		if c.l.Begin(c.newEpoch.ID, c.life) == nil {
			c.epochs, c.newEpoch = append(c.epochs, *c.newEpoch), nil
		}
	}
	for range c.rng.IntN(5 << c.rng.IntN(5)) {
		if c.l.Failed() != nil || !c.step() {
			return
		}
	}
}

// step does one thing. It returns false if that failed.
func (c *lives) step() bool {
	n := 20
	if c.small {
		n = 4
	}
	switch c.rng.IntN(n) {
	case 0:
		if c.l.Sync() != nil {
			return false
		}
		c.synced = c.last()
	case 1:
		return c.cutHead()
	case 2:
		return c.cutTail()
	case 3:
		c.checkpoint[1]++
		if Replace(c.o.Files, "checkpoint", func(w io.Writer) error {
			_, err := w.Write(checkpoint(c.checkpoint[1]))
			return err
		}) != nil {
			return false
		}
		c.checkpoint[0] = c.checkpoint[1]
	case 4:
		if c.rng.IntN(5) == 0 {
			return c.resetLog()
		}
	case 5:
		if c.o.Fsync == Always {
			return c.waitFor(c.last())
		}
	default:
		for range 1 + c.rng.IntN(4) {
			r := Record{Number: c.last() + 1, Term: c.life, Kind: byte(c.rng.IntN(MaxKind))}
			longest := 300
			if c.rng.IntN(20) == 0 {
				longest = 10_000
			}
			r.Payload = payload(c.rng, c.life, r.Number, longest)
			if c.l.AppendTerm(r.Term, r.Kind, r.Payload) == 0 {
				return false
			}
			c.model = append(c.model, r)
		}
	}
	return true
}

// waitFor waits until a record is promised, as a reply does.
func (c *lives) waitFor(number uint64) bool {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	for c.l.progress.Promised < number && c.l.progress.Err == nil {
		c.l.changed.Wait()
	}
	return c.l.progress.Err == nil
}

func (c *lives) cutHead() bool {
	number := c.head + c.rng.Uint64N(c.synced+2-c.head) // a checkpoint is there only of what was synced
	c.newHead = max(c.newHead, number)
	if c.l.CutHead(number) != nil {
		return false
	}
	c.head, c.synced = max(c.head, number), c.last()
	return true
}

func (c *lives) cutTail() bool {
	c.collectProgress()
	from := max(c.head, c.first)
	number := from + c.rng.Uint64N(c.last()+2-from)
	c.cutting = number
	if c.l.CutTail(number) != nil {
		return false
	}
	if number <= c.last() { // else there is nothing to cut, or to sync
		c.model, c.synced = c.model[:number-c.first], number-1
	}
	c.cutting = 0
	c.mu.Lock()
	c.progress = c.l.Progress()
	c.mu.Unlock()
	return true
}

func (c *lives) resetLog() bool {
	c.collectProgress()
	c.reset = c.last() + 1 + c.rng.Uint64N(5)
	if c.l.Reset(c.reset) != nil {
		return false
	}
	c.first, c.model, c.synced = c.reset, nil, c.reset-1
	c.head, c.newHead, c.reset = c.reset, c.reset, 0
	c.mu.Lock()
	c.progress = c.l.Progress()
	c.mu.Unlock()
	return true
}

// collectProgress notes what was promised by now.
func (c *lives) collectProgress() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced = max(c.synced, c.progress.Synced)
	if c.progress.Promised > c.synced && c.o.Fsync == Always {
		panic("promised, and not synced")
	}
}

// end stops the log, in one of the ways in which logs stop. It returns true if that was a crash.
func (c *lives) end() bool {
	if c.l != nil {
		closing := c.l.Close()
		c.clean = closing == nil
		if c.clean {
			c.synced = c.last()
		}
		if c.cutting == 0 && c.reset == 0 {
			c.collectProgress()
		}
	}
	c.killed = c.rng.IntN(3) == 0 || c.small && c.rng.IntN(2) == 0
	if c.killed {
		if c.cutting == 0 && c.reset == 0 && c.l != nil {
			c.mu.Lock()
			c.cached = c.progress.Written
			c.mu.Unlock()
		}
		c.disk.kill()
		return !c.clean
	}
	c.cached = 0
	c.disk.powerOff(c.rng)
	return !c.clean
}
