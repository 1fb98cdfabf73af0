// Command redisbenchmark drives redis-benchmark.
package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"

	"github.com/conchmq/conch/test/compat/go/check"
)

func main() {
	address, protocol := check.Arguments()
	version, _ := exec.Command("redis-benchmark", "--version").Output() // if it is missing, the first check says so
	r := &check.Report{Client: "redis-benchmark", Version: check.Tool(string(version)), Protocol: protocol}
	r.Try("-t ping", func() error {
		return benchmark(address, protocol, []string{"PING_INLINE", "PING_MBULK"}, "-t", "ping")
	})
	r.Try("-t ping -P 16", func() error {
		return benchmark(address, protocol, []string{"PING_INLINE", "PING_MBULK"}, "-t", "ping", "-P", "16")
	})
	r.Try("PUBLISH a b", func() error {
		return benchmark(address, protocol, []string{"PUBLISH a b"}, "PUBLISH", "a", "b")
	})
	r.Exit()
}

// benchmark runs one and wants a line of numbers for each title, and no complaint.
func benchmark(address, protocol string, titles []string, args ...string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	all := []string{"-h", host, "-p", port, "-n", "10000", "--csv"}
	if protocol == "RESP3" {
		all = append(all, "-3")
	}
	ctx, cancel := context.WithTimeout(context.Background(), check.Patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-benchmark", append(all, args...)...).CombinedOutput()
	text := string(out)
	if err != nil {
		return fmt.Errorf("%w: %q", err, text)
	}
	for _, t := range titles {
		if !strings.Contains(text, `"`+t+`","`) {
			return fmt.Errorf("no numbers for %s: %q", t, text)
		}
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `"`) {
			return fmt.Errorf("complaint: %q", line)
		}
	}
	return nil
}
