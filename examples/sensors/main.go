// Command sensors raises an alarm for readings that are too high. The condition is a part of the subscription, so all other
// readings stay in conch: go run ./examples/sensors
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/conchmq/conch/client"
)

func main() {
	url := flag.String("url", "conch://127.0.0.1:8889", "a running conch")
	flag.Parse()
	if err := run(context.Background(), *url, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sensors:", err)
		os.Exit(1)
	}
}

// run subscribes to all sensors, lets two of them publish, and prints the alarms.
func run(ctx context.Context, url string, out io.Writer) error {
	c, err := client.DialURL(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	alarms, err := c.Subscribe(ctx, client.Pattern("sensors.*").Where(`celsius > 80 && state == "on"`))
	if err != nil {
		return err
	}
	defer func() { _ = alarms.Close() }() // the program ends
	for _, reading := range []struct{ sensor, json string }{
		{"boiler", `{"celsius": 71, "state": "on"}`},
		{"boiler", `{"celsius": 93.5, "state": "on"}`},
		{"oven", `{"celsius": 210, "state": "off"}`},
		{"oven", `{"celsius": 230, "state": "on"}`},
	} {
		if _, err := c.Publish(ctx, "sensors."+reading.sensor, []byte(reading.json)); err != nil {
			return err
		}
	}
	count := 0
	for m, err := range alarms.Messages(ctx) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "ALARM %s %s\n", m.Topic, m.Payload)
		if count++; count == 2 {
			break // a real program goes on
		}
	}
	return nil
}
