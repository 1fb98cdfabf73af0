package cluster

import (
	"encoding/binary"
	"time"
)

// A node whose chain differs from that of a mark does not know which of the two is wrong. It disputes the mark in the log: all voters report their
// chains at that place, in the log as well, so that all nodes count the same reports. The chain that a majority of the voters has is right. Without
// a majority the one that most have is, when the time is over; and of two that as many have, not that of the node that disputes.

// dispute is what a node knows of the one that is open.
type dispute struct {
	at      uint64 // its index in the log; 0 if none is open
	opener  string
	own     mark            // the chain of this node there
	reports map[string]mark // by node
	since   time.Time
}

// encodeDispute makes an entry that begins a dispute.
func encodeDispute(opener string) []byte { return append([]byte{kindDispute}, opener...) }

// report is the chain of a node where a dispute began.
type report struct {
	at   uint64
	mark mark
	name string
}

func (r report) encode() []byte {
	data := binary.LittleEndian.AppendUint64([]byte{kindReport}, r.at)
	data = binary.LittleEndian.AppendUint64(data, r.mark.index)
	data = binary.LittleEndian.AppendUint64(data, r.mark.chain)
	return append(data, r.name...)
}

func decodeReport(data []byte) (report, error) {
	if len(data) < 25 || len(data) > 25+maxName {
		return report{}, errEntry
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(data[1+8*i:]) }
	return report{word(0), mark{word(1), word(2)}, string(data[25:])}, nil
}

// encodeClose makes an entry behind which no reports count.
func encodeClose(at uint64) []byte { return binary.LittleEndian.AppendUint64([]byte{kindClose}, at) }

func decodeClose(data []byte) (at uint64, err error) {
	if len(data) != 9 {
		return 0, errEntry
	}
	return binary.LittleEndian.Uint64(data[1:]), nil
}

// count counts the reports of voters: how many have each chain.
func (d *dispute) count(voters []string) map[mark]int {
	counts := map[mark]int{}
	for _, name := range voters {
		if m, ok := d.reports[name]; ok {
			counts[m]++
		}
	}
	return counts
}

// majority returns the chain that more than half of the voters have.
func (d *dispute) majority(voters []string) (mark, bool) {
	for m, n := range d.count(voters) {
		if 2*n > len(voters) {
			return m, true
		}
	}
	return mark{}, false
}

// most returns the chain that most have. It is false if no chain is ahead of the others: then none is to be trusted.
func (d *dispute) most(voters []string) (best mark, ok bool) {
	counts, most := d.count(voters), 0
	disputes, hasOpener := d.reports[d.opener]
	for m, n := range counts {
		n *= 2
		if hasOpener && m == disputes {
			n--
		}
		switch {
		case n > most:
			best, most, ok = m, n, true
		case n == most:
			ok = false
		}
	}
	return best, ok
}

// applyDispute applies an entry about a dispute.
func (a *applier) applyDispute(index uint64, data []byte) error {
	voters := a.node.voters()
	a.mu.Lock()
	defer a.mu.Unlock()
	d := &a.dispute
	switch data[0] {
	case kindDispute:
		a.differs = false // if it still does, it shows at the next mark
		if d.at == 0 {
			*d = dispute{index, string(data[1:]), mark{a.state.Index, a.state.Chain}, map[string]mark{}, time.Now()}
			a.reportedAt = time.Time{}
			a.node.proposals.signal()
		}
	case kindReport:
		r, err := decodeReport(data)
		if err != nil {
			return err
		}
		if _, known := d.reports[r.name]; known || r.at != d.at || d.at == 0 {
			return nil
		}
		d.reports[r.name] = r.mark
		if right, ok := d.majority(voters); ok {
			a.endDispute(right, true)
		}
	case kindClose:
		at, err := decodeClose(data)
		if err != nil {
			return err
		}
		if at == d.at && len(d.count(voters)) > 0 {
			a.endDispute(d.most(voters))
		}
	}
	return nil
}

// endDispute stops this node if its chain is not the right one.
func (a *applier) endDispute(right mark, any bool) {
	own := a.dispute.own
	a.dispute = dispute{}
	if any && own == right {
		return
	}
	a.halt()
	a.node.options.Machine.Differs(own.index)
}

// disputes returns the entries about a dispute that this node has to put into the log now. open is false if none will follow.
func (a *applier) disputes() (entries [][]byte, open bool) {
	n := a.node
	isVoter := n.isVoter()
	a.mu.Lock()
	defer a.mu.Unlock()
	d := &a.dispute
	if a.stopped || !a.differs && d.at == 0 {
		return nil, false
	}
	if time.Since(a.reportedAt) < n.options.Election {
		return nil, true
	}
	a.reportedAt = time.Now() // what gets lost comes again
	if d.at == 0 {
		return [][]byte{encodeDispute(n.options.Name)}, true
	}
	if _, reported := d.reports[n.options.Name]; !reported && isVoter {
		entries = append(entries, report{d.at, d.own, n.options.Name}.encode())
	}
	if time.Since(d.since) >= n.options.Timeout {
		entries = append(entries, encodeClose(d.at))
	}
	return entries, true
}
