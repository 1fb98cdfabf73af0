package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/stream"
)

// The nodes of a cluster share which of them runs the connectors, and which of these are paused. Both are texts of their state.
//
// What connectors propose carries the token of the node that runs them. It has no effect behind the entry that names another node: one that
// does not know yet that another has taken over cannot publish or read for it.

// orderedConnectors is the first byte of the body of an entry that sets such a text, or removes it if it is empty. No flags of an origin are
// the same.
const orderedConnectors = 0xf2

// The names of the texts.
const (
	clusterConnectors = "connectors/" // in front of all of them
	connectorsHolder  = "holder"
	connectorsPaused  = "paused/"  // and the connector: see connectorID
	connectorsDropped = "dropped/" // and the connector, of which nothing is kept from here on; it is no text
)

// connectorHolder is the node that runs the connectors, and its token, which no other entry has.
type connectorHolder struct{ token, node string }

// errNotHolder is the error of what connectors do on a node that does not run them.
var errNotHolder = errors.New("another node of the cluster runs the connectors")

func connectorID(d Direction, name string) string { return string(d) + "/" + name }

func connectorsBody(name, text string) []byte {
	return appendLong(appendLong([]byte{orderedConnectors}, []byte(name)), []byte(text))
}

// HolderBody makes the body of the entry by which this node becomes the one that runs the connectors.
func (s *Service) HolderBody() []byte {
	token := fmt.Sprintf("%s-%d", s.runID, s.holders.Add(1))
	return connectorsBody(connectorsHolder, token+" "+s.options.NodeName)
}

// PausedBody makes the body of the entry by which a connector is paused, or goes on.
func (s *Service) PausedBody(d Direction, name string, paused bool) (body []byte, err error) {
	text, id := "", connectorsPaused+connectorID(d, name)
	if paused {
		text = "1"
	}
	s.runOnCore(func(broker.View) {
		if paused && !s.streams.state.HasRoomForText(clusterSource, clusterConnectors+id) {
			err = stream.ErrManyTexts
		}
	})
	return connectorsBody(id, text), err
}

// DroppedBody makes the body of the entry by which nothing is kept of a connector that is in no file any more; nil if nothing is.
func (s *Service) DroppedBody(d Direction, name string) (body []byte) {
	s.runOnCore(func(broker.View) {
		isPaused := s.streams.state.Text(clusterSource, clusterConnectors+connectorsPaused+connectorID(d, name)) != ""
		if isPaused || d == Source && s.streams.hasPositions(name) {
			body = connectorsBody(connectorsDropped+connectorID(d, name), "")
		}
	})
	return body
}

// dropConnector applies such an entry.
func (s *streams) dropConnector(v broker.View, id string) {
	s.setText(v, clusterConnectors+connectorsPaused+id, nil)
	if source, is := strings.CutPrefix(id, connectorID(Source, "")); is {
		for s.removePositions(v, source) {
		}
	}
}

func (a *Applier) applyConnectors(e *OrderedEntry) error {
	in := bodyReader{left: e.Parts[0].Body[1:]}
	name, text := string(in.text()), in.text()
	if in.err != nil {
		return in.err
	}
	s := a.service
	return a.change(e, func(v broker.View) error {
		id, isDropped := strings.CutPrefix(name, connectorsDropped)
		switch {
		case isDropped:
			s.streams.dropConnector(v, id)
		case name == connectorsHolder:
			s.streams.setText(v, clusterConnectors+name, text)
			s.setHolder(string(text))
			s.eachClient(func(e *executor) {
				if e.isStale() { // a sink has no subscription from here on
					e.evictAfterRequest(v, CloseReasonTakenOver)
				}
			})
		default:
			s.streams.setNamedText(v, clusterConnectors+name, text)
		}
		s.connectorsChange.wake()
		return nil
	})
}

func (s *Service) setHolder(text string) {
	h := new(connectorHolder)
	h.token, h.node, _ = strings.Cut(text, " ")
	s.holder.Store(h)
}

// IsPaused reports whether a connector is paused, as the nodes of a cluster share it.
func (s *Service) IsPaused(d Direction, name string) (paused bool) {
	s.runOnCore(func(broker.View) {
		paused = s.streams.state.Text(clusterSource, clusterConnectors+connectorsPaused+connectorID(d, name)) != ""
	})
	return paused
}

// ConnectorsChange returns a channel that is closed when the nodes of a cluster have changed what they share about connectors.
func (s *Service) ConnectorsChange() <-chan struct{} { return s.connectorsChange.wait() }

// RunsConnectors reports whether this node runs the connectors: alone, or as the one that its cluster names.
func (s *Service) RunsConnectors() bool {
	_, err := s.connectorToken()
	return err == nil
}

// ConnectorNode is the name of the node that runs the connectors; empty outside of a cluster, and before there is one.
func (s *Service) ConnectorNode() string {
	if h := s.holder.Load(); h != nil {
		return h.node
	}
	return ""
}

// connectorToken is what connectors of this node have to carry from now on, or the error that it runs none. A broker alone has none.
func (s *Service) connectorToken() (string, error) {
	switch h := s.holder.Load(); {
	case s.options.Order == nil:
		return "", nil
	case h == nil || !strings.HasPrefix(h.token, s.runID):
		return "", errNotHolder
	default:
		return h.token, nil
	}
}

// checkToken returns why what carries a token may not take effect. The core calls it.
func (s *Service) checkToken(token string) error {
	if h := s.holder.Load(); token != "" && (h == nil || h.token != token) {
		return errNotHolder
	}
	return nil
}

// ActAsConnector is ActAsBroker for a connection by which a connector reads. On a node of a cluster it ends when another node takes over.
func (c *Conn) ActAsConnector() error {
	c.ActAsBroker()
	token, err := c.service.connectorToken()
	if token != "" {
		c.usesStreams().connector = token
	}
	return err
}

// isStale reports whether the connection is one of a connector that another node runs by now.
func (e *executor) isStale() bool {
	x := e.streamClient.Load()
	return x != nil && e.service.checkToken(x.connector) != nil
}
