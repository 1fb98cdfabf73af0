package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/conchmq/conch/internal/config"
)

const helpHead = `conch is a broker for publish and subscribe. It serves Redis clients, and people who type lines.

Usage: conch [address] [settings]
`

const helpExamples = `
Each subcommand has --help.

Examples:
  conch                                    listen on port 8889, serve this machine
  conch 127.0.0.1:7777                     listen there
  conch --protected-mode=false             serve other machines too: behind a firewall
  conch --config conch.toml --log-level debug

Settings come from flags, then the environment, then the file, then the defaults.

`

const helpTail = `
Sizes are bytes, or with a unit: 64KiB, 16mb, 1g; k, kb and KiB are all 1024. Times are 500ms, 60s, 5m; a plain
number is seconds. In the file, a setting is a line such as: max-message = "16MiB"

Signals: SIGINT and SIGTERM stop conch when connections have drained, a second one at once. SIGUSR1 lowers the log
level by one; after trace it returns to the configured level. SIGHUP reloads the TLS files.
`

// helpText is what --help prints.
func helpText() string {
	var b strings.Builder
	b.WriteString(helpHead)
	for _, s := range subcommands() {
		fmt.Fprintf(&b, "       conch %-31s %s\n", s.name+" "+s.synopsis, s.usage)
	}
	b.WriteString(helpExamples)
	entry := func(flag, usage, note string) {
		fmt.Fprintf(&b, "  %-26s %s\n  %-26s   [%s]\n", flag, usage, "", note)
	}
	for _, r := range config.Settings() {
		separator := " "
		if r.BoolFlag {
			separator = "=" // in "--protected-mode false", false would be an address
		}
		note := "env " + r.Env()
		if r.Default != "" {
			note = "default " + r.Default + ", " + note
		}
		entry("--"+r.Name+separator+r.Value, r.Usage, note)
	}
	entry("--config FILE", "read settings from this TOML file", "env "+config.EnvName("config"))
	fmt.Fprintf(&b, "  %-26s %s\n", "--help, -h", "print this")
	fmt.Fprintf(&b, "  %-26s %s\n", "--version, -v", "print the version")
	b.WriteString(helpTail)
	return b.String()
}

// versionText is what --version prints.
func versionText(version string) string {
	name, details := version, []string{runtime.Version()}
	if build, ok := debug.ReadBuildInfo(); ok {
		commit := ""
		for _, s := range build.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = "commit " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				commit += ", modified"
			}
		}
		if commit != "" {
			details = append(details, commit)
		}
	}
	return fmt.Sprintf("conch %s (%s)\n", name, strings.Join(details, ", "))
}
