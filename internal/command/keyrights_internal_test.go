package command

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/protocol"
)

// keyRight is a row of the ACL matrix.
type keyRight struct {
	line string
	row  *protocol.CommandSpec
	args [][]byte
	need string
	keys []string
}

func keyRights(t *testing.T) (rights []keyRight) {
	t.Helper()
	file, err := os.ReadFile("testdata/keyrights.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(file)) {
		if line[0] == '#' {
			continue
		}
		columns := append(strings.Split(strings.TrimSpace(line), "\t"), "", "")
		k := keyRight{line: columns[0], need: columns[1], keys: strings.Fields(columns[2])}
		for _, word := range strings.Fields(k.line) {
			k.args = append(k.args, []byte(word))
		}
		var failed *protocol.Error
		k.row, failed = (&protocol.Command{Args: k.args, Spec: protocol.Lookup(k.args[0])}).Resolve()
		require.Nil(t, failed, k.line)
		rights = append(rights, k)
	}
	return rights
}

// allowed is what the rights "R", "W", "RW" or "" to all keys allow.
func (k *keyRight) allowed(granted string) bool {
	switch {
	case len(k.keys) == 0:
		return true
	case k.need == "any":
		return granted != ""
	case k.need == "both":
		return granted == "RW"
	}
	return strings.Contains(granted, map[string]string{"read": "R", "write": "W"}[k.need])
}

func denied(t *testing.T, k *keyRight, rules ...string) *acl.Denial {
	t.Helper()
	us := acl.NewUsers(aclRegistry)
	require.NoError(t, us.Set("alice", append([]string{"+@all", "&*"}, rules...)...))
	u, rule := us.Find("alice"), aclRules[k.row.Index()]
	inv := invocation{row: k.row, args: k.args}
	denial := u.Check(rule.command, k.args[rule.firstArg:], inv.keys())
	assert.Equal(t, denial, u.Check(rule.command, k.args[rule.firstArg:], keysOf(k.row, k.args)), "ACL DRYRUN judges the same")
	return denial
}

func TestTheMatrixOfKeyRights(t *testing.T) {
	for _, k := range keyRights(t) {
		for rule, granted := range map[string]string{
			"~*": "RW", "allkeys": "RW", "%RW~*": "RW", "%R~*": "R", "%W~*": "W", "resetkeys": "", "~other": "", "%R~other": "",
		} {
			assert.Equal(t, k.allowed(granted), denied(t, &k, rule) == nil, "%s, with %s", k.line, rule)
		}
		for sigil, granted := range map[string]string{"~": "RW", "%R~": "R", "%W~": "W"} {
			var rules []string
			for _, key := range k.keys {
				rules = append(rules, sigil+key)
			}
			assert.Equal(t, k.allowed(granted), denied(t, &k, rules...) == nil, "%s, with %v", k.line, rules)
			if len(rules) == 0 {
				continue
			}
			// The last key is missing: it is the one that is denied, if the others are allowed.
			d := denied(t, &k, rules[:len(rules)-1]...)
			require.NotNil(t, d, "%s, with %v", k.line, rules)
			if k.allowed(granted) {
				assert.Equal(t, &acl.Denial{Reason: acl.ReasonKey, User: "alice", Object: k.keys[len(k.keys)-1]}, d, k.line)
			}
			assert.NotNil(t, denied(t, &k, "-@all", rules[0]), "%s: a key is no right to the command", k.line)
			assert.Equal(t, k.allowed(granted), denied(t, &k, "resetkeys", "(+@all &* "+strings.Join(rules, " ")+")") == nil, "%s, in a selector", k.line)
		}
	}
}

func TestEveryCommandWithKeysIsInTheMatrix(t *testing.T) {
	rights := keyRights(t)
	for _, row := range protocol.Commands {
		listed := slices.ContainsFunc(rights, func(k keyRight) bool { return k.row == row && len(k.keys) > 0 })
		assert.Equal(t, row.Keys != nil, listed, row.Name)
		h := handlers[row.FullName()]
		if row.Keys != nil && row.Name != "WATCH" {
			assert.NotZero(t, h.keys, "%s: its handler uses keys", row.Name)
		}
	}
}

// What Redis fixed in 2026: the keys of the rights were not always those that were read.
func TestXReadIsParsedOnce(t *testing.T) {
	inv := &invocation{row: protocol.Lookup([]byte("XREAD")), args: [][]byte{
		[]byte("XREAD"), []byte("COUNT"), []byte("1"), []byte("STREAMS"), []byte("STREAMS"), []byte("secret"), []byte("0"), []byte("0"),
	}}
	judged := inv.keys()
	x, err := inv.xread()
	require.Nil(t, err)
	assert.Equal(t, []string{"STREAMS", "secret"}, []string{string(judged.Names[0]), string(judged.Names[1])})
	assert.Same(t, &judged.Names[0], &x.Keys[0], "the very keys that are read")
}
