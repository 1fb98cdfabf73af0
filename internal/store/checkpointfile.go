package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/conchmq/conch/internal/log"
	"github.com/conchmq/conch/internal/stream"
)

// A file of a checkpoint is a header, what package stream makes, and a CRC32C of both.
const (
	magic     = "conchck"
	format    = '1'
	headerLen = len(magic) + 1 + 8 + 8 + stopLen
	sumLen    = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the beginning of a checkpoint.
type header struct {
	number   uint64 // the last record whose changes it has
	previous uint64 // of a delta: the number of the checkpoint that it builds on
	stop     stop   // of the newest message, as far as the log knows, and of the clock
	base     bool
}

// The names of checkpoints: their order is that of their numbers.
const (
	prefix      = "checkpoint-"
	baseEnding  = ".base"
	deltaEnding = ".delta"
)

func (h *header) name() string {
	ending := deltaEnding
	if h.base {
		ending = baseEnding
	}
	return fmt.Sprintf("%s%020d%s", prefix, h.number, ending)
}

func (h *header) append(b []byte) []byte {
	b = append(append(b, magic...), format)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, h.previous)
	return h.stop.append(b)
}

func (h *header) parse(b []byte) error {
	switch {
	case string(b[:len(magic)]) != magic:
		return errors.New("it is no checkpoint of conch")
	case b[len(magic)] != format:
		return fmt.Errorf("it has the format %q, which this version of conch does not know: it was written by a newer one", b[len(magic)])
	}
	b = b[len(magic)+1:]
	h.number, h.previous = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	return h.stop.parse(b[16:])
}

// image is what checkpoints have.
type image struct {
	streams *stream.Streams
	number  uint64
	stop    stop
}

// load reads the newest base and its deltas, and removes what is older. Without a base, the state is empty.
func (c *checkpoints) load() (*image, error) {
	names, err := c.files.List()
	if err != nil {
		return nil, fmt.Errorf("read its names: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, baseEnding) && !strings.HasSuffix(name, deltaEnding)
	})
	first := len(names) - 1
	for first >= 0 && !strings.HasSuffix(names[first], baseEnding) {
		first--
	}
	if first < 0 {
		if len(names) > 0 {
			return nil, fmt.Errorf("the checkpoint %s has lost its base: restore the directory from a backup", names[0])
		}
		return &image{streams: stream.New()}, nil
	}
	older := names[:first]
	if end := first + 1; end < len(names) && strings.TrimSuffix(names[end], deltaEnding) == strings.TrimSuffix(names[first], baseEnding) {
		older, names = append(older[:first:first], names[end]), slices.Delete(slices.Clone(names), end, end+1) // the base has all of it
	}
	loaded, err := c.loadChain(names[first:])
	if err != nil {
		return nil, err
	}
	for _, name := range older { // a crash came before they were removed
		if err := c.files.Remove(name); err != nil {
			return nil, fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return loaded, nil
}

// loadChain reads a base and its deltas.
func (c *checkpoints) loadChain(names []string) (*image, error) {
	c.base, c.deltas = 0, 0
	loaded, parts, contents := &image{}, make([]io.Reader, 0, len(names)), make([]io.Reader, 0, len(names))
	opened := make([]*checkpointFile, 0, len(names))
	defer func() {
		for _, f := range opened {
			_ = f.file.Close() // it was read only
		}
	}()
	for i, name := range names {
		f, err := openCheckpoint(c.files, name)
		if err != nil {
			return nil, fmt.Errorf("the checkpoint %s cannot be read: %w", name, err)
		}
		opened, parts, contents = append(opened, f), append(parts, f), append(contents, f.content)
		if i > 0 && f.head.previous != loaded.number {
			return nil, fmt.Errorf("the checkpoint %s does not follow %s: restore the directory from a backup", name, names[i-1])
		}
		loaded.number, loaded.stop = f.head.number, f.head.stop
		if i == 0 {
			c.base = f.size
		} else {
			c.deltas += f.size
		}
	}
	ahead := readAhead(contents)
	defer ahead.stop() // before the files are closed
	for i, f := range opened {
		f.ahead, f.place = ahead, i
	}
	var err error
	loaded.streams, err = stream.Load(parts...)
	for i, f := range opened { // first: a wrong sum explains every other error
		if sumErr := f.checkSum(); sumErr != nil {
			return nil, fmt.Errorf("the checkpoint %s is damaged: %w; restore the directory from a backup", names[i], sumErr)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the checkpoint %s cannot be used: %w", names[len(names)-1], err)
	}
	c.number, c.names = loaded.number, names
	return loaded, nil
}

// checkpointFile reads the content of a checkpoint, and sums it. Both happen ahead: opening is mostly that, and making the state of it.
type checkpointFile struct {
	file    log.File
	head    header
	size    int64
	content io.Reader // summed
	sum     hash.Hash32
	ahead   *readingAhead
	place   int // in ahead
}

// openCheckpoint opens a checkpoint and reads its header.
func openCheckpoint(files log.Files, name string) (_ *checkpointFile, err error) {
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	f := &checkpointFile{file: file, sum: crc32.New(castagnoli)}
	defer func() {
		if err != nil {
			_ = file.Close() // it was read only
		}
	}()
	if f.size, err = file.Size(); err != nil {
		return nil, err
	}
	if f.size < int64(headerLen+sumLen) {
		return nil, fmt.Errorf("it has %d bytes only", f.size)
	}
	f.content = io.TeeReader(io.NewSectionReader(file, 0, f.size-sumLen), f.sum)
	b := make([]byte, headerLen)
	if _, err := io.ReadFull(f.content, b); err != nil {
		return nil, err
	}
	return f, f.head.parse(b)
}

func (f *checkpointFile) Read(p []byte) (int, error) {
	return f.ahead.read(f.place, p)
}

// checkSum reads what is left, and compares the sum.
func (f *checkpointFile) checkSum() error {
	if _, err := io.Copy(io.Discard, f); err != nil {
		return err
	}
	var want [sumLen]byte
	if _, err := f.file.ReadAt(want[:], f.size-sumLen); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if binary.LittleEndian.Uint32(want[:]) != f.sum.Sum32() {
		return errors.New("its checksum is wrong")
	}
	return nil
}
