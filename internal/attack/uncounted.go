package attack

import (
	"fmt"
	"strings"
)

// uncountedAttacks use memory that an accounting easily misses. Point 13, too.
var uncountedAttacks = []Scenario{
	{Name: "13c-half", Title: "40 clients with half a command of 1,000,000 empty arguments", Cap: "100MiB", run: halfCommands},
	{Name: "13d-names", Title: "40 clients subscribe to 50,000 names each", Cap: "100MiB", RedisArgs: noOutputLimit, run: namesOfMany},
	{Name: "13e-missed", Title: "a drop-newest subscriber misses messages to 20,000 names", Cap: "100MiB",
		ConchOnly: "Redis drops no messages", run: missMany},
	{Name: "13f-fences", Title: "100 clients send COMMAND and 60 KiB behind it, and do not read", Cap: "100MiB", run: fencesUnread},
}

// halfCommands omits the last argument. The server may disconnect any of the clients.
func halfCommands(t *Target) error {
	n := t.scaled(1_000_000)
	text := fmt.Sprintf("*%d\r\n$9\r\nSUBSCRIBE\r\n", n+2) + strings.Repeat("$0\r\n\r\n", n)
	if err := t.flood(40, t.dial, text, 1); err != nil {
		return err
	}
	return t.roundTrip()
}

func namesOfMany(t *Target) error {
	texts := make([]string, 40)
	for i := range texts {
		args := []string{"SUBSCRIBE"}
		for j := range t.scaled(50_000) {
			args = append(args, fmt.Sprintf("%d:%d", i, j))
		}
		texts[i] = command(args...)
	}
	t.begin()
	_ = inParallel(len(texts), func(i int) error { // the server may disconnect it
		_, err := t.dialReader(texts[i], t.scaled(50_000))
		return err
	})
	return t.roundTrip()
}

// missMany first fills the outbox.
func missMany(t *Target) error {
	args := []string{"SUBSCRIBE", "filler"}
	topic := func(i int) string { return fmt.Sprintf("%05d", i) + strings.Repeat("n", 1000) }
	for i := range t.scaled(20_000) {
		args = append(args, topic(i))
	}
	if _, err := t.dialSlow(command("HELLO", "3")+command("CLIENT", "SLOW", "drop-newest")+command(args...), len(args)+1); err != nil {
		return err
	}
	pub, err := t.dialReader("", 0)
	if err != nil {
		return err
	}
	if err := pub.send(strings.Repeat(command("PUBLISH", "filler", strings.Repeat("x", mib)), 48)); err != nil {
		return err
	}
	t.begin()
	for i := range t.scaled(20_000) {
		if err := pub.send(command("PUBLISH", topic(i), "x")); err != nil {
			return err
		}
	}
	return t.roundTrip()
}

func fencesUnread(t *Target) error {
	text := "COMMAND\r\n" + strings.Repeat("PING\r\n", 10<<10)
	return t.flood(100, func() (*conn, error) { return t.dialSlow("", 0) }, text, mib)
}
