package cluster_test

import (
	"encoding/gob"
	"io"
	"sync"

	"github.com/conchmq/conch/internal/cluster"
)

// fact is an entry as a machine has applied it.
type fact struct{ Origin, Body string }

// machine remembers all entries: its state is their list.
type machine struct {
	mu       sync.Mutex
	facts    []fact
	saved    []byte // the cluster's state behind the last one
	index    uint64
	fates    map[string]error // of the tokens: nil is applied
	differs  bool
	tampered bool // its digests are wrong
	received int
}

func newMachine() *machine { return &machine{fates: map[string]error{}} }

func (m *machine) Apply(e cluster.Entry, state *cluster.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts = append(m.facts, fact{e.Origin, string(e.Body)})
	if e.Token != nil {
		m.fates[e.Token.(string)] = nil
	}
	digest := uint64(len(m.facts))
	if m.tampered {
		digest++
	}
	state.Digest(digest)
	m.saved, m.index = state.Append(nil), e.Index
}

func (m *machine) Lost(token any, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fates[token.(string)] = err
}

func (m *machine) WaitSaved(uint64) error { return nil }

func (m *machine) Differs(uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.differs = true
}

type copied struct {
	Facts []fact
	Saved []byte
}

func (m *machine) Send(w io.Writer) error {
	m.mu.Lock()
	c := copied{append([]fact(nil), m.facts...), m.saved}
	m.mu.Unlock()
	return gob.NewEncoder(w).Encode(c)
}

func (m *machine) Receive(r io.Reader) (cluster.State, error) {
	var c copied
	if err := gob.NewDecoder(r).Decode(&c); err != nil {
		return cluster.State{}, err
	}
	s, err := cluster.DecodeState(c.Saved)
	if err != nil {
		return cluster.State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.facts, m.saved, m.index = c.Facts, c.Saved, s.Index
	m.received++
	return s, nil
}

func (m *machine) list() []fact {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]fact(nil), m.facts...)
}

func (m *machine) fate(token string) (err error, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err, known = m.fates[token]
	return err, known
}
