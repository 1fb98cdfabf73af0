package daemon

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/conchmq/conch/internal/harness"
)

// Limits that differ are named in the logs of both nodes; a setting of the cluster that was given otherwise, in that of one.
func TestSettingsOfNodesDiffer(t *testing.T) {
	c := newCluster(t, "a", "b")
	c.start("a", "--max-message=1MiB", "--durable=x.*")
	c.start("b", "--max-message=2MiB", "--durable=y.*")
	c.dial("a")
	c.dial("b")
	for name, want := range map[string]string{
		"a": `the setting max-message differs: it is \"1048576\" on a, and \"2097152\" on b`,
		"b": `the setting max-message differs: it is \"2097152\" on b, and \"1048576\" on a`,
	} {
		log := c.running[name].Log
		harness.Eventually(t, func() bool { return strings.Contains(log.Text(), want) }, want)
		assert.NotContains(t, log.Text(), "the setting max-line differs")
	}
	const ineffective = "the cluster has another value of a setting: the one given here has no effect, and CONFIG SET changes it on all nodes"
	harness.Eventually(t, func() bool {
		text := c.running["a"].Log.Text() + c.running["b"].Log.Text()
		return strings.Count(text, ineffective) == 1 && strings.Contains(text, `"setting":"durable"`)
	}, "one of them has another value")
}

// A position that this node has yet to reach is waited for: nothing is missed. One that no node reaches is reported.
func TestAPositionAheadOfANode(t *testing.T) {
	c := startCluster(t, "a")
	p, s := c.dial("a"), c.dial("a")
	p.Send("SEQ ON\nPUB news one\n")
	words := strings.Fields(p.Line()) // OK SEQ ON EPOCH NUMBER
	p.Expect("OK PUB news #1\n")
	epoch := words[3]
	s.Send("SUB news FROM %s-4\n", epoch)
	p.Send("PUB news two\nPUB news three\n")
	p.Expect("OK PUB news #2\nOK PUB news #3\n")
	s.Expect("OK SUB news\n")
	p.Send("PUB news four\n")
	s.Expect("UPDATE news four\n")

	s2 := c.dial("a")
	s2.Send("SUB news FROM %s-1000\n", epoch)
	s2.Expect("OK SUB news\nMISSED ? news\n")
}
