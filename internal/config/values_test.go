package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{
		"1": 1, "65536": 65536, "7b": 7,
		"1k": 1024, "1kb": 1024, "1KB": 1024, "1KiB": 1024,
		"2m": 2 << 20, "2mb": 2 << 20, "16MiB": 16 << 20, "16 MiB": 16 << 20,
		"3g": 3 << 30, "3GB": 3 << 30, "3gib": 3 << 30,
		"9223372036854775807": 1<<63 - 1, "8589934591g": 8589934591 << 30,
	} {
		got, err := ParseSize(text)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{
		"", "0", "0k", "-1", "+1", "k", "1.5g", "1e3", "1t", "1kk", "1ib", "k1", "1 2", "0x10", "1_000", "16MiBs",
		"9223372036854775808", "8589934592g", "99999999999999999999",
	} {
		_, err := ParseSize(text)
		assert.ErrorContains(t, err, "expected a size", "%q", text)
	}
}

func TestCounts(t *testing.T) {
	n, err := ParseCount("12")
	assert.NoError(t, err)
	assert.Equal(t, 12, n)
	for _, text := range []string{"", "0", "-1", "1k", "1.5", "many", "99999999999999999999"} {
		_, err := ParseCount(text)
		assert.ErrorContains(t, err, "expected a whole number", "%q", text)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60": time.Minute, "0.5": 500 * time.Millisecond, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "5m": 5 * time.Minute,
	} {
		got, err := ParseDuration(text)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "0", "0s", "-1", "-1s", "s", "soon", "1d", "99999999999999999999"} {
		_, err := ParseDuration(text)
		assert.ErrorContains(t, err, "expected a time", "%q", text)
	}
}

func TestAddresses(t *testing.T) {
	for _, text := range []string{
		":7777", ":0", "127.0.0.1:7777", "0.0.0.0:8889", "localhost:8889", "[::1]:8889", "[::]:8889", "broker.example:1", "[fe80::1%eth0]:1",
	} {
		assert.NoError(t, CheckAddress(text), text)
	}
	for text, want := range map[string]string{
		"":                `"" is not an address`,
		"serev":           "serev is not an address",
		"7777":            "7777 is only a port (did you mean :7777?)",
		"127.0.0.1":       "127.0.0.1 has no port (did you mean 127.0.0.1:8889?)",
		"::1":             "::1 has no port (did you mean [::1]:8889?)",
		"[::1]":           "[::1] has no port (did you mean [::1]:8889?)",
		"http://host:1":   "http://host:1 is not an address",
		"a b:1":           `"a b:1" is not an address`,
		"user@host:1":     "user@host:1 is not an address",
		"localhost:":      "localhost: is not an address: its port is not a number from 0 to 65535",
		"localhost:http":  "localhost:http is not an address: its port is not a number from 0 to 65535",
		"localhost:65536": "localhost:65536 is not an address: its port is not a number from 0 to 65535",
		"localhost:-1":    "localhost:-1 is not an address: its port is not a number from 0 to 65535",
		"line\nbreak:1":   `"line\nbreak:1" is not an address`,
	} {
		assert.EqualError(t, CheckAddress(text), want)
	}
}

func TestSetUnixSocket(t *testing.T) {
	assert.NoError(t, setUnixSocket(&Config{}, "/"+strings.Repeat("x", maxSocketPath-1)))
	assert.ErrorContains(t, setUnixSocket(&Config{}, "/"+strings.Repeat("x", maxSocketPath)), "expected a path of at most")
	assert.ErrorContains(t, setUnixSocket(&Config{}, "@conch"), "expected the path of a file")
	assert.ErrorContains(t, setUnixSocket(&Config{}, "a\x00b"), "expected the path of a file")
}

func TestSetUnixMode(t *testing.T) {
	for text, want := range map[string]os.FileMode{"0700": 0o700, "770": 0o770, "600": 0o600, "0777": 0o777} {
		s := &Config{}
		require.NoError(t, setUnixMode(s, text), text)
		assert.Equal(t, want, s.UnixMode)
	}
	for _, text := range []string{"", "0", "0070", "1777", "rwx", "-700", "448", "504", "511", "0o700", "70000"} {
		assert.ErrorContains(t, setUnixMode(&Config{}, text), "expected an octal mode", text)
	}
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":1", ":1", true},
		{":1", ":2", false},
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{"0.0.0.0:1", "127.0.0.2:1", true},
		{"127.0.0.1:1", "[::]:1", true},
		{":0", ":0", false},
		{"", "", false},
		{":1", "", false},
	} {
		assert.Equal(t, c.want, sameAddress(c.a, c.b), "%s %s", c.a, c.b)
	}
}
