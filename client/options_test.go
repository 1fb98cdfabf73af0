package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDefaults(t *testing.T) {
	o, err := Options{}.withDefaults()
	require.NoError(t, err)
	network, addr := dialTarget(o.Addr)
	assert.Equal(t, "tcp 127.0.0.1:8889", network+" "+addr)
	assert.Equal(t, 10*time.Second, o.DialTimeout)
	assert.Equal(t, 30*time.Second, o.PingAfter)
	for range 1000 {
		assert.Less(t, o.random(3), int64(3))
	}
	long, err := Options{MinBackoff: time.Minute}.withDefaults()
	require.NoError(t, err)
	assert.Equal(t, time.Minute, long.MaxBackoff)
}

func TestWrongOptions(t *testing.T) {
	for want, o := range map[string]Options{
		`"here" is not host:port`:             {Addr: "here"},
		`no path in the address "unix://"`:    {Addr: "unix://"},
		`"there" is not host:port`:            {Addresses: []string{"a:1", "there"}},
		"DialTimeout must not be negative":    {DialTimeout: -1},
		"MinBackoff 1s and MaxBackoff 1ms":    {MinBackoff: time.Second, MaxBackoff: time.Millisecond},
		"MaxMessage must not be negative: -1": {MaxMessage: -1},
		"Buffer must not be negative: -1":     {Buffer: -1},
	} {
		_, err := Dial(t.Context(), o)
		assert.ErrorIs(t, err, ErrInvalidOption)
		assert.ErrorContains(t, err, want)
	}
}

func TestParseURL(t *testing.T) {
	tests := []struct {
		url    string
		want   Options
		secure bool
		host   string
	}{
		{url: "conch://", want: Options{Addr: "127.0.0.1:8889"}, host: "127.0.0.1"},
		{url: "conch://example.com", want: Options{Addr: "example.com:8889"}, host: "example.com"},
		{url: "conchs://example.com", want: Options{Addr: "example.com:8890"}, secure: true, host: "example.com"},
		{
			url:  "conch://desk:p%40ss@[::1]:7777/?sequences=true&ping_after=5s",
			want: Options{Addr: "[::1]:7777", Username: "desk", Password: "p@ss", Sequences: true, PingAfter: 5 * time.Second},
			host: "::1",
		},
		{url: "redis://:secret@localhost/0", want: Options{Addr: "localhost:6379", Password: "secret"}, host: "localhost"},
		{url: "rediss://localhost:1234", want: Options{Addr: "localhost:1234"}, secure: true, host: "localhost"},
		{url: "unix:///tmp/conch.sock", want: Options{Addr: "unix:///tmp/conch.sock"}, host: "localhost"},
		{
			url:  "unix://desk:secret@/tmp/a?dial_timeout=1s&min_backoff=2s&max_backoff=3s&sequences=0",
			want: Options{Addr: "unix:///tmp/a", Username: "desk", Password: "secret", DialTimeout: time.Second, MinBackoff: 2 * time.Second, MaxBackoff: 3 * time.Second},
			host: "localhost",
		},
	}
	for _, test := range tests {
		got, err := ParseURL(test.url)
		require.NoError(t, err, test.url)
		assert.Equal(t, test.secure, got.TLS != nil, test.url)
		got.TLS = nil
		assert.Equal(t, test.want, got, test.url)
		assert.Equal(t, test.host, serverName(got.Addr), test.url)
	}
}

func TestParseURLOfSeveralHosts(t *testing.T) {
	for url, want := range map[string][]string{
		"conch://a,b:1,[::1]":         {"a:8889", "b:1", "[::1]:8889"},
		"conchs://u:p@a:1,b?":         {"a:1", "b:8890"},
		"redis://u:p,q@a,b:2/0":       {"a:6379", "b:2"},
		"conch://a,b?ping_after=1s":   {"a:8889", "b:8889"},
		"CONCH://[::1]:1,[::2],c":     {"[::1]:1", "[::2]:8889", "c:8889"},
		"conch://a,b/?sequences=true": {"a:8889", "b:8889"},
	} {
		o, err := ParseURL(url)
		require.NoError(t, err, url)
		assert.Equal(t, want, o.Addresses, url)
		assert.Empty(t, o.Addr)
		o, err = o.withDefaults()
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, o.DialTimeout)
	}
}

func TestWrongURLs(t *testing.T) {
	tests := map[string]string{
		"":                                "scheme \"\" is none of",
		"http://localhost":                "scheme \"http\" is none of",
		"localhost:8889":                  "scheme \"localhost\" is none of",
		"conch://desk:secret@host:80x":    "invalid URL",
		"conch://desk:sec%zzret@host":     "invalid URL",
		"conch://host/path":               "only options may follow the host",
		"conch://host/0":                  "only options may follow the host",
		"redis://host/one":                "only options may follow the host",
		"conch://host?weather=rain":       `unknown option "weather"`,
		"conch://host?sequences=perhaps":  `option sequences cannot be "perhaps"`,
		"conch://host?ping_after=5":       `option ping_after cannot be "5"`,
		"conch://host?dial_timeout=-5s":   "DialTimeout must not be negative",
		"conch://host?a;b":                "cannot be read",
		"unix://host/tmp/a":               "a Unix socket is unix:///path",
		"unix://":                         "a Unix socket is unix:///path",
		"conch://desk:secret@ho st:1/":    "invalid URL",
		"conch://a,":                      "one in the list of hosts is not host:port",
		"conch://,b":                      "one in the list of hosts is not host:port",
		"conch://desk:secret@a,b:80x":     "one in the list of hosts is not host:port",
		"conch://desk:x,secret/@host":     "invalid URL",
		"conch://desk,:secret/@host":      "only options may follow the host",
		"conch://desk:secret@host:1%2f/x": "invalid URL",
	}
	for url, want := range tests {
		_, err := ParseURL(url)
		require.ErrorIs(t, err, ErrInvalidOption, url)
		assert.ErrorContains(t, err, want, url)
		assert.NotContains(t, err.Error(), "sec", url)
		_, err = DialURL(t.Context(), url)
		assert.ErrorIs(t, err, ErrInvalidOption, url)
	}
}
