// Package node makes the broker of this process one of several with one order: it takes what the broker proposes to the cluster, and what
// a majority has to the broker.
//
// [New] comes before the service is made, since the service proposes to the node. [Node.Start] joins the cluster, and [Node.Ready] is
// closed once the node has caught up: then clients may be served.
//
// The directory of the streams has a subdirectory, cluster, with the log of proposals, the votes, and what another node has sent. The
// streams' own records say up to which entry they go; so their log needs no sync before an answer, and what it loses in a crash is
// applied again.
package node
