package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// transport is raft's, with pipelines that end. The other nodes get no more of what is committed than the leader's disk has.
type transport struct {
	*raft.NetworkTransport
	node      *Node
	store     *logStore
	announcer *announcer
	away      *away
}

// AppendEntriesPipeline begins to send entries to another node, without waiting for each answer.
func (t transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := t.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err //nolint:wrapcheck // raft compares it
	}
	return newPipeline(p, t, &follower{id: id, address: target, news: make(chan struct{}, 1)}), nil
}

// Close ends the transport. The connections end with the node.
func (t transport) Close() error {
	err := t.NetworkTransport.Close()
	t.announcer.runs.Wait()
	return err //nolint:wrapcheck // raft's
}

// pipeline is one of raft's with room for answers. When a node leads no more, raft stops to take answers out while it may still send; without
// room that waits forever, and the end of the node with it.
type pipeline struct {
	raft.AppendPipeline
	transport
	*follower
	answers chan raft.AppendFuture
	closed  chan struct{}
	once    sync.Once
	runs    sync.WaitGroup
}

// pipelineRoom is many times what raft sends before it looks whether to stop.
const pipelineRoom = 64

func newPipeline(p raft.AppendPipeline, t transport, f *follower) *pipeline {
	own := &pipeline{AppendPipeline: p, transport: t, follower: f, answers: make(chan raft.AppendFuture, pipelineRoom), closed: make(chan struct{})}
	own.runs.Go(own.forward)
	t.announcer.add(own)
	return own
}

func (p *pipeline) forward() {
	for {
		select {
		case <-p.closed:
			return
		case f := <-p.AppendPipeline.Consumer():
			p.answered(f)
			select {
			case p.answers <- f:
			case <-p.closed:
				return
			}
		}
	}
}

// AppendEntries sends entries, and does not wait.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	args.LeaderCommitIndex = p.store.announced(args.LeaderCommitIndex)
	p.sent(args)
	return p.AppendPipeline.AppendEntries(args, resp) //nolint:wrapcheck // raft's
}

// Consumer returns the answers.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close ends the pipeline. An announcement that is on its way may take longer: see transport.Close.
func (p *pipeline) Close() error {
	p.announcer.remove(p)
	p.once.Do(func() { close(p.closed) })
	err := p.AppendPipeline.Close()
	p.runs.Wait()
	return err //nolint:wrapcheck // raft's
}
