package server_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/harness"
	"github.com/conchmq/conch/server"
)

// Everything that can be shown is looked through for secrets: what is told in confidence is shown to nobody, whether it
// was right or wrong, whole or not. Only ACL GETUSER, LIST and SAVE have digests, for whoever may read those.
func TestNoSecretIsShown(t *testing.T) {
	log := new(logText)
	s := harness.Start(t, server.Options{
		RequirePassword: "Sesame1", Log: zerolog.New(log).Level(zerolog.TraceLevel),
		ACLFile: rules(t, "user file on >Sesame2 &* +@all"),
	})
	monitor, c := s.Dial(t), s.Dial(t)
	become(monitor, "default", "Sesame1")
	monitor.Command("MONITOR")
	monitor.Expect("+OK\r\n")
	secret := "" // of a token
	for _, words := range []string{
		"AUTH Sesame3", "AUTH default Sesame3", "AUTH Sesame3 Sesame3", "AUTH a Sesame3 c", "HELLO 3 AUTH default Sesame3",
		"HELLO 3 AUTH Sesame3", "HELLO 3 SETNAME x AUTH default Sesame3", "HELLO 2 AUTH default Sesame1", "AUTH file Sesame2",
		"AUTH Sesame1", "ACL SETUSER u on >Sesame4 +@all", "ACL SETUSER u <Sesame5", "ACL SETUSER u >Sesame4 +nosuch",
		"ACL SETUSER u #Sesame6", "CONFIG SET requirepass Sesame7", "CONFIG SET loglevel trace requirepass Sesame7",
		"CONFIG SET requirepass", "CONFIG GET requirepass", "MULTI", "AUTH default Sesame7", "EXEC", "CLIENT INFO",
		"HELLO AUTH default Sesame3", "HELLO 3 SETNAME AUTH AUTH default Sesame3 x", "HELLO 3 SETNAME AUTH AUTH default Sesame3",
		"ACL DRYRUN default AUTH x Sesame3", "ACL DRYRUN u ACL SETUSER x >Sesame3", "AUHT Sesame3", "ACL SETUSR u >Sesame3",
		"CONFIG SET requ\u0130repass Sesame3", "AUTH a b c Sesame3",
		"ACL TOKEN CREATE u ci 1000", "ACL LOAD", "AUTH nobody Sesame8",
	} {
		c.Command(strings.Fields(words)...)
		frame, err := c.Frame()
		require.NoError(t, err)
		if strings.HasPrefix(words, "ACL TOKEN") {
			secret = strings.Split(string(frame), "\r\n")[1]
			become(s.Dial(t), "u", secret)
		}
	}
	c.Send("AUTH default Sesame7\r\nAUTH default Sesame9\r\n")
	c.Expect("+OK\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	shown := map[string]string{"log": log.String()}
	for _, words := range []string{"CLIENT LIST", "CLIENT INFO", "ACL LOG", "ACL TOKEN LIST", "CONFIG GET *", "INFO", "COMMAND DOCS"} {
		c.Command(strings.Fields(words)...)
		frame, err := c.Frame()
		require.NoError(t, err)
		shown[words] = string(frame)
	}
	shown["MONITOR"] = monitored(t, monitor, s)

	digests := []string{secret}
	for n := range 9 {
		d := acl.Hash([]byte("Sesame" + string(rune('1'+n))))
		digests = append(digests, d.String(), hex.EncodeToString(d[:4]), string(d[:]))
	}
	for where, text := range shown {
		require.NotEmpty(t, text)
		for line := range strings.Lines(text) {
			if where == "ACL LOG" { // AUTH Sesame3 Sesame3: the name that was tried is shown, as Redis does
				line = strings.ReplaceAll(line, "Sesame3", "")
			}
			assert.NotContains(t, line, "esame", where)
			for _, d := range digests {
				assert.NotContains(t, line, d, where)
			}
		}
	}
	assert.Contains(t, shown["log"], "AUTH (redacted) (redacted)", "the log was looked at")
	assert.Contains(t, shown["MONITOR"], `"AUTH" "(redacted)"`)
	assert.Contains(t, shown["MONITOR"], `"ACL" "SETUSER" "u" "(redacted)"`)
	assert.Contains(t, shown["MONITOR"], `"HELLO" "3" "AUTH" "(redacted)"`)
}

// monitored is all that a monitor was shown until now.
func monitored(t *testing.T, monitor *harness.Conn, s *harness.Server) string {
	t.Helper()
	last := s.Dial(t)
	become(last, "file", "Sesame2")
	last.Command("ECHO", "enough")
	var text strings.Builder
	for !strings.Contains(text.String(), "enough") {
		text.WriteString(monitor.Line() + "\n")
	}
	return text.String()
}
