package bench

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommandLine(t *testing.T) {
	tests := []struct {
		want string
		args []string
	}{
		{"conch bench", nil},
		{"conch bench --rate 5000 127.0.0.1:1", []string{"--rate", "5000", "127.0.0.1:1"}},
		{"conch bench --html 'my page'", []string{"--html", "my page"}},
		{`conch bench --html 'it'\''s'`, []string{"--html", "it's"}},
		{"conch bench --html ''", []string{"--html", ""}},
		{"conch bench --url 'conch://user:***@host:1'", []string{"--url", "conch://user:secret@host:1"}},
		{"conch bench '--url=conchs://:***@host'", []string{"--url=conchs://:sec@ret:x@host"}},
		{"conch bench --url conch://host:8889", []string{"--url", "conch://host:8889"}},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, commandLine(test.args))
	}
}

func TestMachine(t *testing.T) {
	files := map[string]string{
		"/proc/cpuinfo": "processor\t: 0\nmodel name\t: A CPU\n", "/proc/meminfo": "MemTotal:  8388608 kB\n",
		"/proc/sys/kernel/osrelease": "6.1\n",
	}
	read := func(name string) ([]byte, error) { return []byte(files[name]), nil }
	assert.Regexp(t, `^A CPU, \d+ processors, 8 GiB of memory, \S+ 6\.1, go1`, machine(read))
	none := func(string) ([]byte, error) { return nil, errors.New("none") }
	assert.Regexp(t, `^\d+ processors, \S+, go1`, machine(none))
}

// The page has the date, the version, the machine and the command.
func TestPageHasItsOrigin(t *testing.T) {
	r := sample()
	r.Origin = &Origin{Date: "2026-01-31 12:00 UTC", Version: "v1.2.3", Machine: "A CPU, 2 processors", Command: "conch bench --rate '<5>'"}
	var b strings.Builder
	require.NoError(t, r.WritePage(&b))
	for _, want := range []string{"2026-01-31 12:00 UTC", "v1.2.3", "A CPU, 2 processors", "conch bench --rate &#39;&lt;5&gt;&#39;"} {
		assert.Contains(t, b.String(), want)
	}
}
