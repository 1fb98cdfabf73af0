// Conch is a broker for publish, subscribe and streams. It serves Redis clients, and people who type lines.
package main

import (
	"os"

	"github.com/conchmq/conch/internal/cli"
)

// version is set at build time: -ldflags "-X main.version=v1.2.3".
var version = "dev"

func main() { os.Exit(cli.Run(cli.ProcessEnv(version))) }
