package attack

import (
	"errors"
	"fmt"
	"strings"
)

// patternAttacks are costly predicates, globs and rules. Points 12 and 13.
var patternAttacks = []Scenario{
	{Name: "12-compile", Title: "100 unauthenticated clients pipeline predicates of 4 KiB", NeedsPassword: true,
		ConchOnly: "Redis has no predicates", run: compileMany},
	{Name: "12b-evaluate", Title: "8 publishers of 100 KiB JSON, 200 costly predicates",
		ConchOnly: "Redis has no predicates", run: evaluateMany},
	{Name: "13-globs", Title: "PUBLISH to a topic of 4 KB, 200 laborious globs of 2 KB", run: costlyGlobs},
	{Name: "13b-rules", Title: "ACL SETUSER with 379 KiB of rules", run: manyRules},
}

// compileMany sends predicates that are all different.
func compileMany(t *Target) error {
	const clients, each0 = 100, 50
	var conns []*conn
	for range clients {
		c, err := t.dialUnauthenticated()
		if err != nil {
			return err
		}
		c.discardAll()
		conns = append(conns, c)
	}
	texts := make([]string, clients)
	for i := range texts {
		var text strings.Builder
		for j := range each0 {
			text.WriteString(command("PSUBSCRIBE", "a WHERE "+longPredicate(i*each0+j)))
		}
		texts[i] = text.String()
	}
	t.begin()
	err := inParallel(clients, func(i int) error {
		_ = conns[i].send(texts[i]) // the server may close it
		return nil
	})
	return errors.Join(err, t.roundTrip())
}

// longPredicate returns a predicate of about 4 KiB and fewer than 256 parts.
func longPredicate(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "n == %d", i)
	for j := 0; b.Len() < 4000; j++ {
		fmt.Fprintf(&b, ` || field%02d == "%070d"`, j, i+j)
	}
	return b.String()
}

func evaluateMany(t *Target) error {
	args := []string{"PSUBSCRIBE"}
	for i := range 200 {
		var b strings.Builder
		for j := range 20 {
			if j > 0 {
				b.WriteString(" || ")
			}
			fmt.Fprintf(&b, `payload contains "%sb%d"`, strings.Repeat("a", 40), i*20+j)
		}
		args = append(args, "json WHERE "+b.String())
	}
	if _, err := t.dialReader(command(args...), 200); err != nil {
		return err
	}
	text := command("PUBLISH", "json", `{"a": "`+strings.Repeat("a", 100<<10)+`"}`)
	return t.flood(8, func() (*conn, error) { return t.dialReader("", 0) }, text, 1<<40)
}

func costlyGlobs(t *Target) error {
	args := []string{"PSUBSCRIBE"}
	for i := range 200 { // at each offset of a name of a only, the match fails almost at the end
		args = append(args, "*"+strings.Repeat("a?", 1000)+fmt.Sprintf("b%03d*", i))
	}
	if _, err := t.dialReader(command(args...), 200); err != nil {
		return err
	}
	return t.pipeline(command("PUBLISH", strings.Repeat("a", 4000), "x"), 1)
}

func manyRules(t *Target) error {
	args := []string{"ACL", "SETUSER", "attack"}
	for i, size := 0, 0; size < 379<<10; i++ {
		rule := fmt.Sprintf("&channel.%08d", i)
		args, size = append(args, rule), size+len(rule)
	}
	return t.pipeline(command(args...), 1)
}
