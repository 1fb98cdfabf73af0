package bench

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Origin is what a result came from: without it, a page that was kept says nothing.
type Origin struct {
	Date    string `json:"date"`
	Version string `json:"version"` // of the generator
	Machine string `json:"machine"` // without its name
	Command string `json:"command"` // without passwords
}

// NewOrigin describes this machine, now, and the command line of conch bench.
func NewOrigin(version string, args []string) *Origin {
	return &Origin{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Version: version,
		Machine: machine(os.ReadFile), Command: commandLine(args),
	}
}

// password is that of a URL.
var password = regexp.MustCompile(`(://[^/?#\s]*?:)[^/?#\s]*@`)

// commandLine is the command as one would type it again, with the passwords of URLs hidden.
func commandLine(args []string) string {
	words := []string{"conch", "bench"}
	for _, arg := range args {
		arg = password.ReplaceAllString(arg, "$1***@")
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// machine is the processor, the memory and the system, as far as Linux' files have them.
func machine(read func(name string) ([]byte, error)) string {
	parts := []string{fmt.Sprintf("%d processors", runtime.NumCPU())}
	if model := field(read, "/proc/cpuinfo", "model name"); model != "" {
		parts = append([]string{model}, parts...)
	}
	if kib, err := strconv.Atoi(strings.TrimSuffix(field(read, "/proc/meminfo", "MemTotal"), " kB")); err == nil {
		parts = append(parts, fmt.Sprintf("%.0f GiB of memory", float64(kib)/(1<<20)))
	}
	system := runtime.GOOS + "/" + runtime.GOARCH
	if release, err := read("/proc/sys/kernel/osrelease"); err == nil {
		system += " " + strings.TrimSpace(string(release))
	}
	return strings.Join(append(parts, system, runtime.Version()), ", ")
}

// field is the first value of a key in a file of lines "key : value", or nothing.
func field(read func(name string) ([]byte, error), file, key string) string {
	text, err := read(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
