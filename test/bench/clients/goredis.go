package main

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// pipelineBuffer is what go-redis gives the connections of its pool for pipelines, in bytes.
const pipelineBuffer = 128 << 10

// batchSize is that of go-redis' own benchmarks of automatic pipelining.
const batchSize = 300

// goRedis is one client of go-redis, whose pool has all the connections.
type goRedis struct {
	*redis.Client
	load load
	make func(g *goRedis) sender
}

func (g *goRedis) sender(int) sender { return g.make(g) }
func (g *goRedis) flush() error      { return nil } // every call has waited
func (g *goRedis) close() error      { return g.Close() }

// openGoRedis has one pool: with a pool of their own, pipelines would take connections from both. The buffers are those
// of that other pool.
func openGoRedis(address string, l load, how func(*goRedis) sender) *goRedis {
	return &goRedis{redis.NewClient(&redis.Options{
		Addr: address, PoolSize: l.connections, PipelinePoolSize: -1,
		ReadBufferSize: pipelineBuffer, WriteBufferSize: pipelineBuffer,
	}), l, how}
}

// openPipeline batches by hand.
func openPipeline(address string, l load) (library, error) {
	return openGoRedis(address, l, func(g *goRedis) sender {
		var payload any = l.payload()
		return func() error {
			pipe := g.Pipeline()
			for range l.depth {
				pipe.Publish(context.Background(), topic, payload)
			}
			answers, err := pipe.Exec(context.Background())
			if err != nil {
				return err
			}
			for _, a := range answers {
				if err := received(a.(*redis.IntCmd)); err != nil { // PUBLISH has no other
					return err
				}
			}
			return nil
		}
	}), nil
}

func openPublish(address string, l load) (library, error) {
	return openGoRedis(address, l, func(g *goRedis) sender {
		var payload any = l.payload()
		return func() error { return received(g.Publish(context.Background(), topic, payload)) }
	}), nil
}

// openAsync submits a window of messages, and reads the replies afterwards.
func openAsync(address string, l load) (library, error) {
	return openAutomatic(address, l, (*redis.Client).AsyncAutoPipelineWithOptions)
}

// openAuto waits in each call, and leaves it to the library to make one pipeline of many calls.
func openAuto(address string, l load) (library, error) {
	return openAutomatic(address, l, (*redis.Client).AutoPipelineWithOptions)
}

// openAutomatic has as many batches under way as there are connections, which gives up the order, as it does for the
// Publisher.
func openAutomatic(
	address string, l load, face func(*redis.Client, *redis.AutoPipelineOptions) (*redis.AutoPipeliner, error),
) (library, error) {
	g := openGoRedis(address, l, nil)
	auto, err := face(g.Client, &redis.AutoPipelineOptions{
		MaxBatchSize: batchSize, MaxConcurrentBatches: l.connections, Unordered: l.connections > 1,
	})
	if err != nil {
		_ = g.Close() // it was never used
		return nil, err
	}
	g.make = func(*goRedis) sender {
		var payload any = l.payload()
		answers := make([]*redis.IntCmd, l.depth)
		return func() error {
			for i := range answers {
				answers[i] = auto.Publish(context.Background(), topic, payload)
			}
			for _, a := range answers {
				if err := received(a); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return g, nil
}

func received(answer *redis.IntCmd) error {
	n, err := answer.Result()
	if err != nil {
		return err
	}
	return nobody(n)
}
