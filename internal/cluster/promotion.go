package cluster

import (
	"fmt"
	"strings"
	"time"
)

const (
	// promotedWithin is how long a node may take to have what the leader had when it was to be promoted: an entry that is on its way is no lag.
	promotedWithin = 2 * time.Second
	// lookEvery is how often the leader looks meanwhile.
	lookEvery = 50 * time.Millisecond
)

// checkCaughtUp makes sure, before a member gets a vote, that it has what this leader has, and serves clients. One that has a state alone may lack the
// entries behind it, and so the votes of others: if the leader was lost then, two voters of three might elect none.
func (n *Node) checkCaughtUp(m Member) error {
	own, began := n.Status(), time.Now()
	for {
		s, err := n.statusAt(m)
		lacks := s.lacks(&own)
		switch {
		case err != nil:
			return fmt.Errorf("%s gets no vote: %w; try again once it is ok in NODE LIST", m.Name, err)
		case lacks == "":
			return nil
		case time.Since(began) >= promotedWithin:
			return fmt.Errorf("%s gets no vote yet: it %s; try again once it is ok in NODE LIST", m.Name, lacks)
		}
		select {
		case <-n.ctx.Done():
			return ErrClosed
		case <-time.After(lookEvery):
		}
	}
}

// lacks is what a node lacks of the leader's status, empty if that is nothing. The log has entries that are no proposals, such as those of votes.
func (s *Status) lacks(leader *Status) string {
	var all []string
	if lag := s.progress().behind(leader.progress()); lag.entries > 0 {
		all = append(all, fmt.Sprintf("lacks %d entries of %d bytes", lag.entries, lag.bytes))
	} else if s.Committed < leader.Committed {
		all = append(all, fmt.Sprintf("lacks the last %d entries of the log", leader.Committed-s.Committed))
	}
	if !s.Serves {
		all = append(all, "serves no clients yet")
	}
	return strings.Join(all, ", and ")
}
