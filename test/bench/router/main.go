// Command router moves messages from a stream of Redis and to one with the router of Watermill, and with Benthos if there is a binary of it:
// messages and CPU as make bench-connect has them for conch.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	messages = flag.Int("messages", 50_000, "messages of each run")
	sizes    = flag.String("sizes", "100,1024", "sizes of the messages")
	benthos  = flag.String("benthos", "", "a binary of Benthos v4.27.0 with its components for Redis; none: it is left out")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// spent is what a run took.
type spent struct{ wall, cpu time.Duration }

// bench is one Redis, whose streams are numbered.
type bench struct {
	client  *redis.Client
	address string
	streams int
}

func run(ctx context.Context) (err error) {
	b, stop, err := startRedis(ctx)
	if err != nil {
		return err
	}
	defer stop()
	ways := []struct {
		name, way string
		move      func(ctx context.Context, stream string, payload []byte, n int) (spent, error)
	}{{"watermill", "in", b.watermillIn}, {"watermill", "out", b.watermillOut}, {"benthos", "in", b.benthosIn}, {"benthos", "out", b.benthosOut}}
	fmt.Printf("%-10s %4s %6s  %10s  %8s\n", "router", "way", "bytes", "messages/s", "µs")
	for _, text := range strings.Split(*sizes, ",") {
		var size int
		if _, err := fmt.Sscan(text, &size); err != nil {
			return fmt.Errorf("a size: %w", err)
		}
		for _, w := range ways {
			if w.name == "benthos" && *benthos == "" {
				continue
			}
			b.streams++
			s, err := w.move(ctx, fmt.Sprint("s", b.streams), []byte(strings.Repeat("x", size)), *messages)
			if err != nil {
				return fmt.Errorf("%s %s: %w", w.name, w.way, err)
			}
			n := float64(*messages)
			fmt.Printf("%-10s %4s %6d  %10.0f  %8.2f\n", w.name, w.way, size, n/s.wall.Seconds(), s.cpu.Seconds()*1e6/n)
		}
	}
	return nil
}

// startRedis starts a Redis that keeps nothing.
func startRedis(ctx context.Context) (b *bench, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	address := l.Addr().String()
	_ = l.Close() // Redis takes the port
	_, port, _ := net.SplitHostPort(address)
	server := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		return nil, nil, err
	}
	b = &bench{address: address}
	b.client = b.dial()
	for i := 0; ; i++ {
		if err = b.client.Ping(ctx).Err(); err == nil || i == 200 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return b, func() {
		_ = b.client.Close()         // nothing is on its way
		_ = server.Process.Kill()    // it keeps nothing
		_, _ = server.Process.Wait() // its end is that of the kill
	}, err
}

// dial makes a client, which Watermill closes with its router.
func (b *bench) dial() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: b.address, Protocol: 3})
}

// fill appends entries of the same fields.
func (b *bench) fill(ctx context.Context, stream string, n int, values map[string]any) error {
	for done := 0; done < n; {
		p := b.client.Pipeline()
		for range min(256, n-done) {
			p.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: values})
			done++
		}
		if _, err := p.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ownCPU is that of this process so far.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
