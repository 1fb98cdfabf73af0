package stream

import (
	"fmt"
	"strconv"
)

// Setting is a setting that decides how streams change. It is a part of their state: a record has its changes, so that whatever
// applies the same records does the same.
type Setting struct {
	// Name is that of the flag, and of CONFIG SET.
	Name string
	// Check returns a text in the form of Value, or what is expected. Any goroutine may call it.
	Check func(text string) (plain string, err error)
	// Value is what is in force.
	Value func(s *Streams) string

	given settingSet
	plan  func(s *Streams, c *Change, plain string)
}

// settingSet is settings that were given a value: by the settings of a start, or by CONFIG SET.
type settingSet uint8

const (
	givenDuration settingSet = 1 << iota
	givenMaxSize
	givenRules
	givenDurable
)

var settingsTable = []Setting{
	{
		Name: "stream-idmp-duration", given: givenDuration,
		Check: func(text string) (string, error) { return checkNumber(text, MaxDuration) },
		Value: func(s *Streams) string { return strconv.FormatUint(uint64(s.duration), 10) },
		plan:  func(s *Streams, c *Change, plain string) { s.planDefaults(c, numberOf(plain), 0) },
	},
	{
		Name: "stream-idmp-maxsize", given: givenMaxSize,
		Check: func(text string) (string, error) { return checkNumber(text, MaxMaxSize) },
		Value: func(s *Streams) string { return strconv.FormatUint(uint64(s.maxSize), 10) },
		plan:  func(s *Streams, c *Change, plain string) { s.planDefaults(c, 0, numberOf(plain)) },
	},
	{
		Name: "retention", given: givenRules,
		Check: checkRules,
		Value: func(s *Streams) string { return FormatRules(s.rules) },
		plan:  func(_ *Streams, c *Change, plain string) { c.planRules(plain) },
	},
	{
		Name: "durable", given: givenDurable,
		Check: checkGlobs,
		Value: func(s *Streams) string { return s.durable.String() },
		plan:  func(_ *Streams, c *Change, plain string) { c.planDurable(plain) },
	},
}

// Settings are all settings that are state.
func Settings() []Setting { return settingsTable }

// FindSetting returns the one with that name, or nil.
func FindSetting(name string) *Setting {
	for i := range settingsTable {
		if settingsTable[i].Name == name {
			return &settingsTable[i]
		}
	}
	return nil
}

// IsGiven reports whether the setting was ever given a value. Else its default is in force.
func (x *Setting) IsGiven(s *Streams) bool { return s.given&x.given != 0 }

// Plan plans that a text, in the form of Value, is in force. It returns false if nothing changes.
func (x *Setting) Plan(s *Streams, c *Change, plain string) bool {
	if x.IsGiven(s) && x.Value(s) == plain {
		return false
	}
	x.plan(s, c, plain)
	c.Given = x.given
	return true
}

// planDefaults plans new settings for the windows of streams that are made from now on; 0 leaves one as it is.
func (s *Streams) planDefaults(c *Change, duration, maxSize int) {
	c.Kind = Defaults
	c.Duration, c.MaxSize = settings(duration, maxSize, s.duration, s.maxSize)
}

// checkNumber checks a whole number from 1 on.
func checkNumber(text string, most int) (string, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return "", fmt.Errorf("expected a whole number from 1 to %d, not %.40q", most, text)
	}
	return strconv.Itoa(n), nil
}

// numberOf is the value of a text that checkNumber has returned.
func numberOf(plain string) int {
	n, _ := strconv.Atoi(plain)
	return n
}
