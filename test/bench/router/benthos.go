package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// benthosIn reads a stream by a group, and drops the messages.
func (b *bench) benthosIn(ctx context.Context, stream string, payload []byte, n int) (spent, error) {
	if err := b.fill(ctx, stream, n, map[string]any{"body": string(payload)}); err != nil {
		return spent{}, err
	}
	config := `
input:
  redis_streams: {url: "redis://%s", body_key: body, streams: [%s], consumer_group: g, client_id: c, limit: 256, start_from_oldest: true, create_streams: false}
output:
  drop: {}
`
	return b.benthos(fmt.Sprintf(config, b.address, stream), func() bool {
		groups, err := b.client.XInfoGroups(ctx, stream).Result()
		return err == nil && len(groups) == 1 && groups[0].EntriesRead == int64(n) && groups[0].Pending == 0
	})
}

// benthosOut writes messages that it makes itself, in batches of 256, to a stream.
func (b *bench) benthosOut(ctx context.Context, stream string, payload []byte, n int) (spent, error) {
	config := `
input:
  generate: {count: %d, interval: "", batch_size: 256, mapping: 'root = "%s"'}
output:
  redis_streams: {url: "redis://%s", stream: %s, body_key: body}
`
	return b.benthos(fmt.Sprintf(config, n, payload, b.address, stream), func() bool { return b.client.XLen(ctx, stream).Val() == int64(n) })
}

// benthos runs it until all is done. Its CPU is that of the process, with its start.
func (b *bench) benthos(config string, done func() bool) (s spent, err error) {
	dir, err := os.MkdirTemp("", "router")
	if err != nil {
		return s, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nothing
	file := filepath.Join(dir, "benthos.yaml")
	if err := os.WriteFile(file, []byte("http: {enabled: false}\nlogger: {level: \"OFF\"}\n"+config), 0o600); err != nil {
		return s, err
	}
	c := exec.Command(*benthos, "-c", file)
	c.Stderr, c.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := time.Now()
	if err := c.Start(); err != nil {
		return s, err
	}
	for !done() && time.Since(start) < time.Minute {
		time.Sleep(10 * time.Millisecond)
	}
	if s.wall = time.Since(start); !done() {
		err = errors.New("it has not come to the end within a minute")
	}
	_ = c.Process.Signal(os.Interrupt) // it may have ended
	_ = c.Wait()                       // its status is of no interest
	s.cpu = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	return s, err
}
