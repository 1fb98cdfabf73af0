// Command release makes what users download, in dist: an archive for each system, licenses, bills of material, Debian
// packages, checksums and release notes. It builds a clone of the commit, so that nothing else on the machine gets in, and two
// runs make the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// maxArchive is how large a download may be.
const maxArchive = 20 << 20

func main() {
	r := release{}
	flag.StringVar(&r.out, "out", "dist", "folder, which is emptied first")
	flag.StringVar(&r.bom, "bom", "", "the program cyclonedx-gomod; without it there are no bills of material")
	targets := flag.String("targets", "linux/amd64 linux/arm64 darwin/arm64 darwin/amd64 windows/amd64", "systems")
	pages := flag.String("pages", "", "subcommands that have a manual page")
	flag.BoolVar(&r.verify, "verify", false, "build the first system once more, elsewhere and with an empty cache, and compare")
	flag.Parse()
	r.targets, r.pages = strings.Fields(*targets), strings.Fields(*pages)
	if err := r.run(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release is one run.
type release struct {
	out, bom       string
	targets, pages []string
	verify         bool

	source  source // the clone
	temp    string // all that is not in out
	version string
}

func (r *release) run() (err error) {
	if r.temp, err = os.MkdirTemp("", "conch-release"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.temp) }()
	if r.source, err = clone(".", filepath.Join(r.temp, "source")); err != nil {
		return err
	}
	r.version = strings.TrimPrefix(r.source.version, "v")
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	// What fails soonest is first: a build of all systems takes minutes.
	steps := []func() error{r.writeNotes, r.collectLicenses, r.build, r.compare, r.document, r.pack, r.packDebian, r.list, r.sum}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// writeNotes takes the notes of this version out of the changelog.
func (r *release) writeNotes() error {
	text, err := os.ReadFile(filepath.Join(r.source.folder, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	notes, err := notes(string(text), r.version)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "NOTES.md"), []byte(notes), 0o644)
}

// notes is the section of a version, or that of what is not released for a version without a section of its own.
func notes(changelog, version string) (string, error) {
	for _, title := range []string{"## " + version, "## Unreleased"} {
		for section := range strings.SplitSeq("\n"+changelog, "\n## ") {
			name, text, _ := strings.Cut(section, "\n")
			if name, _, _ = strings.Cut(name, " "); "## "+name == title && strings.TrimSpace(text) != "" {
				return "# conch " + version + "\n\n" + strings.TrimSpace(text) + "\n", nil
			}
		}
	}
	return "", fmt.Errorf("CHANGELOG.md has no section %s and none that is Unreleased: write one", version)
}
