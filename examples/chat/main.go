// Command chat starts a conch, and serves the page that talks to it: make build && go run ./examples/chat
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

//go:embed index.html
var page []byte

func main() {
	conch := flag.String("conch", "bin/conch", "the program conch")
	address := flag.String("page", "localhost:8000", "where the page is served")
	api := flag.String("http", "localhost:8890", "where conch serves HTTP")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "chat [flags] [-- flags of conch]")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *conch, *address, *api, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run serves until conch ends, as it does after an interrupt.
func run(ctx context.Context, conch, address, api string, args []string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String()) // of a listener: it has a port
	host, _, _ := net.SplitHostPort(address)           // Listen has accepted it
	origin := "http://" + net.JoinHostPort(host, port)
	site := &http.Server{Handler: serve("http://" + api), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() { defer close(served); _ = site.Serve(l) }() // ends with the error of Close
	defer func() { _ = site.Close(); <-served }()

	cmd := exec.CommandContext(ctx, conch, append([]string{"serve", "--http", api, "--http-origin", origin}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: make build makes bin/conch, and -conch names another one", err)
	}
	fmt.Fprintln(os.Stdout, "open this page twice: "+origin+"/?server="+url.QueryEscape("http://"+api))
	if err := cmd.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// serve answers with the page. It may run its own script, and connect to conch alone.
func serve(conch string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src "+conch)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page) // a browser that is gone misses nothing
	})
}
