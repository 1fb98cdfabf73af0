package attack

import (
	"errors"
	"fmt"
	"strings"
)

// commandAttacks are commands that cost the server more than they cost the client. Points 7 to 9.
var commandAttacks = []Scenario{
	{Name: "7-kill", Title: "CLIENT KILL with 1,000 filters, 20 pipelined, 2,000 connections", run: withIdleConns(killMany)},
	{Name: "7b-kill", Title: "CLIENT KILL of one id, 2,000 pipelined, 2,000 connections", run: withIdleConns(killOften)},
	{Name: "7c-setuser", Title: "ACL SETUSER, 1,000 pipelined, 2,000 connections", run: withIdleConns(setUsers)},
	{Name: "7d-deluser", Title: "ACL DELUSER, 1,000 pipelined, 2,000 connections", run: withIdleConns(deleteUsers)},
	{Name: "7e-revoke", Title: "ACL TOKEN REVOKE, 200 pipelined, 2,000 connections", ConchOnly: "Redis has no tokens", run: withIdleConns(revokeTokens)},
	{Name: "8-topics", Title: "16 times TOPICS in EXEC, 1,000 names of 4 KiB", ConchOnly: "Redis has no TOPICS", run: topicsInExec},
	{Name: "8b-config-get", Title: "CONFIG GET of 1,000 globs of 4 KiB", run: configGet},
	{Name: "8c-client-list", Title: "CLIENT LIST, 100 pipelined, 2,000 connections", run: withIdleConns(clientList)},
	{Name: "8d-command-info", Title: "COMMAND INFO of 1,020 times client, 20 pipelined", run: commandInfo},
	{Name: "9-refused", Title: "64 KiB of TIME by a user without rights, 1 connection", run: refused(1)},
	{Name: "9b-refused", Title: "64 KiB of TIME by a user without rights, 8 connections", run: refused(8)},
}

// withIdleConns runs an attack beside 2,000 idle connections.
func withIdleConns(attack func(*Target) error) func(*Target) error {
	return func(t *Target) error {
		if err := t.dialIdle(t.scaled(2000)); err != nil {
			return err
		}
		return attack(t)
	}
}

// pipeline begins the attack: it sends commands in one write and reads the replies.
func (t *Target) pipeline(text string, answers int) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	t.begin()
	failed := make(chan error, 1)
	t.readers.Go(func() { failed <- c.answers(answers) })
	return errors.Join(c.send(text), <-failed)
}

func killMany(t *Target) error {
	args := []string{"CLIENT", "KILL"}
	for i := range 1000 {
		args = append(args, "ID", fmt.Sprint(1_000_000_000+i))
	}
	return t.pipeline(strings.Repeat(command(args...), 20), 20)
}

func killOften(t *Target) error {
	const times = 2000
	return t.pipeline(strings.Repeat(command("CLIENT", "KILL", "ID", "1000000000"), times), times)
}

// setUsers changes the user of all connections by a rule without effect.
func setUsers(t *Target) error {
	const times = 1000
	return t.pipeline(strings.Repeat(command("ACL", "SETUSER", "default", "on", "&*", "+@all"), times), times)
}

func deleteUsers(t *Target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	const users = 1000
	var deletions strings.Builder
	for i := range users {
		name := fmt.Sprintf("attack%d", i)
		deletions.WriteString(command("ACL", "DELUSER", name))
		if err := c.request("ACL", "SETUSER", name, "on"); err != nil {
			return err
		}
	}
	return t.pipeline(deletions.String(), users)
}

func revokeTokens(t *Target) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	const tokens = 200
	if err := c.request("ACL", "SETUSER", "attack", "on", "+@all", "&*"); err != nil {
		return err
	}
	var text strings.Builder
	made := 0
	for i := range tokens {
		name := fmt.Sprintf("token%d", i)
		if err := c.request("ACL", "TOKEN", "CREATE", "attack", name, "3600"); err != nil {
			t.note("%d tokens: %v", made, err)
			break
		}
		made++
		text.WriteString(command("ACL", "TOKEN", "REVOKE", "attack", name))
	}
	return t.pipeline(text.String(), made)
}

func topicsInExec(t *Target) error {
	args := []string{"SUBSCRIBE"}
	for i := range 1000 {
		args = append(args, fmt.Sprintf("%04d", i)+strings.Repeat("t", 4000))
	}
	if _, err := t.dialReader(command(args...), 1000); err != nil {
		return err
	}
	return t.pipeline(command("MULTI")+strings.Repeat(command("TOPICS"), 16)+command("EXEC"), 18)
}

// configGet sends globs that match no parameter and are costly to compare.
func configGet(t *Target) error {
	args := []string{"CONFIG", "GET"}
	for i := range 1000 {
		args = append(args, "*["+strings.Repeat("z", 4000)+fmt.Sprintf("%04d]", i))
	}
	return t.pipeline(command(args...), 1)
}

func clientList(t *Target) error {
	return t.pipeline(strings.Repeat(command("CLIENT", "LIST"), 100), 100)
}

func commandInfo(t *Target) error {
	args := []string{"COMMAND", "INFO"}
	for range 1020 {
		args = append(args, "client")
	}
	return t.pipeline(strings.Repeat(command(args...), 20), 20)
}

func refused(connections int) func(*Target) error {
	return func(t *Target) error {
		operator, err := t.dial()
		if err != nil {
			return err
		}
		if err := operator.request("ACL", "SETUSER", "unprivileged", "on", ">nothing", "-@all", "+auth"); err != nil {
			return err
		}
		var conns []*conn
		for range connections {
			c, err := t.dialReader(command("AUTH", "unprivileged", "nothing"), 1)
			if err != nil {
				return err
			}
			conns = append(conns, c)
		}
		text := strings.Repeat("TIME\r\n", 64<<10/6)
		t.begin()
		err = inParallel(len(conns), func(i int) error { return conns[i].send(text) })
		return errors.Join(err, t.roundTrip())
	}
}
