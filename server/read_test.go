package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/internal/store"
	"github.com/conchmq/conch/internal/testseed"
	"github.com/conchmq/conch/server"
)

var readSeed = flag.Uint64("read.seed", 0, "the seed of the model test of READ; 0 takes a new one")

// modelEntry is an entry that was added.
type modelEntry struct {
	stream   string
	id       string
	sequence uint64
	price    int
	text     string
	gone     bool
}

func (e *modelEntry) String() string {
	return fmt.Sprintf("%s #%d %s price %d text %d", e.stream, e.sequence, e.id, e.price, len(e.text))
}

// readModel is a server with a directory, and the list of all entries in the order in which they were added.
type readModel struct {
	*harness.Conn
	t        *testing.T
	r        *rand.Rand
	dir      string
	store    *store.Store
	server   *harness.Server
	epochs   []string
	sequence uint64
	all      []*modelEntry
}

func (m *readModel) start() {
	m.t.Helper()
	s, err := store.Open(store.Options{Dir: m.dir, SegmentSize: store.MinSegmentSize, CheckpointEvery: 100_000})
	require.NoError(m.t, err)
	require.Equal(m.t, m.sequence, s.Sequence())
	m.store, m.epochs = s, append(m.epochs, s.Epoch())
	m.server = harness.Start(m.t, server.Options{Store: s, Epoch: s.Epoch(), Sequence: s.Sequence(), Resolve: s.Resolve})
	s.Start(m.server.Service())
	m.Conn = m.server.Dial(m.t)
}

func (m *readModel) stop() {
	m.t.Helper()
	require.NoError(m.t, m.Close())
	m.store.Stop()
	m.server.Stop()
	require.NoError(m.t, m.store.Close(m.sequence))
}

// change sends random commands in one write, and takes over what comes of them.
func (m *readModel) change(commands int) {
	m.t.Helper()
	var text strings.Builder
	var answers []func(reply string)
	for range commands {
		name := fmt.Sprintf("s%d", m.r.IntN(1+m.r.IntN(40)))
		switch m.r.IntN(60) {
		case 0:
			text.WriteString(harness.RESP("DEL", name))
			answers = append(answers, func(string) { m.trim(name, 0) })
		case 1:
			keep := m.r.IntN(30)
			text.WriteString(harness.RESP("XTRIM", name, "MAXLEN", strconv.Itoa(keep)))
			answers = append(answers, func(string) { m.trim(name, keep) })
		case 2, 3:
			text.WriteString(harness.RESP("PUBLISH", name, "plain"))
			answers = append(answers, func(string) { m.sequence++ })
		case 4, 5, 6:
			if len(m.all) == 0 {
				continue
			}
			e := m.all[m.r.IntN(len(m.all))]
			text.WriteString(harness.RESP("XDEL", e.stream, e.id))
			answers = append(answers, func(string) { m.delete(e.stream, e.id) })
		default:
			e := &modelEntry{stream: name, price: m.r.IntN(100), text: strings.Repeat("x", m.r.IntN(600))}
			text.WriteString(harness.RESP("XADD", name, "*", "price", strconv.Itoa(e.price), "text", e.text))
			answers = append(answers, func(reply string) {
				m.sequence++
				e.id, e.sequence = reply, m.sequence
				m.all = append(m.all, e)
			})
		}
	}
	m.Send("%s", text.String())
	for _, answer := range answers {
		answer(m.value())
	}
}

// delete deletes an entry. A stream that was deleted and made anew may have the ids of the former one.
func (m *readModel) delete(name, id string) {
	for _, e := range m.all {
		if e.stream == name && e.id == id {
			e.gone = true
		}
	}
}

func (m *readModel) trim(name string, keep int) {
	for _, e := range slices.Backward(m.all) {
		if e.stream != name || e.gone {
			continue
		}
		if keep--; keep < 0 {
			e.gone = true
		}
	}
}

// value reads a reply that is no aggregate.
func (m *readModel) value() string {
	m.t.Helper()
	line := m.Line()
	if line[0] != '$' {
		require.NotEqual(m.t, byte('-'), line[0], line)
		return line[1:]
	}
	return m.Line()
}

// page reads the reply to a READ.
func (m *readModel) page() (next string, rows []string, end bool) {
	m.t.Helper()
	head := m.Line()
	require.Equal(m.t, "*3", head)
	next = m.value()
	n, err := strconv.Atoi(m.Line()[1:])
	require.NoError(m.t, err)
	for range n {
		require.Equal(m.t, "*4", m.Line())
		name, position, id := m.value(), m.value(), m.value()
		require.Equal(m.t, "*4", m.Line())
		var fields []string
		for range 4 {
			fields = append(fields, m.value())
		}
		epoch, number, _ := strings.Cut(position, "-")
		require.Equal(m.t, m.epochs[len(m.epochs)-1], epoch)
		require.Equal(m.t, fields[3], strings.Repeat("x", len(fields[3])))
		rows = append(rows, fmt.Sprintf("%s #%s %s %s %d", name, number, id, strings.Join(fields[:3], " "), len(fields[3])))
	}
	return next, rows, m.value() == "1"
}

// readAll reads page after page.
func (m *readModel) readAll(from []string, rest ...string) (rows []string) {
	m.t.Helper()
	for pages := 0; ; pages++ {
		require.Less(m.t, pages, 10_000)
		command := append(append([]string{"READ"}, rest[:1]...), from...)
		m.Command(append(command, rest[1:]...)...)
		next, more, end := m.page()
		rows = append(rows, more...)
		if end {
			require.Equal(m.t, fmt.Sprintf("%s-%d", m.epochs[len(m.epochs)-1], m.sequence+1), next)
			return rows
		}
		from = []string{"FROM", next}
	}
}

// want is what a READ shows, by the list.
func (m *readModel) want(from uint64, glob string, below int) (rows []string) {
	for _, e := range m.all {
		if !e.gone && e.sequence >= from && broker.Match(glob, []byte(e.stream)) && e.price < below {
			rows = append(rows, e.String())
		}
	}
	return rows
}

// check reads in all ways, and compares with the list.
func (m *readModel) check() {
	m.t.Helper()
	for range 6 {
		glob := []string{"*", "s*", "s1*", "s[0-3]", "s2", "s3", "none"}[m.r.IntN(7)]
		from, clause := uint64(0), []string(nil)
		switch m.r.IntN(4) {
		case 0:
			from = m.r.Uint64N(m.sequence + 2)
			clause = []string{"FROM", fmt.Sprintf("#%d", from)}
		case 1:
			from = m.r.Uint64N(m.sequence + 2)
			clause = []string{"FROM", fmt.Sprintf("%s-%d", m.epochs[m.r.IntN(len(m.epochs))], from)}
			if clause[1][:16] != m.epochs[len(m.epochs)-1] {
				from, clause = 0, []string{"FROM", "0"}
			}
		case 2:
			clause = []string{"FROM", "0"}
		}
		options := []string{glob, "COUNT", strconv.Itoa(1 + m.r.IntN(1+m.r.IntN(2000)))}
		below := 100
		if m.r.IntN(2) == 0 {
			below = m.r.IntN(100)
			options = append(options, "WHERE", fmt.Sprintf("price < %d", below))
		}
		require.Equal(m.t, m.want(from, glob, below), m.readAll(clause, options...), "%v %v", clause, options)

		last := 1 + m.r.IntN(1+m.r.IntN(300))
		want := m.want(0, glob, below)
		want = want[len(want)-min(len(want), last):]
		require.Equal(m.t, want, m.readAll([]string{"LAST", strconv.Itoa(last)}, options...), "LAST %d %v", last, options)
	}
}

// READ shows what a naive list shows: whatever was deleted, trimmed, or written again by stream, before a restart and behind it.
func TestReadAgainstAModel(t *testing.T) {
	seed := *readSeed
	if seed == 0 {
		seed = testseed.New()
	}
	t.Logf("replay with -read.seed %d", seed)
	m := &readModel{t: t, r: rand.New(rand.NewPCG(seed, 19)), dir: filepath.Join(t.TempDir(), "log")}
	for range 3 {
		m.start()
		m.check()
		for range 4 {
			for range 5 {
				m.change(200)
			}
			m.check()
		}
		m.stop()
	}
}
