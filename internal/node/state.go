package node

import (
	"archive/tar"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/conchmq/conch/internal/cluster"
	"github.com/conchmq/conch/internal/log"
)

// A state that is sent is that of the cluster, with its length, and the files of the streams as a tar. They are as new as the state of the
// cluster, or newer: the streams have the index. The receiver writes them once, and moves them to their place.

// stateEnd is behind the tar, whose own end a connection that breaks between two files looks like.
const stateEnd = "the end"

// maxState bounds the state of the cluster: it is a few bytes a node.
const maxState = 1 << 20

// Send implements [cluster.Machine].
func (n *Node) Send(w io.Writer) (err error) {
	state, ok := n.applier.SaveClusterState()
	if !ok {
		return errStopped
	}
	dir, err := os.MkdirTemp(filepath.Dir(n.options.Dir), ".conch-sending-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := filepath.Abs(filepath.Join(dir, "held"))
	if err != nil {
		return err
	}
	if _, err := w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(state))), state...)); err != nil { //nolint:gosec // few bytes
		return err
	}
	sent, start := &counter{w: w}, time.Now()
	out := tar.NewWriter(sent)
	err = n.options.Store.EachFile(path, func(name string, size int64, from io.Reader) error {
		return addFile(out, name, size, from)
	})
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if _, err = io.WriteString(w, stateEnd); err == nil {
		n.options.Log.Info().Int64("bytes", sent.n).Dur("ms", time.Since(start)).Msg("the state was sent to a node that was too far behind")
	}
	return err
}

func addFile(out *tar.Writer, name string, size int64, from io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size}); err != nil {
		return err
	}
	_, err := io.CopyN(out, from, size)
	return err
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Receive implements [cluster.Machine]. What comes is used by the next start: see Prepare.
func (n *Node) Receive(r io.Reader, index uint64) (cluster.State, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return cluster.State{}, err
	}
	if binary.LittleEndian.Uint32(size[:]) > maxState {
		return cluster.State{}, errors.New("the state of the cluster is too long")
	}
	text := make([]byte, binary.LittleEndian.Uint32(size[:]))
	if _, err := io.ReadFull(r, text); err != nil {
		return cluster.State{}, err
	}
	state, err := cluster.DecodeState(text)
	if err = cmp.Or(err, state.CheckAge(index)); err != nil {
		return cluster.State{}, err
	}
	at := func(name string) string { return filepath.Join(n.options.Dir, "cluster", name) }
	if err := os.RemoveAll(at(coming)); err != nil {
		return cluster.State{}, err
	}
	if err := errors.Join(untar(r, at(coming)), os.RemoveAll(at(received))); err != nil {
		return cluster.State{}, err
	}
	if err := errors.Join(syncDirectory(at(coming)), rename(at(coming), at(received))); err != nil {
		return cluster.State{}, err
	}
	n.options.Log.Info().Uint64("entry", state.Index).Msg("this node was too far behind, and has got the state of another one: it starts again with it")
	n.once.Do(func() { close(n.received) })
	return state, nil
}

// untar writes the files of a tar into a new directory, and syncs them.
func untar(r io.Reader, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return readEnd(r)
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(h.Name) || filepath.Base(h.Name) != h.Name {
			return fmt.Errorf("%q is no name of a file", h.Name)
		}
		if err := writeFile(filepath.Join(dir, h.Name), in); err != nil {
			return err
		}
	}
}

func readEnd(r io.Reader) error {
	end := make([]byte, len(stateEnd))
	if _, err := io.ReadFull(r, end); err != nil || string(end) != stateEnd {
		return errors.New("the state came to an end too early")
	}
	return nil
}

// syncEvery is after how many bytes of a state the disk has them. A file system that syncs much at once holds the syncs of others up.
const syncEvery = 8 << 20

func writeFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for err == nil {
		if _, err = io.CopyN(f, r, syncEvery); err == nil || errors.Is(err, io.EOF) {
			err = cmp.Or(f.Sync(), err)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// The steps of a new state, as directories beneath cluster: it comes, it is here, the old one is gone.
const (
	coming   = "coming"
	received = "received"
	replaced = "replaced"
)

// Prepare makes the state of another node that of this one, if one has come. It comes before the streams are opened, and goes on with
// what a crash has interrupted.
func Prepare(dir string) error {
	at := func(name string) string { return filepath.Join(dir, "cluster", name) }
	if !exists(at(coming)) && !exists(at(received)) && !exists(at(replaced)) {
		return nil
	}
	lock, err := log.LockDirectory(dir) // another process may run there
	if err != nil {
		return err
	}
	return errors.Join(replace(dir, at), lock.Close())
}

// replace goes through the steps of a new state.
func replace(dir string, at func(string) string) error {
	if err := os.RemoveAll(at(coming)); err != nil {
		return err
	}
	if exists(at(received)) {
		if err := errors.Join(removeStreams(dir), syncDirectory(dir)); err != nil {
			return err
		}
		if err := rename(at(received), at(replaced)); err != nil {
			return err
		}
	}
	if !exists(at(replaced)) {
		return nil
	}
	if err := errors.Join(moveAll(at(replaced), dir), syncDirectory(dir)); err != nil {
		return err
	}
	return os.RemoveAll(at(replaced))
}

// rename renames, and syncs the directory: no step may be on the disk before the one that it follows.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(to))
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// IsOf reports whether a directory is that of a node of a cluster.
func IsOf(dir string) bool { return exists(filepath.Join(dir, "cluster")) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// removeStreams removes the files of the streams: the log, what belongs to it, and checkpoints.
func removeStreams(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if name := f.Name(); f.Type().IsRegular() && (strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "log.") || strings.HasPrefix(name, "checkpoint-")) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func moveAll(from, to string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Rename(filepath.Join(from, f.Name()), filepath.Join(to, f.Name())); err != nil {
			return err
		}
	}
	return nil
}
