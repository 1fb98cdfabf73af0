package attack

import (
	"errors"
	"fmt"
)

// manyNames is how many topics one command names: less than the arguments that a command may have.
const manyNames = 1_000_000

// patientRedis keeps Redis from disconnecting those who read a million answers slower than they are made.
var patientRedis = []string{"--client-output-buffer-limit", "pubsub 0 0 0"}

// nameAttacks are commands of very many names, and very many commands in one. Point 11.
var nameAttacks = []Scenario{
	{Name: "11-subscribe", Title: "SUBSCRIBE to 1,000,000 names", RedisArgs: patientRedis, run: subscribeMany},
	{Name: "11b-numsub", Title: "PUBSUB NUMSUB of 1,000,000 names", RedisArgs: patientRedis, run: countMany},
	{Name: "11c-unsubscribe", Title: "UNSUBSCRIBE of 1,000,000 names", RedisArgs: patientRedis, run: leaveMany(true)},
	{Name: "11d-unsubscribe", Title: "UNSUBSCRIBE without names, of 1,000,000", RedisArgs: patientRedis, run: leaveMany(false)},
	{Name: "11e-disconnect", Title: "a connection with 1,000,000 names ends", RedisArgs: patientRedis, run: disconnectMany},
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

// holder subscribes to all of the names.
func (t *Target) holder() (*conn, error) {
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	t.readers.Go(func() { failed <- c.answers(t.scaled(manyNames)) })
	return c, errors.Join(c.send(t.manyTopics("SUBSCRIBE")), <-failed)
}

func countMany(t *Target) error {
	if _, err := t.holder(); err != nil {
		return err
	}
	return t.pipeline(t.manyTopics("PUBSUB", "NUMSUB"), 1)
}

func leaveMany(named bool) func(*Target) error {
	return func(t *Target) error {
		c, err := t.holder()
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
	c, err := t.holder()
	if err != nil {
		return err
	}
	t.begin()
	_ = c.Close() // the server notices in any case
	return t.settle()
}

func execToReaders(t *Target) error {
	for range 100 {
		if _, err := t.quick(command("SUBSCRIBE", "a", "b"), 2); err != nil {
			return err
		}
	}
	return t.execPublish(90_000)
}
