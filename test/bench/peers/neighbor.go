package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/conchmq/conch/internal/bench"
)

// neighborVerb makes this program be the publisher of large messages and its subscribers. They are a process of their
// own, so that the generator of the small messages has no other work.
const neighborVerb = "be-the-neighbor"

// neighborBytes is the size of a large message.
const neighborBytes = 10_000_000

// besideNeighbor measures small messages on a schedule while one publisher sends large ones to ten subscribers.
func besideNeighbor(ctx context.Context, p *process, duration time.Duration) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the neighbor where the small messages fail
	longer := warmUp(duration) + duration + time.Second
	cmd := exec.CommandContext(ctx, self, neighborVerb, p.Address, p.dialect.String(), longer.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	said := bufio.NewReader(out)
	got, err := smallMessages(ctx, p, duration, said)
	if err != nil {
		cancel()
		return nil, errors.Join(err, brieflyEnded(cmd.Wait()))
	}
	var result bench.Result
	if err := json.NewDecoder(said).Decode(&result); err != nil {
		return nil, errors.Join(fmt.Errorf("the neighbor has no result: %w", err), cmd.Wait())
	}
	if result.Lost > 0 {
		return nil, errors.Join(fmt.Errorf("%d large messages were lost", result.Lost), cmd.Wait())
	}
	got[neighborRate] = result.BytesPerSecond / 1e6
	return got, cmd.Wait()
}

// smallMessages begins when the first large message has arrived.
func smallMessages(ctx context.Context, p *process, duration time.Duration, neighbor *bufio.Reader) (sample, error) {
	if _, err := neighbor.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("the neighbor did not begin: %w", err)
	}
	return loaded(ctx, p, *load(bench.Load{Publishers: 1, Subscribers: 1, Rate: 2000}), duration)
}

// brieflyEnded is nil for a process that was killed because another error came first.
func brieflyEnded(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == -1 {
		return nil
	}
	return err
}

// beNeighbor is the child's whole life. It writes a line when the first large message has arrived, and its result.
func beNeighbor(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s is for this program alone", neighborVerb)
	}
	dialect, err := bench.ParseDialect(args[1])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	l := bench.Load{
		Address: args[0], Dialect: dialect, Publishers: 1, Subscribers: 10, Prefix: "neighbor:", Pipeline: 1, InFlight: 2,
		Size: bench.Range{Min: neighborBytes, Max: neighborBytes}, Duration: duration,
	}
	began := false
	result, err := bench.Run(ctx, l, func(v bench.Live) {
		if !began && v.Deliveries > 0 {
			began = true
			fmt.Println(strconv.FormatInt(v.Deliveries, 10))
		}
	})
	if err != nil {
		return err
	}
	return result.WriteJSON(os.Stdout)
}
