package attack

import (
	"errors"
	"fmt"
	"strings"
)

// whyAttacks ask for explanations of what many subscribe to, and of names that no person has typed.
var whyAttacks = []Scenario{
	{Name: "17-why", Title: "1,000 PUBSUB WHY of a topic with 100,000 subscriptions, in one write", ConchOnly: "Redis has no WHY", run: explainMany},
	{Name: "17b-why-names", Title: "PUBSUB WHY of names of 4 KiB, of markup and control bytes, beside 100,000 names", ConchOnly: "Redis has no WHY", run: explainNames},
}

func explainMany(t *Target) error {
	const clients = 200
	globs := []string{"PSUBSCRIBE"}
	for i := range t.scaled(500) {
		globs = append(globs, "news"+strings.Repeat("*", i+1))
	}
	err := inParallel(clients, func(int) error {
		_, err := t.dialReader(command(globs...), len(globs)-1)
		return err
	})
	if err != nil {
		return err
	}
	return t.pipeline(strings.Repeat(command("PUBSUB", "WHY", "news"), t.scaled(1000)), t.scaled(1000))
}

func explainNames(t *Target) error {
	names := []string{"SUBSCRIBE"}
	for i := range t.scaled(100_000) {
		names = append(names, fmt.Sprintf("topic.%d", i))
	}
	sub, err := t.dial()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	t.readers.Go(func() { failed <- sub.answers(len(names) - 1) })
	if err := errors.Join(sub.send(command(names...)), <-failed); err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range []string{strings.Repeat("n", 4096), "<script>\x1b]0;\a\r\n\x00", "topic.1", "TOPIC-77", strings.Repeat("*?", 2000)} {
		text.WriteString(strings.Repeat(command("PUBSUB", "WHY", name), t.scaled(100)))
	}
	return t.pipeline(text.String(), 5*t.scaled(100))
}
