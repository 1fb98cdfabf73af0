//go:build soak

package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// client runs another program against the proxy, and returns what it printed.
func (s *run) client(ctx context.Context, input, name string, args ...string) (string, bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		s.report.skip(rowClients, "skipped: "+name+" is not installed")
		pause(ctx, time.Second)
		return "", false
	}
	if ctx.Err() != nil {
		return "", false
	}
	s.report.add(rowClients, 1)
	return string(out), true
}

// scripts pipes lines through nc. A cut makes the output shorter, and nothing makes it different.
func (s *run) scripts(ctx context.Context, rng *rand.Rand) {
	host, port, _ := net.SplitHostPort(s.proxy.Addr()) // it is one
	topic := fmt.Sprintf("nc%d", rng.Uint32())
	input, want := "SUB "+topic+"\n", "OK SUB "+topic+"\n"
	for i := range 20 {
		input += fmt.Sprintf("PUB %s it's number %d\n", topic, i)
		want += fmt.Sprintf("OK PUB %s\nUPDATE %s it's number %d\n", topic, topic, i)
	}
	if out, ok := s.client(ctx, input, "nc", "-q1", host, port); ok && !strings.HasPrefix(want, out) {
		s.report.fail("nc printed %q instead of (a part of) %q", out, want)
	}
}

// commands runs redis-cli in both versions of RESP. It prints its answer, or that it lost its server.
func (s *run) commands(ctx context.Context, rng *rand.Rand) {
	host, port, _ := net.SplitHostPort(s.proxy.Addr()) // it is one
	word := fmt.Sprint(rng.Uint32())
	version := []string{"-2", "-3"}[rng.IntN(2)]
	out, ok := s.client(ctx, "ECHO "+word+"\nPUBLISH cli:"+word+" x\n", "redis-cli", version, "-h", host, "-p", port)
	if !ok {
		return
	}
	want := regexp.MustCompile(`^` + word + `\n\d+\n$`) // a bad input may have made a pattern that matches the topic
	lost := strings.Contains(out, "Error: ") || strings.Contains(out, "I/O error") || strings.Contains(out, "Could not connect")
	if !want.MatchString(out) && !lost {
		s.report.fail("redis-cli printed %q instead of %v", out, want)
	}
}
