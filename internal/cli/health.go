package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/conchmq/conch/client"
	"github.com/conchmq/conch/internal/config"
)

// healthTimeout is the default of --timeout.
const healthTimeout = 5 * time.Second

const healthText = `conch health
conch health --url unix:///run/conch/conch.sock --timeout 2s
conch health --url http://127.0.0.1:8890

Over HTTP it takes the answer of /readyz, and /healthz if the URL has that path. Otherwise it sends PING: any reply will
do, so that no password is needed. The status is 0, or 1 with the reason.

`

// healthOptions are the options of conch health.
type healthOptions struct {
	serverFlags
	timeout time.Duration
}

// healthCommand is conch health.
func (e *Env) healthCommand() *cli.Command {
	o := &healthOptions{timeout: healthTimeout}
	return &cli.Command{
		Name: "health", Usage: "check a server, for a container: exit status 0 or 1", Description: healthText + serverText,
		Flags: append(o.flags(e), option("timeout,t", "TIME", "how long to wait for the answer", "5s", parsed(&o.timeout, config.ParseDuration))),
		Action: e.untilSignal(func(ctx context.Context, arguments []string) error {
			if len(arguments) > 0 {
				return usageErr("health", "expected no argument, got %q; the server is given with --url", arguments)
			}
			ctx, cancel := context.WithTimeout(ctx, o.timeout)
			defer cancel()
			what, err := o.check(ctx)
			if ctx.Err() == context.DeadlineExceeded {
				err = fmt.Errorf("health: no answer within %s, the time of --timeout", o.timeout)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(e.Stdout, "healthy: %s\n", what)
			return unlessClosed(err)
		}),
	}
}

// check returns what answered.
func (o *healthOptions) check(ctx context.Context) (what string, err error) {
	if strings.HasPrefix(o.url, "http://") || strings.HasPrefix(o.url, "https://") {
		return o.get(ctx)
	}
	options, err := o.options("health")
	if err != nil {
		return "", err
	}
	if len(options.Addresses) > 0 {
		return "", usageErr("health", "expected one server, not %d: each has a health of its own", len(options.Addresses))
	}
	c, err := connect(ctx, options)
	if err == nil {
		defer func() { _ = c.Close() }() // the reply has come
		err = c.discard([]string{"PING"})
	}
	// A server that refuses does reply. A restart, which a failed check may cause, would not change that.
	if refusal := new(client.Error); err != nil && !errors.As(err, &refusal) {
		return "", explainDialError("health", options, err)
	}
	return options.Addr + " replies", nil
}

// get asks the server over HTTP.
func (o *healthOptions) get(ctx context.Context) (what string, err error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := o.readTLS(config); err != nil {
		return "", fmt.Errorf("health: %w", err)
	}
	url := strings.TrimSuffix(o.url, "/")
	if !strings.HasSuffix(url, "/healthz") && !strings.HasSuffix(url, "/readyz") {
		url += "/readyz"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", usageErr("health", "%w", err)
	}
	answer, err := (&http.Transport{TLSClientConfig: config, DisableKeepAlives: true}).RoundTrip(request) // it follows no redirection
	if err != nil {
		return "", fmt.Errorf("health: %s: %w", url, err)
	}
	defer func() { _ = answer.Body.Close() }() // nothing more is read
	if answer.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(answer.Body, 512)) // as much as came
		return "", fmt.Errorf("health: %s: %s: %s", url, answer.Status, reason)
	}
	return url, nil
}
