// Package check plays one scenario with any client and reports what held.
package check

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// Patience bounds every wait; nothing is measured with it.
const Patience = 2 * time.Minute

// Report is what a program prints as its last line.
type Report struct {
	Client   string  `json:"client"`
	Version  string  `json:"version"`
	Protocol string  `json:"protocol"`
	Checks   []Check `json:"checks"`
	OK       bool    `json:"ok"`
}

// Check is one thing that was tried. What a server cannot do by design is skipped, and says why.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Skipped string `json:"skipped,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Try runs one check, unless one before it failed: the later ones build on the earlier ones.
func (r *Report) Try(name string, try func() error) {
	if r.failed() {
		return
	}
	c := Check{Name: name, OK: true}
	if err := try(); err != nil {
		c.OK, c.Error = false, err.Error()
	}
	r.Checks = append(r.Checks, c)
}

// Skip notes a check that this server is not meant for.
func (r *Report) Skip(name, why string) {
	if !r.failed() {
		r.Checks = append(r.Checks, Check{Name: name, OK: true, Skipped: why})
	}
}

func (r *Report) failed() bool {
	return len(r.Checks) > 0 && !r.Checks[len(r.Checks)-1].OK
}

// Exit prints the report and ends the program.
func (r *Report) Exit() {
	r.OK = len(r.Checks) > 0 && !r.failed()
	line, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	if !r.OK {
		os.Exit(1)
	}
	os.Exit(0)
}

// Arguments are host:port, and the protocol if one is given.
func Arguments() (address, protocol string) {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: program HOST PORT [RESP2|RESP3]")
		os.Exit(2)
	}
	if len(os.Args) > 3 {
		protocol = os.Args[3]
	}
	return net.JoinHostPort(os.Args[1], os.Args[2]), protocol
}

// Conch says whether the server also speaks lines.
func Conch() bool { return os.Getenv("CONCH") == "1" }

// Version is the version of a module that this program was built with.
func Version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return strings.TrimPrefix(d.Version, "v")
		}
	}
	return "unknown"
}

// Eventually asks until the answer is yes, or an error, or patience ends.
func Eventually(what string, yes func() (bool, error)) error {
	end := time.After(Patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := yes()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("%s: not within %v", what, Patience)
		}
	}
}

// Tool is the version in what a program says about itself, such as "redis-cli 7.0.15".
func Tool(text string) string {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return "missing"
	}
	return fields[1]
}
