package log

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Layers are what lies between a log and its files: how new files are compressed and encrypted. Files of an earlier setting are read all
// the same.
type Layers struct {
	Compress Compression
	Key      *Key // nil: new files are not encrypted
	// OldKeys open files that were encrypted with them.
	OldKeys []*Key
}

// LayerStatus tells how many files there are.
type LayerStatus struct {
	Files   int
	Waiting int // that have another key than new files, or none
}

// Layered is Files whose content is compressed and encrypted. The names and the files beneath are the same.
type Layered struct {
	Files
	o     Layers
	ids   atomic.Uint64
	cache [cacheSlots]atomic.Pointer[cachedRun]

	mu     sync.Mutex // guards what follows
	known  bool       // the secret
	secret uint64
	states map[string]fileState // of each file that was opened or made, as far as it is there
}

// WithLayers puts layers over the files of a directory. Without compression and a key new files are as they were.
func WithLayers(files Files, o Layers) *Layered {
	return &Layered{Files: files, o: o, states: map[string]fileState{}}
}

// fileState is what is known of a file.
type fileState struct {
	key *Key
	// isLoose is set for one that takes clearly less space once its frames are packed.
	isLoose bool
}

// isPlain reports whether new files have no layer.
func (l *Layered) isPlain() bool { return l.o.Compress == CompressNone && l.o.Key == nil }

// Create makes an empty file. One for which space is allocated is hot: it grows by small writes, and may be cut.
func (l *Layered) Create(name string, size int64) (File, error) {
	file, err := l.Files.Create(name, size)
	if err != nil {
		return nil, err
	}
	l.note(name, fileState{key: l.o.Key})
	if l.isPlain() {
		return file, nil
	}
	f, err := l.newFramed(name, file)
	if err != nil {
		return nil, errors.Join(err, file.Close(), l.Files.Remove(name))
	}
	f.isHot = size > 0
	f.header.packed, f.header.codec = !f.isHot, l.o.Compress
	if f.header.key = l.o.Key; f.header.key != nil {
		if _, err := rand.Read(f.header.salt[:]); err != nil {
			return nil, errors.Join(err, file.Close(), l.Files.Remove(name))
		}
		f.header.check = f.header.key.check(f.header.salt)
	}
	return f, nil
}

// newFramed returns a file of frames without content.
func (l *Layered) newFramed(name string, file File) (*framed, error) {
	secret, err := l.findSecret()
	if err != nil {
		return nil, err
	}
	f := &framed{file: file, layers: l, name: strings.TrimSuffix(name, temporary), id: l.newID()}
	f.setSecret(secret)
	return f, nil
}

// setSecret derives the seed of the file.
func (f *framed) setSecret(secret uint64) {
	f.header.secret = secret
	f.seed = crc32.Checksum(append(binary.LittleEndian.AppendUint64(nil, secret), f.name...), castagnoli)
}

// Open opens a file, plain or not.
func (l *Layered) Open(name string) (File, error) {
	file, err := l.Files.Open(name)
	if err != nil {
		return nil, err
	}
	opened, err := l.open(name, file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return opened, nil
}

func (l *Layered) open(name string, file File) (File, error) {
	b := make([]byte, fileHeaderSize)
	n, err := file.ReadAt(b, 0)
	if err = ignoreEnd(err); err != nil {
		return nil, err
	}
	header, encrypted, whole, err := parseFileHeader(name, b[:n])
	if err != nil {
		return nil, err
	}
	f := &framed{file: file, layers: l, name: strings.TrimSuffix(name, temporary), id: l.newID(), isHot: true}
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	switch {
	case whole:
		f.header = header
		f.setSecret(header.secret)
		if encrypted {
			f.header.key, err = l.keyOf(name, &header)
		}
	case hasPlainMagic(b[:n]):
		f = nil
	default:
		f, err = l.withoutHeader(f, b[:n], size)
	}
	if err != nil {
		return nil, err
	}
	if f == nil {
		if len(bytes.Trim(b[:n], "\x00")) > 0 { // else it is only allocated
			l.note(name, fileState{})
		}
		return file, nil
	}
	err = f.open(size)
	l.note(name, f.state())
	return f, err
}

// keyOf finds the key of a file.
func (l *Layered) keyOf(name string, h *fileHeader) (*Key, error) {
	keys := l.allKeys()
	for _, k := range keys {
		if k.check(h.salt) == h.check {
			return k, nil
		}
	}
	return nil, &KeyError{File: name, None: len(keys) == 0}
}

func (l *Layered) allKeys() []*Key {
	keys := slices.Clone(l.o.OldKeys)
	if l.o.Key != nil {
		keys = slices.Insert(keys, 0, l.o.Key)
	}
	return keys
}

// plainMagics are what plain files of a log and of a store begin with.
var plainMagics = []string{"conchlg", "conchmt", "conchck"}

func hasPlainMagic(b []byte) bool {
	return slices.ContainsFunc(plainMagics, func(magic string) bool { return bytes.HasPrefix(b, []byte(magic)) })
}

// withoutHeader decides what a file is whose header is not whole: its first frame shows its key. It returns nil for a plain file.
func (l *Layered) withoutHeader(f *framed, b []byte, size int64) (*framed, error) {
	if len(bytes.TrimRight(b, "\x00")) == 0 && size <= fileHeaderSize {
		return nil, nil
	}
	secret, err := l.findSecret()
	if err != nil {
		return nil, err
	}
	f.setSecret(secret)
	h, at, found, err := f.findFrame(size)
	if !found || err != nil {
		return nil, err
	}
	if h.kind&frameBit == 0 {
		return f, nil
	}
	stored := make([]byte, h.size()+h.stored)
	if _, err := f.file.ReadAt(stored, at); ignoreEnd(err) != nil {
		return nil, err
	}
	keys := l.allKeys()
	for _, k := range keys {
		f.header.key = k
		if f.decode(&h, stored[:h.size()], slices.Clone(stored[h.size():]), make([]byte, h.length)) {
			break
		}
		f.ciphers = nil
	}
	if len(keys) == 0 {
		return nil, &KeyError{File: f.name, None: true}
	}
	return f, nil
}

// findSecret returns what the seeds of all files derive from: of a header that is whole, or a new one.
func (l *Layered) findSecret() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known {
		return l.secret, nil
	}
	names, err := l.List()
	if err != nil {
		return 0, err
	}
	slices.Reverse(names) // log.meta comes first: it is written anew at each start
	for _, name := range names {
		if h, whole := l.readHeader(name); whole {
			l.known, l.secret = true, h.secret
			return l.secret, nil
		}
	}
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, err
	}
	l.known, l.secret = true, binary.LittleEndian.Uint64(b[:])
	return l.secret, nil
}

func (l *Layered) readHeader(name string) (fileHeader, bool) {
	if _, isSegment := parseSegmentName(name); !isSegment && name != metaName {
		return fileHeader{}, false
	}
	file, err := l.Files.Open(name)
	if err != nil {
		return fileHeader{}, false
	}
	defer func() { _ = file.Close() }() // it was read only
	var b [fileHeaderSize]byte
	n, _ := file.ReadAt(b[:], 0)
	h, _, whole, _ := parseFileHeader(name, b[:n])
	return h, whole
}

// Rename renames a file.
func (l *Layered) Rename(from, to string) error {
	if err := l.Files.Rename(from, to); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if state, ok := l.states[from]; ok {
		l.states[to] = state
		delete(l.states, from)
	}
	return nil
}

// Remove removes a file.
func (l *Layered) Remove(name string) error {
	err := l.Files.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.states, name)
	}
	return err
}

// note records what is known of a file.
func (l *Layered) note(name string, state fileState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states[name] = state
}

// Status counts the files that are there.
func (l *Layered) Status() (s LayerStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, state := range l.states {
		s.Files++
		if !state.key.isSame(l.o.Key) {
			s.Waiting++
		}
	}
	return s
}

// HasOldKey reports whether a file has another key than new ones, or none where they have one.
func (l *Layered) HasOldKey(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	state, ok := l.states[name]
	return ok && !state.key.isSame(l.o.Key)
}

// wantsPacking reports whether a complete file is to be written again.
func (l *Layered) wantsPacking(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	state, ok := l.states[name]
	return ok && (!state.key.isSame(l.o.Key) || state.isLoose && !l.isPlain())
}

// isCurrent reports whether a file is as a new one would be, so that it may grow.
func (l *Layered) isCurrent(file File) bool {
	if f, ok := file.(*framed); ok {
		return !l.isPlain() && f.header.key.isSame(l.o.Key)
	}
	return l.isPlain()
}

// Frames of that size on average are worth packing: of compressed files, and of files that are only encrypted.
const (
	looseCompressed = 16 << 10
	looseEncrypted  = 1 << 10
)

// state is what the layers note of a file.
func (f *framed) state() fileState {
	f.mu.RLock()
	defer f.mu.RUnlock()
	average := f.runs.end() / int64(max(1, f.runs.frames))
	state := fileState{key: f.header.key}
	switch {
	case f.header.packed:
	case f.layers.o.Compress == CompressZstd:
		state.isLoose = true
	case f.layers.o.Compress != CompressNone:
		state.isLoose = average < looseCompressed
	default:
		state.isLoose = average < looseEncrypted
	}
	return state
}

func (l *Layered) newID() uint64 { return l.ids.Add(1) }

// cacheSlots bounds the runs of which the content stays in memory, for reads of a part: 8 MiB.
const cacheSlots = 128

// cachedRun is the content of a run. It does not change.
type cachedRun struct {
	id      uint64
	from    int64
	content []byte
}

// content returns the content of a run of which a part is wanted: readers often want another part next.
func (l *Layered) content(f *framed, r run, id uint64) ([]byte, error) {
	slot := &l.cache[(id*31+uint64(r.from)/1009)%cacheSlots] //nolint:gosec // an offset
	length := r.end - r.offset
	if c := slot.Load(); c != nil && c.id == id && c.from == r.from && int64(len(c.content)) >= length {
		return c.content[:length], nil
	}
	b := make([]byte, length)
	if err := f.readRun(r, b); err != nil {
		return nil, err
	}
	slot.Store(&cachedRun{id, r.from, b})
	return b, nil
}
