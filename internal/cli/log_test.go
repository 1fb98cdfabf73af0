package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/harness"
)

// conchLog runs conch log, and returns what it prints.
func conchLog(args ...string) (status int, out, stderr string) {
	var o, e bytes.Buffer
	status = run(append([]string{"conch", "log"}, args...), nothing, nil, &o, &e, nil)
	return status, o.String(), e.String()
}

// The way of an operator: a backup of a conch that runs, a restore, and a look into what was restored.
func TestLog(t *testing.T) {
	base := t.TempDir()
	dir, folder, restored := filepath.Join(base, "log"), filepath.Join(base, "backup"), filepath.Join(base, "restored")
	p := start(t, "--dir", dir, "--fsync", "always")
	sock := harness.Use(t, p.Dial())
	sock.Command("XADD", "orders", "1000-0", "price", "120")
	sock.Expect("$6\r\n1000-0\r\n")
	sock.Command("XADD", "returns", "2000-0", "price", "80")
	sock.Expect("$6\r\n2000-0\r\n")

	status, out, stderr := conchLog("backup", "--url", p.Address, folder)
	require.Equal(t, statusOK, status, stderr)
	assert.Regexp(t, `^backed up [0-9]+ files into `+regexp.QuoteMeta(folder)+`, up to the sequence number 2: [0-9]+ copied, [0-9]+ linked\n$`, out)
	status, _, stderr = conchLog("backup", "--url", p.Address, filepath.Join(dir, "inside"))
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, stderr, "the directory of the store: choose a folder outside")
	status, _, stderr = conchLog("backup", "--url", p.Address, "backup")
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, stderr, `begins with /, not "backup"`)
	status, out, stderr = conchLog("status", "--url", p.Address)
	require.Equal(t, statusOK, status, stderr)
	assert.Contains(t, out, "backup_state: done\nbackup_path: "+folder+"\n")
	status, _, stderr = conchLog("compact", "--url", p.Address)
	require.Equal(t, statusOK, status, stderr)

	typed := p.Dial()
	p.Request(typed, "LOG COMPACT\n", "OK LOG COMPACT\n")
	p.Request(typed, "LOG BACKUP "+folder+"\r\n", "OK LOG BACKUP "+folder+"\r\n")
	p.Request(typed, "LOG STATUS\n", "# state ok\n")
	harness.Eventually(t, func() bool { // it goes on behind its reply
		_, out, _ := conchLog("status", "--url", p.Address)
		return strings.Contains(out, "backup_state: done\n")
	}, "the end of the backup")

	status, out, stderr = conchLog("dump", "--where", "price > 100", dir) // beside the conch that owns it
	require.Equal(t, statusOK, status, stderr)
	assert.Regexp(t, `^{"stream":"orders","id":"1000-0","position":"[a-f][0-9a-f]{15}-1","fields":\["price","120"\]}\n$`, out)
	status, _, stderr = conchLog("restore", folder, dir)
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, stderr, dir+" is not empty")

	status, out, stderr = conchLog("restore", folder, restored)
	require.Equal(t, statusOK, status, stderr)
	assert.Contains(t, out, "up to the sequence number 2; to serve it: conch --dir "+restored)
	for _, path := range []string{restored, folder, dir} {
		status, out, stderr = conchLog("verify", path)
		require.Equal(t, statusOK, status, stderr)
		assert.Regexp(t, "^verified ", out)
	}
	status, out, stderr = conchLog("stats", restored)
	require.Equal(t, statusOK, status, stderr)
	assert.Regexp(t, `(?m)^entries +2$`, out)
	status, out, stderr = conchLog("stats", "--json", restored)
	require.Equal(t, statusOK, status, stderr)
	assert.Contains(t, out, `"entries":2`)
	status, _, stderr = conchLog("backup", restored, filepath.Join(base, "third"))
	require.Equal(t, statusOK, status, stderr)
}

// Damage is a line for each place, and the exit status.
func TestLogVerifyOfDamage(t *testing.T) {
	base := t.TempDir()
	dir, folder := filepath.Join(base, "log"), filepath.Join(base, "backup")
	p := start(t, "--dir", dir, "--fsync", "always")
	sock := harness.Use(t, p.Dial())
	sock.Command("XADD", "orders", "1000-0", "price", strings.Repeat("x", 1000))
	sock.Expect("$6\r\n1000-0\r\n")
	status, _, stderr := conchLog("backup", "--url", p.Address, folder)
	require.Equal(t, statusOK, status, stderr)
	p.Signals <- os.Interrupt
	p.Wait()

	segment := filepath.Join(dir, "00000000000000000001.log")
	b, err := os.ReadFile(segment)
	require.NoError(t, err)
	b[500] ^= 1
	require.NoError(t, os.WriteFile(segment+".new", b, 0o600))
	require.NoError(t, os.Rename(segment+".new", segment))
	status, out, stderr := conchLog("verify", dir)
	assert.Equal(t, statusFailure, status)
	assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(segment)+`: offset [0-9]+: what should be record 1 is not whole$`, out)
	assert.Contains(t, out, `stream "orders": 1 of its 1 entries are in no file`)
	assert.Contains(t, stderr, "is damaged in 2 places; restore it from a backup")
	status, out, stderr = conchLog("dump", dir)
	assert.Equal(t, statusFailure, status)
	assert.Empty(t, out)
	assert.Contains(t, stderr, "1 record left out, because of damage")

	stored, err := filepath.Glob(filepath.Join(folder, "00000000000000000001.log.*"))
	require.NoError(t, err)
	require.Len(t, stored, 1)
	require.NoError(t, os.WriteFile(stored[0], b, 0o600))
	status, out, _ = conchLog("verify", folder)
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, out, stored[0]+": offset 0: ")
	restored := filepath.Join(base, "restored")
	status, _, stderr = conchLog("restore", folder, restored)
	assert.Equal(t, statusFailure, status)
	assert.Contains(t, stderr, "the backup is damaged: nothing is restored")
	assert.NoDirExists(t, restored)
}

func TestLogUsage(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for args, want := range map[string]string{
		"":                             "log: expected a subcommand: verify, dump, stats, backup, restore, compact, status; see conch log --help",
		"verfy x":                      "log: unknown subcommand verfy (did you mean verify?); see conch log --help",
		"verify":                       "log verify: expected one directory, got 0 arguments; see conch log verify --help",
		"dump --strem x y":             "log dump: unknown flag --strem (did you mean --stream?); see conch log dump --help",
		"restore x":                    "log restore: expected a backup and a directory, got 1 arguments; see conch log restore --help",
		"stats --streams x y":          "log stats: flag --streams: ",
		"verify " + none:               none,
		"restore " + none + " " + none: "there is no backup in " + none,
	} {
		status, _, stderr := conchLog(strings.Fields(args)...)
		assert.NotEqual(t, statusOK, status, args)
		assert.Contains(t, stderr, "conch: ", args)
		assert.Contains(t, stderr, want, args)
	}
	assert.NoDirExists(t, none)
}

// A directory that is encrypted is read with its key alone; its backup is copied and restored without.
func TestLogOfAnEncryptedDirectory(t *testing.T) {
	base := t.TempDir()
	dir, folder, restored, key := filepath.Join(base, "log"), filepath.Join(base, "backup"), filepath.Join(base, "restored"), filepath.Join(base, "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("a", 64)), 0o600))
	p := start(t, "--dir", dir, "--fsync", "always", "--compress", "zstd", "--encrypt-key-file", key)
	sock := harness.Use(t, p.Dial())
	sock.Command("XADD", "patients", "1000-0", "name", "Ann")
	sock.Expect("$6\r\n1000-0\r\n")
	status, _, stderr := conchLog("backup", "--url", p.Address, folder)
	require.Equal(t, statusOK, status, stderr)
	status, _, stderr = conchLog("restore", folder, restored)
	require.Equal(t, statusOK, status, stderr)
	for _, path := range []string{dir, restored} {
		status, _, stderr = conchLog("dump", path)
		assert.Equal(t, statusFailure, status)
		assert.Contains(t, stderr, "is encrypted; name its key by --encrypt-key-file")
		status, out, stderr := conchLog("dump", "--encrypt-key-file", key, path)
		require.Equal(t, statusOK, status, stderr)
		assert.Contains(t, out, `"fields":["name","Ann"]`)
		status, _, stderr = conchLog("verify", "--encrypt-key-file", key, path)
		require.Equal(t, statusOK, status, stderr)
	}
	status, _, stderr = conchLog("verify", folder)
	require.Equal(t, statusOK, status, stderr)
}
