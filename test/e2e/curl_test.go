//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// curl runs curl, and returns what it prints.
func (c *conch) curl(input string, args ...string) string {
	c.t.Helper()
	p := c.run("curl", append([]string{"-sS"}, args...)...)
	if input != "" {
		p.enter(input)
	}
	require.NoError(c.t, p.in.Close())
	return p.rest()
}

// The examples of docs/http.md, with the real curl, over all versions of HTTP that it has.
func TestCurl(t *testing.T) {
	s := startSecure(t, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0")
	url := "http://" + s.started["http"].(string)
	_, port, err := net.SplitHostPort(s.started["https"].(string))
	require.NoError(t, err)
	person := s.telnet()
	person.enter("SUB news")
	assert.Equal(t, "OK SUB news", person.line())

	assert.Regexp(t, `^\{"topic":"news","receivers":1,"epoch":"[0-9a-f]{16}","sequence":1\}\n$`, s.curl("", "-d", "hello from curl", url+"/topics/news"))
	assert.Equal(t, "UPDATE news hello from curl", person.line())
	assert.Regexp(t, `"receivers":1.*"sequence":2`, s.curl("from a pipe", "-X", "POST", "-T", "-", url+"/topics/news"))
	assert.Equal(t, `UPDATE news from a pipe\n`, person.line())
	answers := s.curl(`{"payload": "one"}`+"\n"+`{"payload": "two"}`, "-H", "Content-Type: application/x-ndjson", "--data-binary", "@-", url+"/topics/news?atomic=1")
	assert.Regexp(t, `(?s)"sequence":3.*"sequence":4`, answers)
	assert.Equal(t, "UPDATE news one", person.line())
	assert.Equal(t, "UPDATE news two", person.line())
	for version, want := range map[string]string{"--http1.1": "1.1", "--http2": "2"} {
		got := s.curl("", version, "--cacert", s.ca, "--resolve", "localhost:"+port+":127.0.0.1", "-o", os.DevNull, "-w", "%{http_version} %{http_code}",
			"-d", "over TLS", "https://localhost:"+port+"/topics/news")
		require.Equal(t, want+" 200", got)
		assert.Equal(t, "UPDATE news over TLS", person.line())
	}
	assert.Contains(t, s.curl("", "-i", url+"/nosuch"), "404 Not Found")
	document, err := os.ReadFile(filepath.Join("..", "..", "internal", "web", "openapi.yaml"))
	require.NoError(t, err)
	assert.Equal(t, string(document), s.curl("", url+"/openapi.yaml"))
}

// The examples of docs/http.md for streams, over a restart.
func TestCurlOfStreams(t *testing.T) {
	dir := t.TempDir()
	s := start(t, "", "--http", "127.0.0.1:0", "--dir", dir)
	url := "http://" + s.started["http"].(string)
	assert.Regexp(t, `^\{"stream":"orders","id":"\d+-\d+"\}\n$`, s.curl("", "-d", "hello", "-H", "Conch-Header-Region: eu", url+"/streams/orders"))
	added := s.curl("", "-i", "-H", "Content-Type: application/json", "-d", `{"price": 120, "region": "us"}`, url+"/streams/orders?fields=1")
	tag := regexp.MustCompile(`(?i)etag: ("\d+-\d+")`).FindStringSubmatch(added)
	require.Len(t, tag, 2, added)
	entries := s.curl("", url+"/streams/orders")
	assert.Regexp(t, `^\{"event":"entry","stream":"orders","id":"\d+-\d+","payload":"hello","headers":\{"region":"eu"\}\}\n`+
		`\{"event":"entry","stream":"orders","id":"\d+-\d+","fields":\{"price":120,"region":"us"\}\}\n`+
		`\{"event":"end","next":"\(\d+-\d+","more":false\}\n$`, entries)
	s.stop()

	s = start(t, "", "--http", "127.0.0.1:0", "--dir", dir)
	url = "http://" + s.started["http"].(string)
	assert.Equal(t, entries, s.curl("", url+"/streams/orders"))
	code := func(args ...string) string {
		return s.curl("", append([]string{"-o", os.DevNull, "-w", "%{http_code}", "-d", "x", url + "/streams/orders"}, args...)...)
	}
	assert.Equal(t, "412", code("-H", "If-None-Match: *"))
	assert.Equal(t, "200", code("-H", "If-Match: "+tag[1]))
	assert.Equal(t, "412", code("-H", "If-Match: "+tag[1]))
}

// The blocks of docs/http.md that begin with curl are played, each with a server of its own. The last id that was shown stands where
// the page has one.
func TestCurlTours(t *testing.T) {
	shown := regexp.MustCompile(`(?m)^\$ (curl .*)\n((?:[^$\n].*\n)*)`)
	played := 0
	for _, block := range blocks(t, "docs/http.md", "") {
		if !strings.HasPrefix(block, "$ curl") || strings.HasPrefix(block, "$ curl -N") {
			continue // a stream of events has no end
		}
		played++
		s := start(t, "", "--http", "127.0.0.1:0")
		last := ""
		for _, step := range shown.FindAllStringSubmatch(block, -1) {
			typed := strings.ReplaceAll(step[1], "localhost:8890", s.started["http"].(string))
			if last != "" {
				typed = entryID.ReplaceAllLiteralString(typed, last)
			}
			got := s.shell(strings.Replace(typed, "curl", "curl -sS", 1)).rest()
			assert.Equal(t, maskAnswer(step[2]), maskAnswer(got), typed)
			if id := entryID.FindString(got); id != "" {
				last = id
			}
		}
		s.stop()
	}
	assert.Equal(t, 2, played)
}

// maskAnswer hides what differs from run to run.
func maskAnswer(text string) string {
	return regexp.MustCompile(`"EPOCH-\d+"|"sequence":\d+`).ReplaceAllString(mask(text), "POSITION")
}
