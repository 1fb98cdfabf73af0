package cluster

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Kinds of entries, the first byte of each.
const (
	kindMark     = 2
	kindCluster  = 3 // the cluster's number, which its first leader draws
	kindDispute  = 4 // a node has another chain than a mark
	kindReport   = 5 // the chain of a voter, because of a dispute
	kindClose    = 6 // the dispute is over
	kindProposed = 7 // proposals of one node that follow each other
)

// Entry has proposals of one node that a majority has.
type Entry struct {
	Index  uint64 // of the log; it grows, with holes
	Origin string // the node that proposed them
	Time   int64  // that the origin gave for the last one, in nanoseconds
	Parts  []Part // at least one
}

// Part is one proposal.
type Part struct {
	Body  []byte // not to be kept: raft may share it
	Token any    // what was given to Propose, nil on all nodes but the origin, and there once it was given up
}

// proposed is an entry of proposals as it is in the log.
type proposed struct {
	origin      string
	incarnation uint64
	first       uint64 // the count of the first one; the others follow
	time        int64
	bodies      [][]byte
}

const maxName = 64

// last is the count of the last proposal.
func (p *proposed) last() uint64 { return p.first + uint64(len(p.bodies)) - 1 }

func (p *proposed) encode() []byte {
	size := 2 + len(p.origin) + 24
	for _, b := range p.bodies {
		size += binary.MaxVarintLen32 + len(b)
	}
	data := append(make([]byte, 0, size), kindProposed, byte(len(p.origin))) //nolint:gosec // a name is at most 64 bytes
	data = append(data, p.origin...)
	data = binary.LittleEndian.AppendUint64(data, p.incarnation)
	data = binary.LittleEndian.AppendUint64(data, p.first)
	data = binary.LittleEndian.AppendUint64(data, uint64(p.time)) //nolint:gosec // and back
	for _, b := range p.bodies {
		data = append(binary.AppendUvarint(data, uint64(len(b))), b...)
	}
	return data
}

var errEntry = errors.New("an entry of the cluster's log cannot be read; its nodes run different versions")

func decodeProposed(data []byte) (proposed, error) {
	if len(data) < 2 || data[0] != kindProposed {
		return proposed{}, errEntry
	}
	n := int(data[1])
	data = data[2:]
	if n > maxName || len(data) < n+24 {
		return proposed{}, errEntry
	}
	p := proposed{origin: string(data[:n])}
	data = data[n:]
	p.incarnation, p.first = binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
	p.time = int64(binary.LittleEndian.Uint64(data[16:])) //nolint:gosec // it was one
	for data = data[24:]; len(data) > 0; {
		size, used := binary.Uvarint(data)
		if used <= 0 || size > uint64(len(data)-used) {
			return proposed{}, errEntry
		}
		data = data[used:]
		p.bodies, data = append(p.bodies, data[:size:size]), data[size:]
	}
	if len(p.bodies) == 0 {
		return proposed{}, errEntry
	}
	return p, nil
}

// mark is an entry by which each node compares its state: it has the chain of the leader up to an index.
type mark struct{ index, chain uint64 }

func (m mark) encode() []byte {
	data := binary.LittleEndian.AppendUint64([]byte{kindMark}, m.index)
	return binary.LittleEndian.AppendUint64(data, m.chain)
}

func decodeMark(data []byte) (mark, error) {
	if len(data) != 17 || data[0] != kindMark {
		return mark{}, errEntry
	}
	return mark{binary.LittleEndian.Uint64(data[1:]), binary.LittleEndian.Uint64(data[9:])}, nil
}

func encodeCluster(number uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{kindCluster}, number)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// link is the chain behind one more entry, of which digest is what the state machine made of it.
func link(chain, index, digest uint64, body []byte) uint64 {
	chain = mix(chain ^ index)
	chain = mix(chain ^ uint64(crc32.Checksum(body, castagnoli)))
	return mix(chain ^ digest)
}

// mix spreads each bit of a number over all of it: the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
