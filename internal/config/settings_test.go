package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// environment is a lookup in a map.
func environment(variables map[string]string) Lookup {
	return func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
}

var nothing = environment(nil)

// tomlFile writes a file and returns its name.
func tomlFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "conch.toml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// line is a command line of flags, each with its value: --listen=:1.
func line(flags ...string) CommandLine {
	l := CommandLine{Flags: make(map[string]string)}
	for _, flag := range flags {
		name, value, _ := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		l.Flags[name] = value
	}
	return l
}

// sample has four different values of one setting, one for each source.
type sample struct {
	fallback        any    // without any source
	file            string // as in the file
	env, flag       string
	inFile, in, out any // what those three come to
}

var samples = map[string]sample{
	"listen":                 {"0.0.0.0:8889", `":1"`, ":2", "localhost:3", ":1", ":2", "localhost:3"},
	"protected-mode":         {true, `false`, "yes", "off", false, true, false},
	"enable-connect-command": {"no", `"yes"`, "local", "no", "yes", "local", "no"},
	"max-connections":        {10000, `11`, "12", "13", 11, 12, 13},
	"max-message":            {16 << 20, `"1MiB"`, "2mb", "3", 1 << 20, 2 << 20, 3},
	"max-line":               {64 << 10, `1000`, "2k", "3KB", 1000, 2 << 10, 3 << 10},
	"max-topic":              {4 << 10, `"11b"`, "12", "13", 11, 12, 13},
	"max-arguments":          {1 << 20, `"11"`, "12", "13", 11, 12, 13},
	"max-command":            {64 << 20, `"1g"`, "2GiB", "3GB", 1 << 30, 2 << 30, 3 << 30},
	"recent":                 {0, `"64m"`, "1MiB", "none", 64 << 20, 1 << 20, 0},
	"dir":                    {"", `"a"`, "b", "c", "a", "b", "c"},
	"dir-optional":           {false, `true`, "no", "on", true, false, true},
	"fsync":                  {"1s", `"always"`, "No", "100ms", "always", "no", "100ms"},
	"segment-size":           {64 << 20, `"1m"`, "2m", "3m", 1 << 20, 2 << 20, 3 << 20},
	"stream-memory":          {machineMemory(os.ReadFile) / 2 / 4, `"1g"`, "2GiB", "3GB", int64(1 << 30), int64(2 << 30), int64(3 << 30)},
	"retention":              {"", `"a  count=5"`, "b", "c bytes=1024kb", "a count=5", "b", "c bytes=1mb"},
	"durable":                {"", `["a b", "c"]`, "b  c", "*", `"a b" c`, "b c", "*"},
	"stream-idmp-duration":   {"100", `7`, "8", "86400", "7", "8", "86400"},
	"stream-idmp-maxsize":    {"100", `"7"`, "8", "10000", "7", "8", "10000"},

	"cluster-name":      {"", `"a"`, "b", "c", "a", "b", "c"},
	"cluster-listen":    {"none", `"127.0.0.1:4"`, "[::1]:5", "localhost:6", "127.0.0.1:4", "[::1]:5", "localhost:6"},
	"cluster-bootstrap": {"", `"a=h:1"`, "a=h:2", "a=h:3,b=h:4", "a=h:1", "a=h:2", "a=h:3,b=h:4"},
	"cluster-clients":   {"", `"a:1"`, "b:2", "c:3", "a:1", "b:2", "c:3"},
	"cluster-tls-cert":  {"", `"a"`, "b", "c", "a", "b", "c"},
	"cluster-tls-key":   {"", `"a"`, "b", "c", "a", "b", "c"},

	"cluster-tls-client-ca": {"", `"a"`, "b", "c", "a", "b", "c"},

	"cluster-election": {"500ms", `1`, "2s", "3m", "1s", "2s", "3m0s"},
	"cluster-timeout":  {"2s", `1`, "2s", "3m", "1s", "2s", "3m0s"},

	"compact-rate":      {64 << 20, `"1MiB"`, "2MiB", "0", 1 << 20, 2 << 20, 0},
	"unsynced":          {64 << 20, `"1m"`, "2m", "3m", 1 << 20, 2 << 20, 3 << 20},
	"max-memory":        {machineMemory(os.ReadFile) / 2, `"1g"`, "2GiB", "3GB", int64(1 << 30), int64(2 << 30), int64(3 << 30)},
	"max-subscriptions": {1 << 20, `11`, "12", "13", 11, 12, 13},
	"max-predicates":    {1000, `11`, "12", "13", 11, 12, 13},
	"max-predicate":     {4 << 10, `"11b"`, "12", "13", 11, 12, 13},

	"max-predicate-payload": {1 << 20, `"11b"`, "12", "13", 11, 12, 13},

	"keep-alive":           {"1m0s", `1`, "2s", "3m", "1s", "2s", "3m0s"},
	"slow-consumer":        {"disconnect", `"drop-newest"`, "Drop-Oldest", "disconnect", "drop-newest", "drop-oldest", "disconnect"},
	"slow-hard":            {32 << 20, `"31m"`, "30m", "29m", 31 << 20, 30 << 20, 29 << 20},
	"slow-soft":            {8 << 20, `"7m"`, "6m", "5m", 7 << 20, 6 << 20, 5 << 20},
	"slow-time":            {"1m0s", `1`, "2s", "3m", "1s", "2s", "3m0s"},
	"drain-timeout":        {"5s", `0.5`, "1500ms", "2", "500ms", "1.5s", "2s"},
	"tls-listen":           {"none", `":4"`, ":5", "localhost:6", ":4", ":5", "localhost:6"},
	"tls-cert":             {"", `"a"`, "b", "c", "a", "b", "c"},
	"tls-key":              {"", `"a"`, "b", "c", "a", "b", "c"},
	"tls-client-ca":        {"", `"a"`, "b", "c", "a", "b", "c"},
	"tls-client-auth":      {"require", `"optional"`, "require", "OPTIONAL", "optional", "require", "optional"},
	"tls-user":             {false, `true`, "no", "yes", true, false, true},
	"handshake-timeout":    {"10s", `1`, "2s", "3m", "1s", "2s", "3m0s"},
	"http":                 {"none", `":4"`, ":5", "localhost:6", ":4", ":5", "localhost:6"},
	"https":                {"none", `":4"`, ":5", "localhost:6", ":4", ":5", "localhost:6"},
	"debug":                {false, `true`, "no", "yes", true, false, true},
	"http-origin":          {"", `"http://a"`, "http://b, https://c", "*", "http://a", "http://b,https://c", "*"},
	"compress":             {"none", `"s2"`, "ZSTD", "none", "s2", "zstd", "none"},
	"encrypt-key-file":     {"", `"a"`, "b", "c", "a", "b", "c"},
	"encrypt-old-key-file": {"", `"a"`, "b", "c", "a", "b", "c"},
	"aclfile":              {"", `"a"`, "b", "c", "a", "b", "c"},
	"requirepass":          {false, `"a"`, "b", "c", true, true, true},
	"requirepass-file":     {"", `"file.go"`, "values.go", "parse.go", "file.go", "values.go", "parse.go"}, // any file with a first line
	"auth-timeout":         {"10s", `1`, "2s", "3m", "1s", "2s", "3m0s"},
	"unix-socket":          {"", `"a"`, "b", "c", "a", "b", "c"},
	"unix-mode":            {"0700", `"777"`, "0770", "600", "0777", "0770", "0600"},
	"log-level":            {"info", `"trace"`, "debug", "ERROR", "trace", "debug", "error"},
	"log-format":           {"auto", `"json"`, "console", "JSON", "json", "console", "json"},
}

// companions are the flags without which a setting is refused.
var companions = map[string]string{
	"fsync":    "--dir=x",
	"compress": "--dir=x",

	"cluster-name": "--dir=x --cluster-listen=localhost:9",

	"cluster-clients":       "--dir=x --cluster-name=a --cluster-listen=localhost:9",
	"cluster-tls-cert":      "--dir=x --cluster-name=a --cluster-listen=:9 --cluster-tls-key=x --cluster-tls-client-ca=x",
	"cluster-tls-key":       "--dir=x --cluster-name=a --cluster-listen=:9 --cluster-tls-cert=x --cluster-tls-client-ca=x",
	"cluster-tls-client-ca": "--dir=x --cluster-name=a --cluster-listen=:9 --cluster-tls-cert=x --cluster-tls-key=x",

	"cluster-listen":    "--dir=x --cluster-name=a",
	"cluster-bootstrap": "--dir=x --cluster-name=a --cluster-listen=localhost:9",

	"encrypt-key-file":     "--dir=x",
	"encrypt-old-key-file": "--dir=x",
	"tls-listen":           "--tls-cert=x --tls-key=x",
	"https":                "--tls-cert=x --tls-key=x",
	"http-origin":          "--http=:7",
	"debug":                "--http=:7",
	"tls-cert":             "--tls-listen=:7 --tls-key=x",
	"tls-key":              "--tls-listen=:7 --tls-cert=x",
	"tls-client-ca":        "--tls-listen=:7 --tls-cert=x --tls-key=x",
	"tls-client-auth":      "--tls-listen=:7 --tls-cert=x --tls-key=x --tls-client-ca=x",
	"tls-user":             "--tls-listen=:7 --tls-cert=x --tls-key=x --tls-client-ca=x",
}

func TestTheFlagBeatsTheEnvironmentBeatsTheFileBeatsTheDefault(t *testing.T) {
	require.Len(t, samples, len(settingsTable), "a sample for each setting")
	for i := range settingsTable {
		r := &settingsTable[i]
		t.Run(r.Name, func(t *testing.T) {
			s, ok := samples[r.Name]
			require.True(t, ok)
			file := "--config=" + tomlFile(t, r.Name+" = "+s.file)
			env := environment(map[string]string{r.Env(): s.env})
			flag := "--" + r.Name + "=" + s.flag
			for _, c := range []struct {
				name string
				args []string
				env  Lookup
				want any
			}{
				{"nothing", nil, nothing, s.fallback},
				{"file", []string{file}, nothing, s.inFile},
				{"env", nil, env, s.in},
				{"flag", []string{flag}, nothing, s.out},
				{"env over file", []string{file}, env, s.in},
				{"flag over file", []string{flag, file}, nothing, s.out},
				{"flag over env", []string{flag}, env, s.out},
				{"flag over all", []string{file, flag}, env, s.out},
			} {
				args := c.args
				if c.name != "nothing" {
					args = append(args, strings.Fields(companions[r.Name])...)
				}
				got, err := Load(line(args...), c.env)
				require.NoError(t, err, c.name)
				assert.Equal(t, c.want, r.Get(got), c.name)
			}
		})
	}
}

func TestAWrongValueNamesItsSourceAndTheExpectation(t *testing.T) {
	const size, number, period = "expected a size such as", "expected a whole number from 1 on", "expected a time such as"
	for name, expected := range map[string]string{
		"listen": "expected host:port", "tls-listen": "expected host:port", "http": "expected host:port", "https": "expected host:port",
		"debug": "expected true or false", "http-origin": "expected origins such as", "tls-client-auth": "expected require or optional",
		"tls-user": "expected true or false", "handshake-timeout": period, "unix-mode": "expected an octal mode",
		"protected-mode":         "expected true or false",
		"enable-connect-command": "expected no, local or yes",
		"max-connections":        number, "max-arguments": number, "max-subscriptions": number, "max-predicates": number,
		"max-predicate": size, "max-predicate-payload": size,
		"max-message": size, "max-memory": size, "recent": size, "max-line": size, "max-topic": size, "max-command": size, "slow-hard": size, "slow-soft": size,
		"segment-size": size, "stream-memory": size, "unsynced": size, "compact-rate": "expected 0 for no bound, or a size from 64KiB on", "fsync": "expected always, no, or a time such as 1s",
		"slow-time": period, "drain-timeout": period, "keep-alive": period,
		"slow-consumer": "must be disconnect, drop-newest or drop-oldest",
		"log-level":     "must be trace, debug, info, warn or error", "log-format": "expected auto, console or json",
	} {
		t.Run(name, func(t *testing.T) {
			r := findSetting(name)
			file := tomlFile(t, name+` = "wr ong"`)
			for from, c := range map[string]struct {
				args []string
				env  map[string]string
			}{
				"flag --" + name: {args: []string{"--" + name + "=wr ong"}},
				"env " + r.Env(): {env: map[string]string{r.Env(): "wr ong"}},
				fmt.Sprintf("file %s, key %s", file, name): {args: []string{"--config=" + file}},
			} {
				_, err := Load(line(c.args...), environment(c.env))
				require.Error(t, err, from)
				assert.True(t, strings.HasPrefix(err.Error(), from+": "), "%s", err)
				assert.Contains(t, err.Error(), expected)
				assert.Contains(t, err.Error(), `"wr ong"`)
			}
		})
	}
}

func TestEveryDefaultIsAValue(t *testing.T) {
	for i := range settingsTable {
		assert.NoError(t, settingsTable[i].set(&Config{}, settingsTable[i].Default), settingsTable[i].Name)
	}
}

func TestAnEmptyVariableIsAsGoodAsNone(t *testing.T) {
	s, err := Load(line(), environment(map[string]string{"CONCH_LISTEN": "", "CONCH_CONFIG": ""}))
	require.NoError(t, err)
	assert.Equal(t, "0.0.0.0:8889", s.Listen)
}

func TestAWrongValueThatIsOverruledDoesNoHarm(t *testing.T) {
	_, err := Load(line("--max-line=1k"), environment(map[string]string{"CONCH_MAX_LINE": "wrong"}))
	assert.NoError(t, err)
}

func TestTheSoftLimitFollowsTheHardOneUnlessItIsSet(t *testing.T) {
	s, err := Load(line("--slow-hard=1MiB"), nothing)
	require.NoError(t, err)
	assert.Equal(t, 1<<20, s.Server.SlowSoft)

	_, err = Load(line("--slow-hard=1MiB", "--slow-soft=2MiB"), nothing)
	assert.ErrorContains(t, err, "slow-soft (2097152 bytes) is over slow-hard (1048576 bytes)")
}

func TestTheFile(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":           {`loglevel = "info"`, "unknown key loglevel (did you mean log-level?)"},
		"underscores":           {`max_line = 1`, "unknown key max_line (did you mean max-line?)"},
		"nothing like it":       {`zzzzzz = 1`, "unknown key zzzzzz"},
		"the file itself":       {`config = "x"`, "unknown key config"},
		"section":               {"[server]\nlisten = \":1\"", "unknown key server"},
		"section of a setting":  {"[listen]\nx = 1", "key listen: expected a string, a number or a boolean"},
		"dotted":                {"listen.x = 1", "key listen: expected a string, a number or a boolean"},
		"array":                 {`listen = [":1"]`, "key listen: expected a string, a number or a boolean"},
		"twice":                 {"listen = \":1\"\nlisten = \":2\"", "listen"},
		"not TOML":              {"listen :1", "line 1"},
		"a boolean for a size":  {`max-line = true`, `key max-line: expected a size such as 65536, 64KiB or 16MiB, not "true"`},
		"a negative number":     {`max-line = -1`, `key max-line: expected a size such as 65536, 64KiB or 16MiB, not "-1"`},
		"a number for an order": {`protected-mode = 2`, `key protected-mode: expected true or false, not "2"`},
	} {
		t.Run(name, func(t *testing.T) {
			file := tomlFile(t, c.text)
			_, err := Load(line("--config="+file), nothing)
			assert.ErrorContains(t, err, "file "+file)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func TestTheNameOfTheFile(t *testing.T) {
	one, other := tomlFile(t, `listen = ":1"`), tomlFile(t, `listen = ":2"`)
	env := environment(map[string]string{"CONCH_CONFIG": one})

	s, err := Load(line(), env)
	require.NoError(t, err)
	assert.Equal(t, ":1", s.Listen)
	assert.Equal(t, one, s.File)

	s, err = Load(line("--config="+other), env)
	require.NoError(t, err)
	assert.Equal(t, ":2", s.Listen, "the flag is stronger")

	missing := filepath.Join(t.TempDir(), "missing.toml")
	_, err = Load(line("--config="+missing), env)
	assert.EqualError(t, err, "file "+missing+" cannot be read: no such file or directory")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestPasswordFile(t *testing.T) {
	file := tomlFile(t, "open sesame\r\nnot this\n")
	c, err := Load(line("--requirepass-file="+file), nothing)
	require.NoError(t, err)
	assert.Equal(t, "open sesame", c.Server.RequirePassword)
	assert.Equal(t, file, findSetting("requirepass-file").Get(c), "the log shows the file, not the password")

	_, err = Load(line("--requirepass-file="+file, "--requirepass=x"), nothing)
	assert.EqualError(t, err, "flag --requirepass-file: there is a requirepass as well; give one of them")
	_, err = Load(line("--requirepass-file=/none/such"), nothing)
	assert.EqualError(t, err, "flag --requirepass-file: the file /none/such cannot be read: no such file or directory")
	empty := tomlFile(t, "\nx")
	_, err = Load(line(), environment(map[string]string{"CONCH_REQUIREPASS_FILE": empty}))
	assert.EqualError(t, err, "env CONCH_REQUIREPASS_FILE: the first line of "+empty+" is empty: expected a password")
}

func TestReloadReadsAllSourcesAgain(t *testing.T) {
	file := tomlFile(t, `log-level = "warn"`)
	c, err := Load(line("--config="+file), nothing)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(`log-level = "debug"`), 0o600))
	c, err = c.Reload()
	require.NoError(t, err)
	assert.Equal(t, "debug", findSetting("log-level").Get(c))
	require.NoError(t, os.WriteFile(file, []byte(`log-level = "loud"`), 0o600))
	_, err = c.Reload()
	assert.ErrorContains(t, err, `"loud"`)
}

// Completion offers the choices of a setting: each is a value.
func TestEveryChoiceIsAValue(t *testing.T) {
	for i := range settingsTable {
		for _, choice := range settingsTable[i].Choices {
			assert.NoError(t, settingsTable[i].set(&Config{}, choice), settingsTable[i].Name)
		}
	}
}
