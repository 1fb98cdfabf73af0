package config

import "fmt"

// CommandLine is the arguments of conch, taken apart and not yet interpreted.
type CommandLine struct {
	Flags     map[string]string // by name, config included; the last value of a repeated flag
	Arguments []string          // positional
}

// Load reads the settings from the command line, the environment and the file.
func Load(line CommandLine, env Lookup) (*Config, error) {
	if err := line.checkAddress(); err != nil {
		return nil, err
	}
	path, isSet := line.Flags["config"]
	if !isSet {
		path, _ = env(EnvName("config"))
	}
	from := sources{line.find, fromEnv(env)}
	var tables *connectorTables
	if isSet || path != "" {
		file, connectors, err := readFile(path)
		if err != nil {
			return nil, err
		}
		tables = connectors
		from = append(from, func(s *Setting) (rawValue, bool) { g, ok := file[s.Name]; return g, ok })
	}
	c, err := from.resolve()
	if err != nil {
		return nil, err
	}
	if err := c.loadConnectors(tables, env); err != nil {
		return nil, err
	}
	c.File, c.Reload = path, func() (*Config, error) { return Load(line, env) }
	return c, nil
}

// find is the command line as a source of settings.
func (l *CommandLine) find(s *Setting) (rawValue, bool) {
	if s.Name == "listen" && len(l.Arguments) > 0 {
		return rawValue{text: l.Arguments[0], from: "argument"}, true
	}
	text, isSet := l.Flags[s.Name]
	return rawValue{text: text, from: "flag --" + s.Name}, isSet
}

// checkAddress checks the positional arguments: at most one, an address.
func (l *CommandLine) checkAddress() error {
	if len(l.Arguments) == 0 {
		return nil
	}
	address := l.Arguments[0]
	listen, isSet := l.Flags["listen"]
	switch {
	case len(l.Arguments) > 1:
		return fmt.Errorf("expected one address, got %d arguments: %q; usage: conch [address]", len(l.Arguments), l.Arguments)
	case isSet:
		return fmt.Errorf("the address is given twice, as --listen %q and as %q; give one of them", listen, address)
	}
	if _, err := ParseBool(address); err == nil && !isNumber(address) {
		return fmt.Errorf("%s is not an address (did you mean --protected-mode=%s?)", address, address)
	}
	if err := CheckAddress(address); err != nil {
		return fmt.Errorf("%w; usage: conch [address], e.g. conch 127.0.0.1:8889", err)
	}
	return nil
}
