package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// machine is a folder on a machine that goes off: of each file, and of each name, what was not synced by then is kept or lost at random.
type machine struct {
	durable, names map[string]*node
	left           int    // calls until it goes off
	ignored        string // a call of a sync that does nothing: file:line
	syncs          map[string]bool
}

type node struct{ durable, current []byte }

var errOff = fmt.Errorf("the machine is off: %w", syscall.EIO)

// newMachine makes a machine on which a folder is durable.
func newMachine(t *testing.T, folder string, left int) *machine {
	t.Helper()
	m := &machine{durable: make(map[string]*node), left: left, syncs: make(map[string]bool)}
	for name, text := range content(t, folder) {
		m.durable[name] = &node{[]byte(text), []byte(text)}
	}
	m.names = maps.Clone(m.durable)
	return m
}

func (m *machine) step() error {
	if m.left--; m.left < 0 {
		return errOff
	}
	return nil
}

// isIgnored notes the call of a sync in this package or in log, and reports whether it is to do nothing.
func (m *machine) isIgnored() bool {
	for skip := 2; ; skip++ {
		_, file, line, ok := runtime.Caller(skip)
		if !ok {
			return false
		}
		if at := fmt.Sprintf("%s:%d", filepath.Base(file), line); !strings.HasSuffix(file, "_test.go") {
			m.syncs[at] = true
			return at == m.ignored
		}
	}
}

// crash writes what is left to a folder.
func (m *machine) crash(t *testing.T, r *rand.Rand, folder string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(folder))
	require.NoError(t, os.Mkdir(folder, 0o700))
	left := make(map[string]*node)
	for _, name := range slices.Sorted(maps.Keys(m.durable)) {
		left[name] = m.durable[name]
	}
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if r.IntN(2) == 0 {
			left[name] = m.names[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		if m.names[name] == nil && r.IntN(2) == 0 {
			continue // its removal has come through
		}
		b := left[name].durable
		if r.IntN(2) == 0 {
			b = left[name].current
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), b, 0o600))
	}
}

func (m *machine) List() ([]string, error) { return slices.Sorted(maps.Keys(m.names)), nil }

func (m *machine) Create(name string, _ int64) (log.File, error) {
	if err := m.step(); err != nil {
		return nil, err
	}
	m.names[name] = new(node)
	return &machineFile{m.names[name], m}, nil
}

func (m *machine) Open(name string) (log.File, error) {
	if m.names[name] == nil {
		return nil, fs.ErrNotExist
	}
	return &machineFile{m.names[name], m}, nil
}

func (m *machine) Rename(from, to string) error {
	if err := m.step(); err != nil {
		return err
	}
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *machine) Remove(name string) error {
	if err := m.step(); err != nil {
		return err
	}
	delete(m.names, name)
	return nil
}

func (m *machine) SyncDir() error {
	if err := m.step(); err != nil {
		return err
	}
	if !m.isIgnored() {
		m.durable = maps.Clone(m.names)
	}
	return nil
}

func (m *machine) Close() error { return nil }

type machineFile struct {
	*node
	machine *machine
}

func (f *machineFile) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(f.current).ReadAt(p, at)
}

func (f *machineFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.machine.step(); err != nil {
		return 0, err
	}
	b := make([]byte, max(len(f.current), int(at)+len(p))) // durable stays as it is
	copy(b, f.current)
	f.current = b
	return copy(f.current[at:], p), nil
}

func (f *machineFile) Sync() error {
	if err := f.machine.step(); err != nil {
		return err
	}
	if !f.machine.isIgnored() {
		f.durable = f.current
	}
	return nil
}

func (f *machineFile) Size() (int64, error) { return int64(len(f.current)), nil }
func (f *machineFile) Truncate(int64) error { return io.ErrUnexpectedEOF }
func (f *machineFile) Allocate(int64) error { return io.ErrUnexpectedEOF }
func (f *machineFile) Close() error         { return nil }

// crashes runs a second backup into a folder until the machine goes off behind each of its calls, some times each. It returns what is wrong with
// the folder then: it must have the first backup or the second, whole. Without a fault, the next backup is whole, too.
func crashes(t *testing.T, ignored string) (wrong string, syncs map[string]bool) {
	t.Helper()
	f := newFixture(t)
	f.unlinked = true
	for i := range 3 {
		f.write(fmt.Sprintf("%020d.log", i+1), random(1000, uint64(i))) //nolint:gosec // few
	}
	_, err := f.backUp(Options{})
	require.NoError(t, err)
	first, before := filepath.Join(t.TempDir(), "first"), content(t, f.dir)
	require.NoError(t, os.CopyFS(first, os.DirFS(f.folder)))
	f.write("00000000000000000002.log", random(500, 9))
	f.write("00000000000000000004.log", random(2000, 10))
	require.NoError(t, os.Remove(filepath.Join(f.dir, "00000000000000000001.log")))
	after := content(t, f.dir)
	for left, isDone := 0, false; !isDone; left++ {
		for seed := range uint64(8) {
			m := newMachine(t, first, left)
			m.ignored = ignored
			_, err := f.backUp(Options{files: m})
			isDone, syncs = err == nil, m.syncs
			m.crash(t, rand.New(rand.NewPCG(seed, uint64(left))), f.folder) //nolint:gosec // few
			if wrong = f.is(before, after); wrong != "" {
				return fmt.Sprintf("%d calls, seed %d: %s", left, seed, wrong), syncs
			}
			if ignored == "" && seed == 0 {
				_, err = f.backUp(Options{})
				require.NoError(t, err)
				require.Equal(t, after, f.restore())
			}
		}
	}
	return "", syncs
}

// is returns what is wrong if the folder has none of two backups.
func (f *fixture) is(before, after map[string]string) string {
	m, err := Read(f.folder)
	if err != nil {
		return err.Error()
	}
	got := make(map[string]string)
	for i := range m.Files {
		file := &m.Files[i]
		if err := readSummed(context.Background(), f.folder, file, func(p []byte, _ int64) error {
			got[file.Name] += string(p)
			return nil
		}); err != nil {
			return err.Error()
		}
	}
	if !maps.Equal(got, before) && !maps.Equal(got, after) {
		return "it has something else"
	}
	return ""
}

// firstCrashes is crashes for the first backup into a folder: it may leave none, and the next one goes on.
func firstCrashes(t *testing.T, ignored string) (wrong string, syncs map[string]bool) {
	t.Helper()
	f := newFixture(t)
	f.unlinked = true
	f.write("00000000000000000001.log", random(1000, 1))
	f.write("log.meta", []byte("meta"))
	empty := t.TempDir()
	for left, isDone := 0, false; !isDone; left++ {
		for seed := range uint64(8) {
			m := newMachine(t, empty, left)
			m.ignored = ignored
			_, err := f.backUp(Options{files: m})
			isDone, syncs = err == nil, m.syncs
			m.crash(t, rand.New(rand.NewPCG(seed, uint64(left))), f.folder) //nolint:gosec // few
			b, err := f.begin(Options{})
			if err != nil {
				return fmt.Sprintf("%d calls, seed %d: %s", left, seed, err), syncs
			}
			require.NoError(t, b.Close())
		}
	}
	return "", syncs
}

// A crash at any time leaves the earlier backup or the new one, whole.
func TestCrashes(t *testing.T) {
	wrong, _ := crashes(t, "")
	assert.Empty(t, wrong)
	wrong, _ = firstCrashes(t, "")
	assert.Empty(t, wrong)
}

// Without one of the syncs, some crash leaves neither.
func TestEachSyncIsNeeded(t *testing.T) {
	_, syncs := crashes(t, "")
	_, more := firstCrashes(t, "")
	maps.Copy(syncs, more)
	require.GreaterOrEqual(t, len(syncs), 5)
	for at := range syncs {
		wrong, _ := crashes(t, at)
		if wrong == "" {
			wrong, _ = firstCrashes(t, at)
		}
		assert.NotEmpty(t, wrong, "the sync at %s is not needed", at)
	}
}
