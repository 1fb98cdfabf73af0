package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v3"
)

func init() {
	cli.UsageCommandHelp = "print this, or the help of a subcommand"
	cli.VersionPrinter = func(c *cli.Command) { // both are globals of the library
		_, _ = io.WriteString(c.Root().Writer, versionText(c.Root().Version)) // Run has its error
	}
}

// versionText is what conch version prints.
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
