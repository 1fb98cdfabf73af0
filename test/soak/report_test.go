package soak

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestReport(t *testing.T) {
	table := []row{{"kills", true, false}, {"partitions", true, false}, {"told", false, false}, {"lost", false, true}}
	tests := []struct {
		sentence string
		prepare  func(r *report)
		shows    string
		wrong    []string
	}{
		{
			"all is well",
			func(r *report) { r.add("kills", 2); r.add("partitions", 1) }, "kills 2 partitions 1 told 0 lost 0", nil,
		},
		{
			"what was promised did not happen",
			func(r *report) { r.add("kills", 2) }, "partitions 0", []string{"nothing of what was promised: partitions"},
		},
		{
			"what could not be tried is shown, and is no failure",
			func(r *report) { r.add("kills", 2); r.skip("partitions", "skipped: not root") }, "partitions skipped: not root", nil,
		},
		{
			"what must not be is",
			func(r *report) { r.most("kills", 2); r.most("kills", 1); r.add("partitions", 1); r.add("lost", 3) },
			"kills 2", []string{"lost: 3, and it must be 0"},
		},
		{
			"something failed on the way",
			func(r *report) { r.add("kills", 2); r.add("partitions", 1); r.fail("it %s", "died") }, "", []string{"it died"},
		},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			r := newReport(table)
			test.prepare(r)
			var out bytes.Buffer
			assert.Equal(t, test.wrong, r.write(&out, "title"))
			assert.Contains(t, strings.Join(strings.Fields(out.String()), " "), test.shows)
		})
	}
}

func TestHostileInputsAreRepeatable(t *testing.T) {
	one, two := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		input := hostile(one)
		assert.NotEmpty(t, input)
		assert.Equal(t, input, hostile(two))
		for _, word := range []string{"SHUTDOWN", "KILL", "CONFIG", "soak"} {
			assert.NotContains(t, strings.ToUpper(string(input)), strings.ToUpper(word))
		}
	}
}
