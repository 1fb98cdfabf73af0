package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/BurntSushi/toml"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/stream"
)

// readFile reads the settings of a file, and its connectors. An unknown key is an error: a mistyped one would silently leave a default in
// force.
func readFile(path string) (map[string]rawValue, *connectorTables, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if inner := new(fs.PathError); errors.As(err, &inner) {
			err = inner.Err // without the name of the file, which the message has
		}
		return nil, nil, fmt.Errorf("file %s cannot be read: %w", QuoteIfNeeded(path), err)
	}
	raw := make(map[string]any)
	meta, err := toml.Decode(string(text), &raw)
	if err != nil {
		return nil, nil, fmt.Errorf("file %s: %w", path, err)
	}
	found := make(map[string]rawValue)
	for _, key := range meta.Keys() {
		name := key[0] // a nested key is read, or refused, with its table
		from := fmt.Sprintf("file %s, key %s", path, name)
		if d := command.Direction(name); d == command.Source || d == command.Sink {
			continue
		}
		if findSetting(name) == nil {
			return nil, nil, fmt.Errorf("file %s: unknown key %s%s", path, QuoteIfNeeded(name), suggestKey(name))
		}
		if _, ok := found[name]; ok {
			continue // a key of a table that was read as a whole
		}
		value, err := fileValue(name, raw[name])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", from, err)
		}
		found[name] = rawValue{text: value, from: from}
	}
	tables := &connectorTables{file: path}
	for _, d := range []command.Direction{command.Source, command.Sink} {
		if value, ok := raw[string(d)]; ok {
			if err := tables.read(d, value, findTables(string(text), string(d))); err != nil {
				return nil, nil, err
			}
		}
	}
	return found, tables, nil
}

// fileValue is the value of a key in the form of a flag.
func fileValue(name string, value any) (string, error) {
	switch name {
	case retention:
		if text, isTables, err := retentionTables(value); isTables {
			return text, err
		}
	case durable:
		if list, isList := value.([]any); isList {
			return durableList(list)
		}
	}
	return plain(value)
}

// durableList is the text of a list of globs.
func durableList(list []any) (string, error) {
	globs := make([]string, len(list))
	for i, element := range list {
		glob, ok := element.(string)
		if !ok {
			return "", fmt.Errorf("expected a list of globs, such as durable = [%q, %q]", "orders.*", "jobs")
		}
		globs[i] = glob
	}
	return stream.GlobsText(globs), nil
}

// plain is a TOML value in the form of a flag.
func plain(value any) (string, error) {
	switch value.(type) {
	case string, int64, float64, bool:
		return fmt.Sprint(value), nil
	}
	return "", errors.New("expected a string, a number or a boolean")
}

func findSetting(name string) *Setting {
	for i := range settingsTable {
		if settingsTable[i].Name == name {
			return &settingsTable[i]
		}
	}
	return nil
}
