package check

import (
	"bufio"
	"fmt"
	"strings"
	"time"
)

// PublishLines publishes as a person would, in typed lines, and reads every answer.
func PublishLines(address string, messages []Event) error {
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	sent := make(chan error, 1)
	go func() {
		var text strings.Builder
		for _, m := range messages {
			fmt.Fprintf(&text, "PUB %s %s\n", m.Topic, m.Payload)
		}
		_, err := conn.Write([]byte(text.String()))
		sent <- err
	}()
	answers := bufio.NewScanner(conn)
	for _, m := range messages {
		if !answers.Scan() {
			return fmt.Errorf("no answer to PUB %s %s: %v", m.Topic, m.Payload, answers.Err())
		}
		if want := "OK PUB " + m.Topic; answers.Text() != want {
			return fmt.Errorf("PUB %s: answered %q, not %q", m.Topic, answers.Text(), want)
		}
	}
	return <-sent
}
