//go:build apps

package apps

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/harness"
)

// scrape runs prometheus-redis-exporter beside a server with known counts, and returns its version.
func scrape(t *testing.T, host, port string) string {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Options{Addr: net.JoinHostPort(host, port)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() }) // the test is over
	sub, err := c.Subscribe(t.Context(), client.Topic("exported"), client.Topic("exported too"), client.Pattern("exported.*"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close() })

	address := harness.FreeAddress(t)
	start(t, "prometheus-redis-exporter", "--redis.addr", "redis://"+net.JoinHostPort(host, port), "--web.listen-address", address)
	get := func() string { return page(t.Context(), "http://"+address+"/metrics") }
	harness.Eventually(t, func() bool { return get() != "" }, "the exporter at "+address)

	publish := func() {
		_, err := c.Publish(t.Context(), "exported", []byte("a message"))
		require.NoError(t, err)
	}
	publish() // a command that never ran has no figure
	before := get()
	for range 10 {
		publish()
	}
	after := get()
	figure := func(metrics, pattern string) string {
		found := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(metrics)
		require.NotNil(t, found, "no %s in:\n%s", pattern, metrics)
		return found[1]
	}
	require.Equal(t, "1", figure(after, `redis_up (.*)`))
	require.Equal(t, "0", figure(after, `redis_exporter_last_scrape_error\{err=""\} (.*)`))
	require.Equal(t, "2", figure(after, `redis_pubsub_channels (.*)`))
	require.Equal(t, "1", figure(after, `redis_pubsub_patterns (.*)`))
	require.Equal(t, "0", figure(after, `redis_blocked_clients (.*)`))
	published := `redis_commands_total\{cmd="publish"\} (.*)`
	require.Equal(t, number(t, figure(before, published))+10, number(t, figure(after, published)))
	return figure(after, `redis_exporter_build_info\{.*version="([^"]*)"\} 1`)
}

func number(t *testing.T, figure string) int {
	t.Helper()
	n, err := strconv.Atoi(figure)
	require.NoError(t, err)
	return n
}

// page is the text at a URL, or none if that is not served.
func page(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return ""
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}
