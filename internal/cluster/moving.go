package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// checkAt makes sure, before a node is added at an address, that it is the one there. A member that is moved must run there: else an address with a typo
// would cut it off, with its vote. A new one has no vote, and may start later.
func (n *Node) checkAt(m Member) error {
	was, err := n.member(m.Name)
	isMember := err == nil
	switch {
	case isMember && was.Address == m.Address:
		return nil
	case m.Name == n.options.Name && m.Address == n.options.Address: // it was started at another address, and leads
		return nil
	case m.Name == n.options.Name:
		return fmt.Errorf("%s leads, and runs at %s: first start it at its new address", m.Name, n.options.Address)
	}
	s, err := n.statusAt(m)
	switch op := (*net.OpError)(nil); {
	case err != nil && errors.As(err, &op) && op.Op == "dial":
		if !isMember {
			return nil
		}
		return fmt.Errorf("%s stays at %s: %w; first start it at its new address, with its directory", m.Name, was.Address, err)
	case err != nil:
		return fmt.Errorf("not added: %w", err)
	case s.Address != "" && s.Address != m.Address:
		return fmt.Errorf("not added: %s at %s expects to be dialed at %s: give that address, or start it with --cluster-listen %s", m.Name, m.Address, s.Address, m.Address)
	case was.Voter && s.Cluster == "":
		return fmt.Errorf("not added: %s at %s has an empty directory, and %s has a vote: NODE REMOVE it first", m.Name, m.Address, m.Name)
	}
	return nil
}

// statusAt returns the status of a node that is not known to run at its address.
func (n *Node) statusAt(m Member) (s Status, err error) {
	link, err := n.dialStatus(m)
	if err == nil {
		defer link.close()
		s, err = link.request()
	}
	switch absent := (*absentError)(nil); {
	case errors.Is(err, io.EOF):
		return s, fmt.Errorf("what is at %s is no node of a cluster, or has other TLS settings", m.Address)
	case errors.As(err, &absent):
		return s, fmt.Errorf("no node answers at %s: %w", m.Address, err)
	}
	return s, err
}
