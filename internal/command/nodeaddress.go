package command

import (
	"github.com/conchmq/conch/broker"
)

// Nodes tell each other where clients reach them, by an entry of the order, so that one that stops can name another one.

// orderedAddress is the first byte of the body of such an entry. No flags of an origin are the same.
const orderedAddress = 0xf1

// clusterAddress is in front of a node's name in the name of the text that has its address.
const clusterAddress = "address/"

// AddressBody makes the body of the entry by which this node tells its address; nil if the others know it.
func (s *Service) AddressBody() (body []byte) {
	o := &s.options
	s.runOnCore(func(broker.View) {
		if s.streams.state.Text(clusterSource, clusterAddress+o.NodeName) != o.NodeAddress {
			body = addressBody(o.NodeName, o.NodeAddress)
		}
	})
	return body
}

// NoAddressBody makes the body of the entry by which the address of a node is forgotten.
func (s *Service) NoAddressBody(name string) []byte { return addressBody(name, "") }

func addressBody(name, address string) []byte {
	return appendLong(appendLong([]byte{orderedAddress}, []byte(name)), []byte(address))
}

func (a *Applier) applyAddress(e *OrderedEntry) error {
	in := bodyReader{left: e.Parts[0].Body[1:]}
	name, address := string(in.text()), in.text()
	if in.err != nil {
		return in.err
	}
	return a.change(e, func(v broker.View) error {
		a.service.streams.setNamedText(v, clusterAddress+name, address)
		return nil
	})
}

// nextAddress is where clients of this node go on when it stops: at the leader, else at a member that is ok, else at any other. It runs on the core.
func (s *Service) nextAddress() (address string) {
	if s.options.Nodes == nil {
		return ""
	}
	status, best := s.options.Nodes.NodeStatus(), 0
	for _, m := range status.Members {
		rank := 1
		switch {
		case m.Name == status.Leader:
			rank = 3
		case m.State == "ok":
			rank = 2
		}
		if text := s.streams.state.Text(clusterSource, clusterAddress+m.Name); text != "" && m.Name != status.Name && rank > best {
			address, best = text, rank
		}
	}
	return address
}
