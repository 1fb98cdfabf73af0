package attack

import (
	"errors"
	"fmt"
)

// manyNames is the number of topics of one command, below the limit of arguments.
const manyNames = 1_000_000

// noOutputLimit keeps Redis from disconnecting clients that read a million replies slowly.
var noOutputLimit = []string{"--client-output-buffer-limit", "pubsub 0 0 0"}

// nameAttacks are commands with very many names, and a transaction with very many commands. Point 11.
var nameAttacks = []Scenario{
	{Name: "11-subscribe", Title: "SUBSCRIBE to 1,000,000 names", RedisArgs: noOutputLimit, run: subscribeMany},
	{Name: "11b-numsub", Title: "PUBSUB NUMSUB of 1,000,000 names", RedisArgs: noOutputLimit, run: countMany},
	{Name: "11c-unsubscribe", Title: "UNSUBSCRIBE of 1,000,000 names", RedisArgs: noOutputLimit, run: unsubscribeMany(true)},
	{Name: "11d-unsubscribe", Title: "UNSUBSCRIBE without names, of 1,000,000", RedisArgs: noOutputLimit, run: unsubscribeMany(false)},
	{Name: "11e-disconnect", Title: "a connection with 1,000,000 names ends", RedisArgs: noOutputLimit, run: disconnectMany},
	{Name: "11f-exec", Title: "EXEC of 90,000 PUBLISH to 100 subscribers that read", run: execToReaders},
}

func (t *Target) manyTopics(words ...string) string {
	for i := range t.scaled(manyNames) {
		words = append(words, fmt.Sprintf("t%07d", i))
	}
	return command(words...)
}

func subscribeMany(t *Target) error {
	return t.pipeline(t.manyTopics("SUBSCRIBE"), t.scaled(manyNames))
}

// subscribeAll subscribes to all names.
func (t *Target) subscribeAll() (*conn, error) {
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	t.readers.Go(func() { failed <- c.answers(t.scaled(manyNames)) })
	return c, errors.Join(c.send(t.manyTopics("SUBSCRIBE")), <-failed)
}

func countMany(t *Target) error {
	if _, err := t.subscribeAll(); err != nil {
		return err
	}
	return t.pipeline(t.manyTopics("PUBSUB", "NUMSUB"), 1)
}

func unsubscribeMany(named bool) func(*Target) error {
	return func(t *Target) error {
		c, err := t.subscribeAll()
		if err != nil {
			return err
		}
		text := command("UNSUBSCRIBE")
		if named {
			text = t.manyTopics("UNSUBSCRIBE")
		}
		t.begin()
		failed := make(chan error, 1)
		t.readers.Go(func() { failed <- c.answers(t.scaled(manyNames)) })
		return errors.Join(c.send(text), <-failed)
	}
}

func disconnectMany(t *Target) error {
	c, err := t.subscribeAll()
	if err != nil {
		return err
	}
	t.begin()
	_ = c.Close() // the server sees the end in any case
	return t.roundTrip()
}

func execToReaders(t *Target) error {
	for range 100 {
		if _, err := t.dialReader(command("SUBSCRIBE", "a", "b"), 2); err != nil {
			return err
		}
	}
	return t.execPublish(90_000)
}
