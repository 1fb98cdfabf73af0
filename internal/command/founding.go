package command

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// founding is what the first entry of a cluster has: what all its nodes begin with. The first node that leads proposes it.
type founding struct {
	epoch    string
	base     [sha256.Size]byte // of the state that the proposer has had before
	users    []byte            // rules, in the form of an ACL file
	settings [][2]string
}

// orderedFounding is the first byte of its body. No flags of an origin are the same.
const orderedFounding = 0xf0

// ErrOtherBase is the error of a node whose state before the first entry was not that of the cluster: it needs the state of another.
var ErrOtherBase = errors.New("the cluster began with other streams than those of this node")

// FoundingBody makes the body of the first entry. settings are those that become state, by name.
func (s *Service) FoundingBody(epoch string, settings [][2]string) []byte {
	f := founding{epoch: epoch, settings: settings}
	s.runOnCore(func(v broker.View) { f.base, f.users = s.streams.base(v), s.access.users.Text() })
	b := appendLong([]byte{orderedFounding}, []byte(f.epoch))
	b = append(b, f.base[:]...)
	b = binary.AppendUvarint(appendLong(b, f.users), uint64(len(settings)))
	for _, setting := range settings {
		b = appendLong(appendLong(b, []byte(setting[0])), []byte(setting[1]))
	}
	return b
}

func decodeFounding(body []byte) (f founding, err error) {
	in := bodyReader{left: body[1:]}
	f.epoch = string(in.text())
	if len(in.left) < len(f.base) {
		return f, errBody
	}
	in.left = in.left[copy(f.base[:], in.left):]
	f.users = in.text()
	for range in.number() {
		f.settings = append(f.settings, [2]string{string(in.text()), string(in.text())})
	}
	return f, in.err
}

// base is a digest of the state before the first entry.
func (s *streams) base(v broker.View) [sha256.Size]byte {
	return baseOf(s.state, v.Stats().Sequence)
}

func baseOf(state *stream.Streams, sequence uint64) [sha256.Size]byte {
	of := state.Digest()
	return sha256.Sum256(binary.LittleEndian.AppendUint64(of[:], sequence))
}

// HasState reports whether there is a state already, of streams or settings, which another node would lack.
func (s *Service) HasState() (has bool) {
	s.runOnCore(func(v broker.View) { has = s.streams.base(v) != baseOf(stream.New(), 0) })
	return has
}

func (a *Applier) applyFounding(e *OrderedEntry) error {
	f, err := decodeFounding(e.Parts[0].Body)
	if err != nil {
		return err
	}
	s := a.service
	var base [sha256.Size]byte // before what is due by the time of the entry
	if !a.onCore(func(v broker.View) { base = s.streams.base(v) }) {
		return errCoreStopped
	}
	return a.change(e, func(v broker.View) error {
		s.streams.entry.unsaved = saveEvery // it is saved
		return s.found(v, &f, base)
	})
}

// found begins the cluster, unless another node has done so before.
func (s *Service) found(v broker.View, f *founding, base [sha256.Size]byte) error {
	x := &s.streams
	switch {
	case x.state.Text(clusterSource, clusterEpoch) != "":
		return nil
	case base != f.base:
		return ErrOtherBase
	}
	before := s.access.users.Text()
	if err := s.access.users.Load("the users of the cluster", f.users); err != nil {
		return err //nolint:wrapcheck // it is complete
	}
	s.access.refresh()
	if !bytes.Equal(before, f.users) { // connected clients have authenticated as former users
		s.eachClient(func(e *executor) { e.evictAfterRequest(v, CloseReasonPermissionRevoked) })
	}
	x.setText(v, clusterEpoch, []byte(f.epoch))
	for _, given := range f.settings {
		if setting := stream.FindSetting(given[0]); setting != nil && !setting.IsGiven(x.state) {
			if c := x.begin(); setting.Plan(x.state, c, given[1]) {
				x.apply(v, c)
			}
		}
	}
	s.setEpoch(f.epoch)
	return nil
}

// setEpoch names the sequence numbers. Clients get LOADING as yet.
func (s *Service) setEpoch(epoch string) {
	s.epoch.Store(&epoch)
	s.encoder.epoch = epoch
	s.isFounded.Store(true)
}

// resumeOrder goes on where an earlier start has ended.
func (s *Service) resumeOrder() error {
	x := &s.streams
	if epoch := x.state.Text(clusterSource, clusterEpoch); epoch != "" {
		s.setEpoch(epoch)
	}
	if text := x.state.Text(clusterSource, clusterConnectors+connectorsHolder); text != "" {
		s.setHolder(text)
	}
	if text := x.state.Text(clusterSource, clusterState); len(text) >= 8 {
		x.entry.time = int64(binary.LittleEndian.Uint64([]byte(text))) //nolint:gosec // it was one
		x.entry.last = []byte(text[8:])
	}
	if users := x.state.Text(clusterSource, clusterUsers); users != "" {
		if err := s.access.users.Load("the users of the cluster", []byte(users)); err != nil {
			return err //nolint:wrapcheck // it is complete
		}
		s.access.refresh()
	}
	s.access.changed = false
	return nil
}

// ClusterState is what OrderedEntry.Finish has returned for the last entry that streams have; nil if they have none.
func ClusterState(streams *stream.Streams) []byte {
	text := streams.Text(clusterSource, clusterState)
	if len(text) < 8 {
		return nil
	}
	return []byte(text[8:])
}

// SaveClusterState adds the state of the cluster to the log as of the last entry, and returns what the log has then. It returns false if the core
// has stopped.
func (a *Applier) SaveClusterState() (state []byte, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.service.streams
	ok = a.onCore(func(v broker.View) {
		defer func() { state = ClusterState(s.state) }()
		if s.entry.open || s.entry.last == nil || s.entry.unsaved == 0 || s.store.Failed() != nil {
			return
		}
		s.beginRound(v)
		s.entry.open = true
		s.saveState(v, s.entry.last)
		s.entry.open = false
		s.endRound()
	})
	return state, ok
}

// IsFounded reports whether the first entry of the cluster is applied: its epoch is known. Any goroutine may call it.
func (s *Service) IsFounded() bool { return s.isFounded.Load() }

// IneffectiveSetting is a setting that was given to a node, and of which its cluster has another value.
type IneffectiveSetting struct{ Name, Given, InForce string }

// Ineffective returns those of given settings, by name, that are not in force.
func (s *Service) Ineffective(given [][2]string) (all []IneffectiveSetting) {
	s.RunOnCore(func(broker.View) {
		for _, g := range given {
			if setting := stream.FindSetting(g[0]); setting != nil && setting.Value(s.streams.state) != g[1] {
				all = append(all, IneffectiveSetting{g[0], g[1], setting.Value(s.streams.state)})
			}
		}
	})
	return all
}
