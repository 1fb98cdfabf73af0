package cluster_test

import (
	"cmp"
	"encoding/gob"
	"errors"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/conchmq/conch/internal/cluster"
)

// fact is a proposal as a machine has applied it.
type fact struct {
	Origin, Body string
	Place        uint64 // by the index of its entry
}

// machine remembers all entries: its state is their list.
type machine struct {
	mu        sync.Mutex
	facts     []fact
	points    []point          // one for each fact, from the first that a crash can leave
	fates     map[string]error // of the tokens: nil is applied
	differs   bool
	tampered  bool // its digests are wrong
	losesNext bool // it loses the next entry, and knows nothing of that
	unfit     bool // its state is none for the next entry
	refuses   bool // states of other nodes
	keeps     bool // its state: it sends none
	received  int
	gate      chan struct{} // each entry waits for it to be closed; nil is open
}

// point is what the machine saves behind an entry.
type point struct {
	facts int
	saved []byte // the cluster's state
	index uint64
}

func newMachine() *machine { return &machine{fates: map[string]error{}, points: []point{{}}} }

func (m *machine) Apply(e cluster.Entry, state *cluster.State) error {
	m.mu.Lock()
	gate := m.gate
	m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unfit || string(e.Parts[0].Body) == founding && len(m.facts) == 0 {
		m.unfit = false
		return cluster.ErrStateNeeded
	}
	for i, p := range e.Parts {
		if !m.losesNext {
			m.facts = append(m.facts, fact{e.Origin, string(p.Body), e.Index<<16 + uint64(i)})
		}
		m.losesNext = false
		if p.Token != nil {
			m.fates[p.Token.(string)] = nil
		}
	}
	digest := uint64(len(m.facts))
	if m.tampered {
		digest++
	}
	state.Digest(digest)
	m.points = append(m.points, point{len(m.facts), state.Append(nil), e.Index})
	return nil
}

func (m *machine) Lost(token any, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if answered, known := m.fates[token.(string)]; !known || answered != nil {
		m.fates[token.(string)] = err
	}
}

// answer notes that a proposal was answered, before it is applied: tests show by this what a node must not do.
func (m *machine) answer(token any) { m.Lost(token, nil) }

// WaitSaved saves what is there: a crash leaves it.
func (m *machine) WaitSaved(uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.points = m.points[len(m.points)-1:]
	return nil
}

// crash goes back to one of the states that may have been saved.
func (m *machine) crash(random *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.points = m.points[:1+random.IntN(len(m.points))]
	m.facts = m.facts[:m.points[len(m.points)-1].facts]
}

// saved returns the cluster's state that the machine begins with.
func (m *machine) saved() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.points[len(m.points)-1].saved
}

func (m *machine) Differs(uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.differs = true
}

var (
	errRefuses = errors.New("a machine that takes no state")
	errKeeps   = errors.New("a machine that sends no state")
)

type copied struct {
	Facts []fact
	Saved []byte
}

func (m *machine) Send(w io.Writer) error {
	m.mu.Lock()
	c, keeps := copied{slices.Clone(m.facts), m.points[len(m.points)-1].saved}, m.keeps
	m.mu.Unlock()
	if keeps {
		return errKeeps
	}
	return gob.NewEncoder(w).Encode(c)
}

func (m *machine) Receive(r io.Reader, index uint64) (cluster.State, error) {
	var c copied
	if err := gob.NewDecoder(r).Decode(&c); err != nil {
		return cluster.State{}, err
	}
	s, err := cluster.DecodeState(c.Saved)
	if err = cmp.Or(err, s.CheckAge(index)); err != nil {
		return cluster.State{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.received++
	if m.refuses {
		return cluster.State{}, errRefuses
	}
	m.facts, m.points = c.Facts, []point{{len(c.Facts), c.Saved, s.Index}}
	return s, nil
}

// refuse makes the machine refuse the states of other nodes, or take them again.
func (m *machine) refuse(refuses bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuses = refuses
}

// keep makes the machine send its state to no node, or send it again.
func (m *machine) keep(keeps bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keeps = keeps
}

// gotStates returns how many states have come, refused ones too.
func (m *machine) gotStates() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received
}

func (m *machine) list() []fact {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.facts)
}

// digest is of all facts.
func (m *machine) digest() uint64 {
	h := fnv.New64a()
	for _, f := range m.list() {
		_, _ = io.WriteString(h, f.Origin+" "+f.Body+"\n")
	}
	return h.Sum64()
}

func (m *machine) isDifferent() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.differs
}

func (m *machine) fate(token string) (err error, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	err, known = m.fates[token]
	return err, known
}
