// Command work-queue shares jobs among workers, and loses none if a worker dies: go run ./examples/work-queue
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/conchmq/conch/client"
)

func main() {
	url := flag.String("url", "conch://127.0.0.1:8889", "a running conch")
	flag.Parse()
	if err := run(context.Background(), *url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "work-queue:", err)
		os.Exit(1)
	}
}

const jobs = 6

// run appends jobs, lets a worker take one and die, and has another one do all.
func run(ctx context.Context, url string, out io.Writer) error {
	c, err := client.DialURL(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range jobs {
		if _, err := c.Append(ctx, "jobs", []client.Field{{Name: "picture", Value: fmt.Sprintf("%d.png", n+1)}}); err != nil {
			return err
		}
	}
	if err := c.CreateGroup(ctx, "resizers", client.After("jobs", client.EntryID{})); err != nil {
		return err
	}
	if err := dies(ctx, c, out); err != nil {
		return err
	}
	return works(ctx, c, out)
}

// dies takes one job, and does not acknowledge it.
func dies(ctx context.Context, c *client.Client, out io.Writer) error {
	ann := c.Consumer("jobs", "resizers", "ann", client.ConsumerOptions{Count: 1})
	for job, err := range ann.All(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "ann takes", job.Get("picture"), "and dies")
		break
	}
	return nil
}

// works does all jobs. What a worker has had for longer than a job takes is another one's to do: choose ClaimAfter so.
func works(ctx context.Context, c *client.Client, out io.Writer) error {
	bob := c.Consumer("jobs", "resizers", "bob", client.ConsumerOptions{ClaimAfter: 100 * time.Millisecond})
	done := map[string]bool{}
	for job, err := range bob.All(ctx) {
		if err != nil {
			return err
		}
		if err := bob.Ack(ctx, job.ID); err != nil {
			return err
		}
		if done[job.Get("picture")] = true; len(done) == jobs {
			break // a real worker goes on
		}
	}
	fmt.Fprintln(out, "bob has done", len(done), "pictures, those of ann included")
	return nil
}
