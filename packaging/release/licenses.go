package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// licenses are those that conch may be handed on with, each with words that its text has and the others have not. What has
// the words of none needs a look by a person, and a row here.
var licenses = []struct{ name, words string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"BSD-3-Clause", "endorse or promote products derived from this software without specific prior written permission"},
	{"BSD-2-Clause", "redistributions in binary form must reproduce the above copyright notice"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "distribute this software for any purpose with or without fee is hereby granted"}, // "and" or "and/or" before it
	// Of the two that Eclipse's modules offer, the second is a BSD-3-Clause.
	{"EPL-2.0", "eclipse public license - v 2.0"},
	{"EDL-1.0", "eclipse distribution license - v 1.0"},
}

// license names the license of a text; an empty name is an unknown one.
func license(text string) string {
	plain := strings.Join(strings.Fields(strings.ToLower(text)), " ")
	for _, l := range licenses {
		if strings.Contains(plain, l.words) {
			return l.name
		}
	}
	return ""
}

// part is something of others in the binary: a module, Go itself, or a file of the console.
type part struct{ name, folder string }

// vendored are the files that stand in the tree. Their licenses stand beside them, as NAME.LICENSE.
var vendored = []string{"internal/uplot", "internal/web/console"}

// collectLicenses writes THIRD-PARTY.txt: the licenses of all parts, with their texts.
func (r *release) collectLicenses() error {
	parts, err := r.parts()
	if err != nil {
		return err
	}
	var text strings.Builder
	text.WriteString("conch has parts of others in it. Each stands here with its license.\n")
	for _, p := range parts {
		files, err := licenseFiles(p.folder)
		if err != nil {
			return err
		}
		if err := quote(&text, p.name, files); err != nil {
			return err
		}
	}
	for _, folder := range vendored {
		files, err := filepath.Glob(filepath.Join(r.source.folder, folder, "*.LICENSE"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := quote(&text, strings.TrimSuffix(filepath.Base(file), ".LICENSE"), []string{file}); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(r.temp, "THIRD-PARTY.txt"), []byte(text.String()), 0o644)
}

// parts lists the modules that are in a binary of any system, by name, behind Go itself.
func (r *release) parts() ([]part, error) {
	root, err := output(r.source.folder, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, target := range r.targets {
		goos, goarch, _ := strings.Cut(target, "/")
		text, err := output(r.source.folder, []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"},
			"go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", ".")
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(text) {
			if name, folder, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
				found[name] = folder
			}
		}
	}
	parts := []part{{"Go, its library and runtime", root}}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		parts = append(parts, part{name, found[name]})
	}
	return parts, nil
}

// licenseFiles are the files of a module's folder that its license asks to be handed on.
func licenseFiles(folder string) (files []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		for _, start := range []string{"LICEN", "COPYING", "NOTICE", "PATENTS", "EDL-", "EPL-"} {
			if strings.HasPrefix(name, start) && !e.IsDir() && filepath.Ext(name) != ".GO" {
				files = append(files, filepath.Join(folder, e.Name()))
				break
			}
		}
	}
	return files, err
}

// quote adds a part. One of its files, at least, must have a license that is known.
func quote(to *strings.Builder, name string, files []string) error {
	var texts []string
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if l := license(string(text)); l != "" && !slices.Contains(names, l) {
			names = append(names, l)
		}
		texts = append(texts, strings.TrimSpace(string(text)))
	}
	if len(names) == 0 {
		return fmt.Errorf("the license of %s is unknown: read it, and add it to packaging/release/licenses.go or leave the module", name)
	}
	fmt.Fprintf(to, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), name+": "+strings.Join(names, ", "), strings.Repeat("=", 80),
		strings.Join(texts, "\n\n"))
	return nil
}
