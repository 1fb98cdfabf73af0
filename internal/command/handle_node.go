package command

import (
	"fmt"
	"strings"

	"github.com/conchmq/conch/protocol"
)

// clusterNodes returns the nodes; else it has replied with an error.
func (w *response) clusterNodes() Nodes {
	n := w.executor.service.options.Nodes
	if n == nil {
		w.fail(protocol.Errorf("this conch runs alone; start it with --cluster-name to make it a node of a cluster"))
	}
	return n
}

// nodeList is NODE LIST: a map for each member, or rows for a person at a terminal.
func nodeList(w *response) {
	n := w.clusterNodes()
	if n == nil {
		return
	}
	s := n.NodeStatus()
	if !w.isTyped() {
		w.members(&s)
		return
	}
	for i := range s.Members {
		m := &s.Members[i]
		row := "# " + m.Name + " " + m.Address + " " + m.vote()
		if m.Name == s.Leader {
			row += " leader"
		}
		if m.Name == s.Name {
			row += " this-node"
		}
		for _, f := range s.MemberFields(m)[memberNames:] {
			row += fmt.Sprintf(" %s=%v", f.Name, f.Value)
		}
		w.buf = protocol.AppendLineEnd(append(w.buf, oneLine(row)...), w.inv.crlf)
	}
	w.buf = protocol.AppendLineEnd(fmt.Appendf(w.buf, "OK NODE LIST %d", len(s.Members)), w.inv.crlf)
}

// members is an array with a map for each member.
func (w *response) members(s *NodeStatus) {
	w.array(len(s.Members))
	for i := range s.Members {
		w.nodeFields(s.MemberFields(&s.Members[i]), 0)
	}
}

// nodeFields is a map, in which more fields follow.
func (w *response) nodeFields(all []NodeField, more int) {
	w.mapHeader(len(all) + more)
	for _, f := range all {
		w.text(f.Name)
		if n, ok := f.Value.(int64); ok {
			w.integer(n)
		} else {
			w.text(fmt.Sprint(f.Value))
		}
	}
}

// nodeStatus is NODE STATUS.
func nodeStatus(w *response) {
	n := w.clusterNodes()
	if n == nil {
		return
	}
	s := n.NodeStatus()
	w.nodeFields(s.Fields(), 1)
	w.text("members")
	w.members(&s)
}

// nodeChange is a command that changes the members: it waits for a majority, so the reader does it.
func nodeChange(change func(n Nodes, args []string) error) func(*response) {
	return func(w *response) {
		n := w.clusterNodes()
		if n == nil {
			return
		}
		var args []string
		for _, arg := range w.inv.args[2:] {
			args = append(args, string(arg))
		}
		w.deferToReader(func() func(*response) {
			err := change(n, args)
			return func(w *response) {
				if err != nil {
					w.fail(protocol.Errorf("%s", oneLine(err.Error())))
					return
				}
				w.ok()
			}
		})
	}
}

// NodeStatus is how this node sees its cluster; of a broker alone it is empty. Any goroutine may call it.
func (s *Service) NodeStatus() (status NodeStatus) {
	if n := s.options.Nodes; n != nil {
		status = n.NodeStatus()
	}
	return status
}

// infoReplication is the section Replication: how this node does among the others. Each node takes changes, so it is a master to clients of Redis.
func infoReplication(w *response) []string {
	s := w.executor.service.NodeStatus()
	lines := []string{"role:master", "connected_slaves:0"}
	own := &ClusterMember{}
	if s.Role == roleRemoved { // the log of this node may have its removal
		own.State = s.Role
	}
	for i := range s.Members {
		if s.Members[i].Name == s.Name {
			own = &s.Members[i]
		}
	}
	for _, f := range s.MemberFields(own)[memberNames:] {
		switch f.Name {
		case "state", "lag_entries", "lag_bytes", "snapshot", "snapshot_age":
			lines = append(lines, fmt.Sprintf("node_%s:%v", f.Name, f.Value))
		}
	}
	return lines
}

// infoCluster is the section Cluster. Its fields are there where conch runs alone, too, so that a dashboard finds every name.
func infoCluster(w *response) []string {
	s := w.executor.service.NodeStatus()
	lines := []string{"cluster_enabled:0"} // the protocol of Redis Cluster, which conch does not speak
	for _, f := range s.Fields() {
		lines = append(lines, fmt.Sprintf("node_%s:%v", f.Name, f.Value))
	}
	lines = append(lines, fmt.Sprintf("node_members:%d", len(s.Members)))
	for i := range s.Members {
		row := ""
		for _, f := range s.MemberFields(&s.Members[i]) {
			if f.Name != "error" { // it may have commas
				row += fmt.Sprintf(",%s=%v", f.Name, f.Value)
			}
		}
		lines = append(lines, fmt.Sprintf("node_member_%d:%s", i, strings.TrimPrefix(row, ",")))
	}
	return lines
}
