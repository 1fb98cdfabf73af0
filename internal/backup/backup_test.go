package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/log"
)

// fixture is a directory that stands for a store, and a folder for its backups.
type fixture struct {
	t        *testing.T
	dir, own string
	folder   string
	unlinked bool
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	base := t.TempDir()
	f := &fixture{t: t, dir: filepath.Join(base, "store"), folder: filepath.Join(base, "folder"), own: "0123456789abcdef"}
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	return f
}

// write gives the store a file, as the rewriter does: the name leads to a new one.
func (f *fixture) write(name string, content []byte) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	require.NoError(f.t, os.WriteFile(path+".tmp", content, 0o600))
	require.NoError(f.t, os.Rename(path+".tmp", path))
}

func (f *fixture) begin(o Options) (*Backup, error) {
	o.Dir, o.Store = f.dir, f.own
	b, err := Begin(f.folder, o)
	if err == nil {
		b.canLink = b.canLink && !f.unlinked
	}
	return b, err
}

func noProgress(Progress) {}

// backUp makes a backup of all files.
func (f *fixture) backUp(o Options) (Result, error) {
	f.t.Helper()
	b, err := f.begin(o)
	if err != nil {
		return Result{}, err
	}
	defer func() { require.NoError(f.t, b.Close()) }()
	names, err := b.Names()
	require.NoError(f.t, err)
	for _, name := range names {
		require.NoError(f.t, b.Take(name, true))
	}
	return b.Finish(context.Background(), Manifest{Conch: "test", Record: 7, Sequence: 9}, noProgress)
}

// content is what a directory has, but for the lock.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "lock" {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			require.NoError(t, err)
			all[e.Name()] = string(b)
		}
	}
	return all
}

// restore restores the backup into a new directory, and returns what that has.
func (f *fixture) restore() map[string]string {
	f.t.Helper()
	dir := filepath.Join(f.t.TempDir(), "restored")
	_, err := Restore(context.Background(), f.folder, dir, func(d Damage) { f.t.Error(d) }, noProgress)
	require.NoError(f.t, err)
	return content(f.t, dir)
}

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

// The second backup copies what is new, and removes what is gone; each is restored byte for byte. Links and copies are the same.
func TestIncrementalBackups(t *testing.T) {
	for _, unlinked := range []bool{false, true} {
		t.Run(fmt.Sprintf("unlinked=%v", unlinked), func(t *testing.T) {
			f := newFixture(t)
			f.unlinked = unlinked
			f.write("00000000000000000001.log", random(3*sumEvery+17, 1))
			f.write("00000000000000000002.log", random(sumEvery, 2))
			f.write("log.meta", []byte("meta"))
			f.write("empty", nil)
			r, err := f.backUp(Options{})
			require.NoError(t, err)
			assert.Equal(t, 4, r.Copied+r.Linked)
			assert.Equal(t, unlinked, r.Linked == 0)
			assert.Equal(t, content(t, f.dir), f.restore())

			f.write("00000000000000000001.log", random(sumEvery/2, 3)) // written again
			require.NoError(t, os.Remove(filepath.Join(f.dir, "00000000000000000002.log")))
			f.write("00000000000000000003.log", random(10, 4))
			r, err = f.backUp(Options{})
			require.NoError(t, err)
			assert.Equal(t, 2, r.Copied+r.Linked, "the two that are new")
			assert.Equal(t, content(t, f.dir), f.restore())
			assert.Len(t, content(t, f.folder), 5, "four files and the manifest")

			r, err = f.backUp(Options{})
			require.NoError(t, err)
			assert.Zero(t, r.Copied+r.Linked)
			assert.Equal(t, 3, r.Manifest.Number)
			assert.Equal(t, uint64(9), r.Manifest.Sequence)
		})
	}
}

// What is taken stays as it is, whatever becomes of its name.
func TestWhatIsTakenStays(t *testing.T) {
	for _, unlinked := range []bool{false, true} {
		f := newFixture(t)
		f.unlinked = unlinked
		f.write("a.log", []byte("before"))
		f.write("b.log", []byte("removed"))
		b, err := f.begin(Options{})
		require.NoError(t, err)
		require.NoError(t, b.Take("a.log", true))
		require.NoError(t, b.Take("b.log", true))
		require.ErrorIs(t, b.Take("c.log", true), ErrGone)
		f.write("a.log", []byte("afterwards"))
		require.NoError(t, os.Remove(filepath.Join(f.dir, "b.log")))
		_, err = b.Finish(context.Background(), Manifest{}, noProgress)
		require.NoError(t, err)
		require.NoError(t, b.Close())
		assert.Equal(t, map[string]string{"a.log": "before", "b.log": "removed"}, f.restore())
	}
}

func TestFoldersThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.write("log.meta", []byte("meta"))
	inside := filepath.Join(f.dir, "backup")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(f.dir, link))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "letter.txt"), nil, 0o600))
	for folder, want := range map[string]string{
		f.dir:                            "the directory of the store: choose a folder outside",
		inside:                           "the directory of the store: choose a folder outside",
		link:                             "the directory of the store: choose a folder outside",
		filepath.Join(link, "a/b"):       "the directory of the store: choose a folder outside",
		filepath.Join(f.dir, "../store"): "the directory of the store: choose a folder outside",
		file:                             "something that is no folder",
		filepath.Join(file, "below"):     "something that is no folder",
		full:                             "is not empty: letter.txt is there; choose an empty folder",
	} {
		f.folder = folder
		_, err := f.begin(Options{})
		assert.ErrorContains(t, err, want, folder)
	}
	assert.Equal(t, map[string]string{"log.meta": "meta"}, content(t, f.dir), "nothing is made there")
}

func TestAnotherStore(t *testing.T) {
	f := newFixture(t)
	f.write("log.meta", []byte("meta"))
	_, err := f.backUp(Options{})
	require.NoError(t, err)
	f.own = "fedcba9876543210"
	_, err = f.backUp(Options{})
	assert.ErrorContains(t, err, "has a backup of another store: choose another folder")
}

func TestOneBackupAtATime(t *testing.T) {
	f := newFixture(t)
	b, err := f.begin(Options{})
	require.NoError(t, err)
	_, err = f.begin(Options{})
	assert.ErrorContains(t, err, "another backup into "+f.folder+" is running")
	require.NoError(t, b.Close())
}

// Any byte of the manifest that is another one is noticed: the folder is neither restored nor used, and loses nothing.
func TestDamagedManifest(t *testing.T) {
	f := newFixture(t)
	f.write("00000000000000000001.log", []byte("records"))
	_, err := f.backUp(Options{})
	require.NoError(t, err)
	path := filepath.Join(f.folder, manifestName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := range whole {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[at] ^= 1 << bit
			_, err := parseManifest(damaged)
			require.Error(t, err, "byte %d, bit %d", at, bit)
		}
		_, err := parseManifest(whole[:at])
		require.ErrorIs(t, err, errManifest, "cut at %d", at)
	}
	require.NoError(t, os.WriteFile(path, whole[1:], 0o600))
	_, err = f.backUp(Options{})
	assert.ErrorContains(t, err, "is damaged; choose another folder, or remove that one")
	require.NoError(t, os.WriteFile(path, bytes.Replace(whole, []byte(`"format": 1`), []byte(`"format": 2`), 1), 0o600))
	_, err = Read(f.folder)
	require.ErrorContains(t, err, "has the format 2, and this version of conch reads 1: it was written by a newer one")
}

// A flipped bit, a cut and a missing file are found with their place, and nothing is restored.
func TestDamagedFiles(t *testing.T) {
	f := newFixture(t)
	f.unlinked = true
	f.write("00000000000000000001.log", random(2*sumEvery+1000, 1))
	r, err := f.backUp(Options{})
	require.NoError(t, err)
	stored := filepath.Join(f.folder, r.Manifest.Files[0].Stored)
	whole, err := os.ReadFile(stored)
	require.NoError(t, err)
	check := func(offset int, what string) {
		t.Helper()
		var found []Damage
		dir := filepath.Join(t.TempDir(), "restored")
		_, err := Restore(context.Background(), f.folder, dir, func(d Damage) { found = append(found, d) }, noProgress)
		require.ErrorIs(t, err, ErrDamaged)
		require.NoDirExists(t, dir)
		require.Len(t, found, 1)
		assert.Equal(t, int64(offset), found[0].Offset)
		assert.Contains(t, found[0].What, what)
	}
	for at := 0; at < len(whole); at += 1 + len(whole)/200 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		require.NoError(t, os.WriteFile(stored, damaged, 0o600))
		check(at/sumEvery*sumEvery, "the checksum of")
	}
	require.NoError(t, os.WriteFile(stored, whole[:sumEvery+5], 0o600))
	check(sumEvery+5, "the file ends here, and had 2098152 bytes")
	require.NoError(t, os.WriteFile(stored, append(bytes.Clone(whole), 0), 0o600))
	check(len(whole), "1 bytes more than it had")
	require.NoError(t, os.Remove(stored))
	check(0, "the file is missing")
}

func TestRestoreRefuses(t *testing.T) {
	f := newFixture(t)
	f.write("log.meta", []byte("meta"))
	_, err := f.backUp(Options{})
	require.NoError(t, err)
	restore := func(path, dir string) error {
		_, err := Restore(context.Background(), path, dir, func(Damage) {}, noProgress)
		return err
	}
	require.ErrorContains(t, restore(f.folder, f.dir), "is not empty: log.meta is there")
	require.ErrorContains(t, restore(f.folder, filepath.Join(f.folder, "new")), "is in the folder of the backup")
	require.ErrorContains(t, restore(f.dir, t.TempDir()), "there is no backup in "+f.dir)

	used := filepath.Join(t.TempDir(), "used")
	lock, err := log.LockDirectory(used)
	require.NoError(t, err)
	require.ErrorContains(t, restore(f.folder, used), "a conch, or another restore, uses "+used)
	require.NoError(t, lock.Close())
	require.NoError(t, restore(f.folder, used), "a lock alone is an empty directory")
}

// A restore that was interrupted can be neither opened nor taken for a whole one, and is made again.
func TestInterruptedRestore(t *testing.T) {
	f := newFixture(t)
	for i := range 5 {
		f.write(fmt.Sprintf("%020d.log", i+1), random(100, uint64(i)))
	}
	_, err := f.backUp(Options{})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "restored")
	ctx, cancel := context.WithCancel(context.Background())
	_, err = Restore(ctx, f.folder, dir, func(Damage) {}, func(p Progress) {
		if p.Files == 3 {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "is not restored whole, and cannot be opened; restore into it again")
	for _, open := range []func(string) (log.Files, error){log.OpenDirectory, log.OpenOverlay} {
		_, err = open(dir)
		require.ErrorIs(t, err, log.ErrRestoring)
	}
	_, err = Restore(context.Background(), f.folder, dir, func(d Damage) { t.Error(d) }, noProgress)
	require.NoError(t, err)
	assert.Equal(t, content(t, f.dir), content(t, dir))
}

// failing is a folder on which some call fails, as on a full disk, and all that follow it: the process has ended.
type failing struct {
	log.Files
	left int // calls that succeed
	err  error
}

func (f *failing) step() error {
	if f.left--; f.left < 0 {
		return f.err
	}
	return nil
}

func (f *failing) Create(name string, size int64) (log.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	file, err := f.Files.Create(name, size)
	return &failingFile{file, f}, err
}

func (f *failing) Open(name string) (log.File, error) {
	file, err := f.Files.Open(name)
	if err != nil {
		return nil, err
	}
	return &failingFile{file, f}, nil
}

func (f *failing) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.Rename(from, to)
}

func (f *failing) Remove(name string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.Remove(name)
}

func (f *failing) SyncDir() error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Files.SyncDir()
}

type failingFile struct {
	log.File
	disk *failing
}

func (f *failingFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.disk.step(); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], at) // half of it comes through
		return n, err
	}
	return f.File.WriteAt(p, at)
}

func (f *failingFile) Sync() error {
	if err := f.disk.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

// Whichever call is the last one of a backup, the folder has the earlier backup or the new one, whole; and the next backup goes on with
// what was copied.
func TestInterruptedBackups(t *testing.T) {
	for left := 0; ; left++ {
		f := newFixture(t)
		f.unlinked = true
		for i := range 3 {
			f.write(fmt.Sprintf("%020d.log", i+1), random(1000, uint64(i)))
		}
		_, err := f.backUp(Options{})
		require.NoError(t, err)
		before := content(t, f.dir)
		f.write("00000000000000000002.log", random(500, 9))
		f.write("00000000000000000004.log", random(2000, 10))
		require.NoError(t, os.Remove(filepath.Join(f.dir, "00000000000000000001.log")))
		after := content(t, f.dir)

		files, err := log.OpenDirectory(f.folder)
		require.NoError(t, err)
		_, err = f.backUp(Options{files: &failing{files, left, syscall.ENOSPC}})
		restored := f.restore()
		if err == nil {
			assert.Equal(t, after, restored)
			require.Greater(t, left, 15, "the calls were counted")
			return
		}
		if _, replaced := restored["00000000000000000004.log"]; replaced {
			assert.Equal(t, after, restored, "%d calls", left)
		} else {
			require.ErrorContains(t, err, "no space is left for the backup in "+f.folder)
			assert.Equal(t, before, restored, "%d calls", left)
		}
		noted := notedFiles(t, f.folder)
		r, err := f.backUp(Options{})
		require.NoError(t, err)
		assert.Equal(t, after, f.restore())
		if _, replaced := restored["00000000000000000004.log"]; replaced {
			noted = 2
		}
		assert.Equal(t, 2-noted, r.Copied, "what an interrupted backup has copied is used: %d calls", left)
		assert.Len(t, content(t, f.folder), len(after)+1, "nothing else is left: %d calls", left)
	}
}

// notedFiles is how many files an interrupted backup has copied.
func notedFiles(t *testing.T, folder string) (n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, partialName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	require.NoError(t, err)
	for line := range bytes.Lines(b) {
		if l, ok := decode[partialLine](line, ""); ok && l.File != nil {
			n++
		}
	}
	return n
}

// The first backup of a folder that was interrupted is no backup, and is gone on with.
func TestInterruptedFirstBackup(t *testing.T) {
	f := newFixture(t)
	f.write("a.log", []byte("a"))
	f.write("b.log", []byte("b"))
	b, err := f.begin(Options{})
	require.NoError(t, err)
	require.NoError(t, b.Take("a.log", true))
	require.NoError(t, b.Take("b.log", true))
	ctx, cancel := context.WithCancel(context.Background())
	_, err = b.Finish(ctx, Manifest{}, func(Progress) { cancel() })
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, b.Close())
	_, err = Read(f.folder)
	require.ErrorIs(t, err, ErrNone)
	require.ErrorContains(t, err, "the first one was interrupted; back up into the folder again")
	r, err := f.backUp(Options{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Copied+r.Linked)
	assert.Equal(t, content(t, f.dir), f.restore())
}

func FuzzManifest(f *testing.F) {
	whole, err := encode(&Manifest{Format: format, Store: "x", Files: []File{{Name: "a.log", Stored: "a.log.1", Size: 1, Sums: "00000000"}}}, manifestIndent)
	require.NoError(f, err)
	f.Add(whole)
	f.Add([]byte(`{"sum":"","backup":null}`))
	f.Add([]byte(`{"sum":"00000000","backup":{"files":[{"name":"../a","size":-1}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		again, err := encode(m, manifestIndent)
		require.NoError(t, err)
		require.Equal(t, string(b), string(again))
		require.False(t, slices.ContainsFunc(m.Files, func(f File) bool { return strings.ContainsAny(f.Name+f.Stored, "/\\") }))
	})
}

// A conch that is killed before the first file is summed leaves links alone. The next backup takes their place.
func TestKilledBehindItsLinks(t *testing.T) {
	f := newFixture(t)
	f.write("a.log", []byte("a"))
	b, err := f.begin(Options{})
	require.NoError(t, err)
	require.NoError(t, b.Take("a.log", true))
	require.NoError(t, b.files.Close()) // the lock is gone, and all else stays
	r, err := f.backUp(Options{})
	require.NoError(t, err)
	assert.Equal(t, 1, r.Copied+r.Linked)
	assert.Equal(t, content(t, f.dir), f.restore())
	assert.Len(t, content(t, f.folder), 2, "the file and the manifest")
}
