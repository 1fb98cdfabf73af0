package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/connect"
	"github.com/conchmq/conch/internal/connect/systems"
)

// connectorTables are the sources and sinks of a file, which has a table for each.
type connectorTables struct {
	file    string
	configs []connect.Config
	places  []tablePlace // of configs
}

// read reads the tables of a direction, in the order of the file.
func (t *connectorTables) read(d command.Direction, value any, places []tablePlace) error {
	tables, ok := asTables(value)
	if !ok {
		return fmt.Errorf("file %s, key %s: expected a table for each %s, in two pairs of brackets: [[%s]]", t.file, d, d, d)
	}
	for i, table := range tables {
		place := tablePlace{}
		if i < len(places) {
			place = places[i]
		}
		t.places = append(t.places, place)
		c := connect.NewConfig(d)
		c.FromFile = true
		var names []string
		for name := range table {
			names = append(names, name)
		}
		slices.SortFunc(names, place.compare)
		for _, name := range names {
			if err := setKey(&c, name, table[name]); err != nil {
				return t.at(place, err)
			}
		}
		t.configs = append(t.configs, c)
	}
	return nil
}

// setKey sets a key to a value of the file.
func setKey(c *connect.Config, name string, value any) error {
	if known := connect.KeysOf(c.Direction); !slices.Contains(known, name) {
		return &connect.KeyError{Key: name, Text: fmt.Sprintf("a %s has no such key%s", c.Direction, Suggest("", name, known))}
	}
	switch v := value.(type) {
	case string:
		return c.Set(name, v) //nolint:wrapcheck // it names the key
	case int64:
		return c.Set(name, strconv.FormatInt(v, 10)) //nolint:wrapcheck // likewise
	}
	return &connect.KeyError{Key: name, Text: "expected a string or a number"}
}

// at gives an error its place: FILE:LINE:COLUMN.
func (t *connectorTables) at(place tablePlace, err error) error {
	wrong := new(connect.KeyError)
	if !errors.As(err, &wrong) {
		return fmt.Errorf("file %s: %w", t.file, err)
	}
	line, column := place.find(wrong.Key, wrong.Column)
	if line == 0 {
		return fmt.Errorf("file %s: %w", t.file, err)
	}
	return fmt.Errorf("%s:%d:%d: %s: %s", t.file, line, column, wrong.Key, wrong.Text)
}

// compile checks the connectors with each other; it connects to nothing.
func (t *connectorTables) compile(k *connect.Compiler) error {
	_, err := k.CompileAll(t.configs)
	if of := new(connect.ConfigError); errors.As(err, &of) {
		return t.at(t.places[of.Index], of.Err)
	}
	if err != nil {
		return fmt.Errorf("file %s: %w", t.file, err)
	}
	return nil
}

// loadConnectors checks the connectors of the file, and keeps them. Secrets come from the environment and from files.
func (c *Config) loadConnectors(tables *connectorTables, env Lookup) error {
	c.Compiler = &connect.Compiler{
		Systems: systems.All, Limit: c.Server.Limits.Message, Secrets: connect.Secrets{Variable: env, File: os.ReadFile},
	}
	if tables == nil {
		return nil
	}
	c.Connectors = tables.configs
	return tables.compile(c.Compiler)
}
