package cluster

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// version is of what nodes send each other and have in their logs. A build for tests can set another.
var version = "3"

// hello is the first line of a connection between nodes.
type hello struct {
	cluster       uint64 // 0 if the dialing node does not know it yet
	from, address string
	clock         int64 // of the dialing node, in seconds
	to, carries   string
}

const helloPrefix = "conch-cluster/"

func (h hello) String() string {
	return fmt.Sprintf("%s%s %016x %s %s %d %s %s\n", helloPrefix, version, h.cluster, h.from, h.address, h.clock, h.to, h.carries)
}

var errNotNode = errors.New("this port is for other nodes of the cluster")

// parseHello reads a line without its end.
func parseHello(line string) (h hello, err error) {
	words := strings.Split(line, " ")
	other, ok := strings.CutPrefix(words[0], helloPrefix)
	if ok && other != version {
		return h, fmt.Errorf("it speaks version %s of the cluster's protocol, and this node version %s: run one version of conch on all nodes", other, version)
	}
	if !ok || len(words) != 7 {
		return h, errNotNode
	}
	h.from, h.address, h.to, h.carries = words[2], words[3], words[5], words[6]
	if h.cluster, err = strconv.ParseUint(words[1], 16, 64); err != nil {
		return h, errNotNode
	}
	if h.clock, err = strconv.ParseInt(words[4], 10, 64); err != nil || !validName.MatchString(h.from) {
		return h, errNotNode
	}
	return h, nil
}

// hello is the line for a connection to another node.
func (n *Node) hello(to, carries string) hello {
	return hello{n.applier.cluster(), n.options.Name, n.options.Address, n.options.now().Unix(), to, carries}
}

// refuses returns why a connection of another node is refused, or nil.
func (n *Node) refuses(h hello) error {
	own := n.applier.cluster()
	switch {
	case h.from == n.options.Name:
		return fmt.Errorf("two nodes are named %s: each needs a name of its own", h.from)
	case h.to != n.options.Name:
		return fmt.Errorf("this node is %s, not %s", n.options.Name, h.to)
	case h.cluster != 0 && own != 0 && h.cluster != own:
		return fmt.Errorf("%s is of cluster %016x, and %s of cluster %016x: give the one that is to change empty directories, and add it anew", h.from, h.cluster, h.to, own)
	case !slices.Contains([]string{carriesRaft, carriesProposals, carriesState, carriesStatus}, h.carries):
		return fmt.Errorf("unknown word %q", h.carries)
	}
	return n.refusesMember(h)
}

// refusesMember returns why a node is none of this cluster. The leader alone knows that: others may be behind.
func (n *Node) refusesMember(h hello) error {
	if !n.Leads() {
		return nil
	}
	all := n.Members()
	i := slices.IndexFunc(all, func(m Member) bool { return m.Name == h.from })
	switch {
	case i < 0:
		return &noMember{h.from}
	case all[i].Address != h.address:
		return fmt.Errorf("%s is a member at %s, and this one is at %s: two nodes have one name, or the node has moved; tell the cluster by NODE ADD",
			h.from, all[i].Address, h.address)
	}
	return nil
}

// clocksApart is from when on the clocks of two nodes are worth a warning. Everything works with any.
const clocksApart = 10 * time.Second

func (n *Node) compareClock(h hello) {
	apart := time.Unix(h.clock, 0).Sub(n.options.now()).Round(clocksApart)
	if apart.Abs() < clocksApart {
		return
	}
	n.reportAs("clock of "+h.from, fmt.Errorf("the clock of %s is %v ahead of that of %s: ids and ages of entries depend on the node that adds them", h.from, apart, n.options.Name))
}

// answerHello reads the first line of another node, and answers it.
func (n *Node) answerHello(c net.Conn) (h hello, err error) {
	if err := c.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return h, err
	}
	line, err := readLine(c)
	if err != nil {
		return h, err
	}
	if h, err = parseHello(line); err == nil {
		err = n.refuses(h)
	}
	if err != nil {
		return h, err
	}
	n.compareClock(h)
	if _, err := c.Write([]byte("OK\n")); err != nil {
		return h, err
	}
	return h, c.SetDeadline(time.Time{})
}

// reportAs reports an error, one of each key once a minute: texts of one kind may differ.
func (n *Node) reportAs(key string, err error) {
	n.reported.Lock()
	last, known := n.reported.at[key]
	again := !known || time.Since(last) >= time.Minute
	if again {
		if len(n.reported.at) >= maxReported {
			clear(n.reported.at)
		}
		n.reported.at[key] = time.Now()
	}
	n.reported.Unlock()
	if again {
		n.options.Report(err)
	}
}

// maxReported bounds what is remembered: others choose parts of the texts.
const maxReported = 100

// report reports an error, each text once a minute. That a node cannot be reached is none while it may be starting, as this one is.
func (n *Node) report(err error) {
	if absent := (*absentError)(nil); errors.As(err, &absent) && n.peers.mayStart(absent.name) {
		return
	}
	n.reportAs(err.Error(), err)
}
