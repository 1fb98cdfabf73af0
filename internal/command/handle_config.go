package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/acl"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// parameters are the names that CONFIG GET knows, with their values.
//
// First come conch's options under their own names, then the parameters that Redis' tools and
// libraries read, with values that are true here. Settings that are state follow, so this is the
// core's. The other settings of the program come last.
func (s *Service) parameters() []Setting {
	o := &s.options
	number := strconv.Itoa
	seconds := number(int(o.SlowTime / time.Second))
	all := []Setting{
		{"log-level", zerolog.GlobalLevel().String()},
		{"loglevel", zerolog.GlobalLevel().String()},
		{"max-connections", number(o.MaxConnections)},
		{"max-subscriptions", number(o.MaxSubscriptions)},
		{"max-predicates", number(o.MaxPredicates)},
		{"max-predicate", number(o.MaxPredicate)},
		{"max-predicate-payload", number(o.MaxPredicatePayload)},
		{"max-memory", strconv.FormatInt(o.MaxMemory, 10)},
		{"keep-alive", o.KeepAlive.String()},
		{"max-message", number(o.Limits.Message)},
		{"max-line", number(o.Limits.Line)},
		{"max-topic", number(o.Limits.Topic)},
		{"max-arguments", number(o.Limits.Arguments)},
		{"max-command", number(o.Limits.Command)},
		{"slow-consumer", o.SlowConsumer.String()},
		{"slow-hard", number(o.SlowHard)},
		{"slow-soft", number(o.SlowSoft)},
		{"slow-time", seconds},
		{"drain-timeout", o.DrainTimeout.String()},
		{"handshake-timeout", o.HandshakeTimeout.String()},
		{"protected-mode", map[bool]string{true: "no", false: "yes"}[o.Unprotected]},
		{"auth-timeout", o.AuthTimeout.String()},
		{"aclfile", o.ACLFile},
		{"requirepass", s.access.requirepass()},
		{"maxclients", number(o.MaxConnections)},
		{"proto-max-bulk-len", number(o.Limits.Message)},
		{"client-output-buffer-limit", fmt.Sprintf("pubsub %d %d %s", o.SlowHard, o.SlowSoft, seconds)},
		{"save", ""},
		{"appendonly", "no"},
		{"databases", "16"},
		{"timeout", "0"},
		{"replica-read-only", "no"},
		{"slave-read-only", "no"},
	}
	for _, setting := range stream.Settings() {
		all = append(all, Setting{setting.Name, setting.Value(s.streams.state)})
	}
	for _, setting := range o.Settings {
		if !slices.ContainsFunc(all, func(p Setting) bool { return p.Name == setting.Name }) {
			all = append(all, setting)
		}
	}
	return all
}

// configGet is CONFIG GET. All its globs together may cost as much as one of PUBSUB CHANNELS.
func configGet(w *response) {
	globs := make([]string, len(w.inv.args)-2)
	for i, arg := range w.inv.args[2:] {
		globs[i] = strings.ToLower(string(arg))
	}
	work := newGlobWork()
	var found []string
	for _, option := range w.executor.service.parameters() {
		name := []byte(option.Name)
		if slices.ContainsFunc(globs, func(glob string) bool { return work.match(glob, name) }) {
			found = append(found, option.Name, option.Value)
		}
	}
	if work.exhausted() {
		w.fail(protocol.Errorf("globs too expensive together: send fewer or shorter ones"))
		return
	}
	w.mapHeader(len(found) / 2)
	for _, s := range found {
		w.text(s)
	}
}

// configSet sets the options that can change at run time, after all have been checked.
//
// These are loglevel, for which Redis' words are known too, requirepass, and the settings that
// are state. The value of requirepass comes as a digest: see hashSecrets.
func configSet(w *response) {
	args := w.inv.args[2:]
	if len(args)%2 != 0 {
		w.fail(protocol.ErrArity(w.inv.row.FullName()))
		return
	}
	var changes []func()
	for i := 0; i < len(args); i += 2 {
		value := args[i+1]
		switch acl.Lower(args[i]) {
		case "loglevel", "log-level":
			level, err := ParseLevel(string(value))
			if err != nil {
				w.fail(badValue(args[i], err))
				return
			}
			changes = append(changes, func() { zerolog.SetGlobalLevel(level) })
		case "requirepass":
			changes = append(changes, func() { w.requirePassword(value) })
		default:
			change, err := w.streamSetting(args[i], value)
			if err != nil {
				w.fail(err)
				return
			}
			changes = append(changes, change)
		}
	}
	for _, change := range changes {
		change()
	}
	w.ok()
}

// badValue is the error for a value that a parameter cannot have.
func badValue(name []byte, err error) *protocol.Error {
	return protocol.Errorf("CONFIG SET failed (possibly related to argument '%s') - %s", acl.Lower(name), err)
}

// streamSetting checks a setting that is state, and returns what sets it. The reply waits for the log, as that to an append.
func (w *response) streamSetting(name, value []byte) (set func(), err *protocol.Error) {
	setting := stream.FindSetting(acl.Lower(name))
	if setting == nil {
		return nil, w.cannotSet(string(name))
	}
	plain, wrong := setting.Check(string(value))
	if wrong != nil {
		return nil, badValue(name, wrong)
	}
	s := &w.executor.service.streams
	if err := s.useState(w, usesWrite); err != nil {
		return nil, err
	}
	return func() {
		if c := w.change(); setting.Plan(s.state, c, plain) {
			w.apply(c)
		}
		w.setsState = true
	}, nil
}

// requirePassword replaces the passwords of the default user; an empty d removes them.
func (w *response) requirePassword(d []byte) {
	var password *acl.Digest
	if len(d) > 0 {
		password = new(digest(d))
	}
	w.users().RequirePassword(password)
	w.executor.service.recheckUsers(w.view, acl.DefaultUser)
}

// cannotSet is the error for a parameter that is fixed, or unknown.
func (w *response) cannotSet(name string) *protocol.Error {
	for _, p := range w.executor.service.parameters() {
		if strings.EqualFold(p.Name, name) {
			return protocol.Errorf("CONFIG SET failed (possibly related to argument '%s') - can't set immutable config", name)
		}
	}
	return protocol.Errorf("Unknown option or number of arguments for CONFIG SET - '%s'", name)
}

// ParseLevel parses a log level: trace, debug, info, warn or error, or Redis' words for some of
// them.
func ParseLevel(s string) (zerolog.Level, error) {
	switch strings.ToLower(s) {
	case "trace":
		return zerolog.TraceLevel, nil
	case "debug", "verbose":
		return zerolog.DebugLevel, nil
	case "info", "notice":
		return zerolog.InfoLevel, nil
	case "warn", "warning":
		return zerolog.WarnLevel, nil
	case "error":
		return zerolog.ErrorLevel, nil
	}
	return zerolog.NoLevel, fmt.Errorf("log level must be trace, debug, info, warn or error, not %.40q", s)
}

func configResetstat(w *response) {
	s := w.executor.service
	s.stats.reset(w.inv.row, s.Counts.base())
	w.ok()
}
