package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/conchmq/conch/internal/log"
)

// files are small files that are replaced whole, each with a checksum in its first line.
type files struct{ log.Files }

var errChecksum = errors.New("its checksum is wrong: take the file from a backup, or remove the node and add it anew, with an empty directory")

func (f files) read(name string, v any) error {
	file, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	data, err := readAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	const sum = 9
	if len(data) < sum || string(data[:sum]) != fmt.Sprintf("%08x\n", crc32.Checksum(data[sum:], castagnoli)) {
		return fmt.Errorf("%s: %w", name, errChecksum)
	}
	return json.Unmarshal(data[sum:], v)
}

func readAll(file log.File) ([]byte, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(file, 0, size), data)
	return data, err
}

// write replaces a file. Once it returns, no crash brings the old one back.
func (f files) write(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	data = append(fmt.Appendf(nil, "%08x\n", crc32.Checksum(data, castagnoli)), data...)
	file, err := f.Create(name+".new", 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := f.Rename(name+".new", name); err != nil {
		return err
	}
	return f.SyncDir()
}

const snapshotFile = "snapshot"

// snapshots is raft's snapshot store. A snapshot is one small file with the index up to which the machine has saved its state. Another node does not
// get that file: it gets the state as of its request, see [Machine.Send].
type snapshots struct {
	files   files
	log     *logStore                // what follows the last one
	reached func(index uint64) error // is nil if the machine has the state of an index

	replacing chan struct{} // of capacity 1: held while the last one is replaced

	mu      sync.Mutex
	last    *raft.SnapshotMeta
	applied uint64 // the index of the state that the machine had saved: behind it there were marks and the like
	at      time.Time
}

// saved is the file of a snapshot. raft carries Applied to other nodes as its content.
type saved struct {
	Meta    raft.SnapshotMeta
	Applied uint64
	At      time.Time
}

func openSnapshots(f files) (*snapshots, error) {
	s := &snapshots{files: f, replacing: make(chan struct{}, 1)}
	var file saved
	if err := f.read(snapshotFile, &file); err != nil {
		return nil, err
	}
	if file.Meta.ID != "" {
		s.last, s.applied, s.at = &file.Meta, file.Applied, file.At
	}
	return s, nil
}

func (s *snapshots) Create(
	version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, _ raft.Transport,
) (raft.SnapshotSink, error) {
	return &sink{snapshots: s, meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term, Configuration: configuration,
		ConfigurationIndex: configurationIndex,
	}}, nil
}

func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil, nil
	}
	meta := *s.last
	return []*raft.SnapshotMeta{&meta}, nil
}

func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	all, err := s.List()
	if err == nil && (len(all) == 0 || all[0].ID != id) {
		err = fmt.Errorf("there is no snapshot %s any more", id)
	}
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return all[0], io.NopCloser(strings.NewReader(fmt.Sprint(s.applied))), nil
}

// newest returns the index of the last snapshot, and when it was made; zero if there is none.
func (s *snapshots) newest() (index uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return 0, time.Time{}
	}
	return s.last.Index, s.at
}

// sink is a snapshot that is made.
type sink struct {
	snapshots *snapshots
	meta      raft.SnapshotMeta
	content   []byte
	canceled  bool
}

func (k *sink) ID() string { return k.meta.ID }

func (k *sink) Write(p []byte) (int, error) {
	k.content = append(k.content, p...)
	return len(p), nil
}

func (k *sink) Cancel() error {
	k.canceled = true
	return nil
}

func (k *sink) Close() error {
	if k.canceled {
		return nil
	}
	applied, err := strconv.ParseUint(string(k.content), 10, 64)
	if err != nil {
		return err
	}
	k.meta.Size = int64(len(k.content))
	return k.snapshots.replace(k.meta, applied)
}

// replace makes a snapshot the last one, and the log one that follows it.
func (s *snapshots) replace(meta raft.SnapshotMeta, applied uint64) error {
	s.replacing <- struct{}{}
	defer func() { <-s.replacing }()
	if err := s.reached(applied); err != nil {
		return err
	}
	if index, _ := s.newest(); index > meta.Index {
		return nil // the leader has sent a newer one while this node made its own, and the log begins behind that
	}
	at := time.Now()
	if err := s.files.write(snapshotFile, saved{meta, applied, at}); err != nil {
		return err
	}
	s.mu.Lock()
	s.last, s.applied, s.at = &meta, applied, at
	s.mu.Unlock()
	return s.log.follow(meta.Index, meta.Term)
}
