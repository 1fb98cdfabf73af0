// Package cluster keeps one sequence of entries on several nodes: what one node proposes is in the log of a majority before any node
// applies it, and all nodes apply the same entries in the same order. It knows bytes, and no topic.
//
// The engine is hashicorp/raft over [log.Log]. What raft lacks is here: proposals of nodes that do not lead, each applied once and in the order
// of its node; announcements, by which the followers get at once what is committed; marks, by which nodes compare their
// states; a state that is sent to a node that is too far behind.
//
// # Proposals
//
// A node numbers its proposals: an incarnation, which is larger at each start, and a count within it. Every node applies a proposal if its count
// follows the last one of its incarnation, and skips it otherwise. So a node may send everything again whenever it is in doubt: when the
// leader changes, when a connection breaks, when nothing has come back for an election's time. What was refused for a gap is sent again, in
// order. An entry has one proposal, or several that follow each other.
//
// A proposal that is not committed within [Options.Timeout] is given up, with all behind it, and a new incarnation begins: its first entry
// ends the old one, of which nothing can be applied afterwards. What was sent has an unknown fate then ([ErrUnknown]), and what was not sent has
// none ([ErrNoLeader]).
//
// # Which cluster
//
// The first leader draws a number for the cluster, which is in the log and in each state. The first line of each connection between nodes has it, with
// the version, both nodes, the address and the clock. So a directory of another cluster, a second node of one name and a node that was removed are
// refused, and both sides report why.
//
// # Goroutines
//
// raft has its own, and calls the applier from one of them. A [Node] has the sender, which alone proposes; the marker, which is
// the leader's; one that announces to each follower, while the node leads; one that requests the
// status of each other node once a second; and one for each connection of another node. [Node.Close] waits
// for all.
package cluster
