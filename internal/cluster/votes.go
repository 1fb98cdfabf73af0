package cluster

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
)

const voteFile = "vote"

// votes is raft's stable store: its term and its vote, and the last incarnation of this node. Any goroutine may call it.
type votes struct {
	files  files
	failed func(error) // nil until raft runs

	mu     sync.Mutex
	values map[string]string
	term   string // of the vote whose candidate comes next
}

const incarnationKey = "incarnation"

func openVotes(f files) (*votes, error) {
	v := &votes{files: f, values: map[string]string{}}
	return v, f.read(voteFile, &v.values)
}

// errNoValue has the text by which raft knows it.
var errNoValue = errors.New("not found")

func (v *votes) Set(key, value []byte) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := maps.Clone(v.values)
	next[string(key)] = string(value)
	if string(key) == candidateKey && v.term != "" {
		next[voteTermKey], v.term = v.term, ""
	}
	if err := v.files.write(voteFile, next); err != nil {
		return err // raft would give a vote again that it finds here
	}
	v.values = next
	return nil
}

func (v *votes) Get(key []byte) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := v.values[string(key)]
	if !ok {
		return nil, errNoValue
	}
	return []byte(value), nil
}

// raft's keys of a vote. It sets the term, then the candidate, and gives its vote behind that.
const (
	voteTermKey  = "LastVoteTerm"
	candidateKey = "LastVoteCand"
)

// SetUint64 is for raft's terms. raft panics at an error; instead the node fails, and the goroutine ends: in a term that is not on the disk
// this node must do nothing.
//
// The term of a vote is written together with its candidate: an election waits for each write of two nodes, and is lost if they take longer than
// an election's time.
func (v *votes) SetUint64(key []byte, n uint64) error {
	if string(key) == voteTermKey {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.term = strconv.FormatUint(n, 10)
		return nil
	}
	if now, err := v.GetUint64(key); err == nil && now == n {
		return nil
	}
	err := v.setNumber(key, n)
	if err != nil && v.failed != nil {
		v.failed(fmt.Errorf("the term of the cluster: %w", err))
		runtime.Goexit()
	}
	return err
}

func (v *votes) setNumber(key []byte, n uint64) error {
	return v.Set(key, strconv.AppendUint(nil, n, 10))
}

func (v *votes) GetUint64(key []byte) (uint64, error) {
	value, err := v.Get(key)
	if errors.Is(err, errNoValue) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	return strconv.ParseUint(string(value), 10, 64)
}

// incarnations is how far apart at most two are that follow each other.
const incarnations = 1 << 40

// nextIncarnation is larger than all before it and another number, and is on the disk when it is returned. How much larger is random: a node that
// has lost its directory, and has an old state, lacks its last ones. Their entries must not answer its proposals.
func (v *votes) nextIncarnation(after uint64) (uint64, error) {
	last, err := v.GetUint64([]byte(incarnationKey))
	if err != nil {
		return 0, err
	}
	next := max(last, after) + 1 + rand.Uint64N(incarnations) //nolint:gosec // it need not be a secret
	return next, v.setNumber([]byte(incarnationKey), next)
}

const (
	nodeKey    = "node"
	clusterKey = "cluster"
)

// belong makes sure that the directory is that of a node, and of the cluster of its state, if both have one. It returns the cluster.
func (v *votes) belong(name string, cluster uint64) (uint64, error) {
	v.mu.Lock()
	node, known := v.values[nodeKey]
	v.mu.Unlock()
	if known && node != name {
		return 0, fmt.Errorf("the directory is that of node %s, and this one is named %s: each node needs a directory of its own", node, name)
	}
	if !known {
		if err := v.Set([]byte(nodeKey), []byte(name)); err != nil {
			return 0, err
		}
	}
	own, err := v.GetUint64([]byte(clusterKey))
	if err == nil && own != 0 && cluster != 0 && own != cluster {
		err = fmt.Errorf("the streams are of cluster %016x, and the log is of cluster %016x: they are of two directories", cluster, own)
	}
	return max(own, cluster), err
}
