package web

import "github.com/conchmq/conch/internal/command"

// getCluster is GET /cluster: the nodes as this one sees them; no members where conch runs alone. The right is that to INFO, which shows the same.
func (x *exchange) getCluster() error {
	return x.once([]string{"INFO", "cluster"}, func(any) any {
		s := x.server.service.NodeStatus()
		rows := []any{}
		for i := range s.Members {
			rows = append(rows, nodeObject(s.MemberFields(&s.Members[i])))
		}
		return append(nodeObject(s.Fields()), field{"members", rows})
	})
}

// nodeObject has the fields of a node; what is yes or no is a boolean.
func nodeObject(fields []command.NodeField) (o object) {
	for _, f := range fields {
		value := f.Value
		if f.Name == "majority" || f.Name == "healthy" {
			value = f.Value == int64(1)
		}
		o = append(o, field{f.Name, value})
	}
	return o
}
