package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// folder is where the files of an archive are put together.
func (r *release) folder(target string) string {
	return filepath.Join(r.temp, strings.ReplaceAll(target, "/", "-"))
}

// name is that of an archive and of the folder in it.
func (r *release) name(target string) string {
	return "conch-" + r.version + "-" + strings.ReplaceAll(target, "/", "-")
}

func binaryName(target string) string {
	if strings.HasPrefix(target, "windows/") {
		return "conch.exe"
	}
	return "conch"
}

// build compiles conch for all systems.
func (r *release) build() error {
	for _, target := range append(r.targets, r.host()) {
		binary := filepath.Join(r.folder(target), binaryName(target))
		if _, err := os.Stat(binary); err == nil {
			continue // this machine's, which is one of the systems
		}
		if err := r.compile(r.source.folder, target, binary); err != nil {
			return err
		}
	}
	return nil
}

// host is the system of this machine, whose binary prints the manual.
func (r *release) host() string { return runtime.GOOS + "/" + runtime.GOARCH }

// compile makes one binary. Without cgo it needs no library of the machine.
func (r *release) compile(source, target, binary string, env ...string) error {
	goos, goarch, ok := strings.Cut(target, "/")
	if !ok {
		return fmt.Errorf("%q is no system; an example: linux/amd64", target)
	}
	env = append(env, "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	_, err := output(source, env, "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+r.source.version, "-o", binary, ".")
	return err
}

// compare builds the first system again, from another folder and without what was compiled before.
func (r *release) compare() error {
	if !r.verify {
		return nil
	}
	target := r.targets[0]
	again, err := clone(r.source.folder, filepath.Join(r.temp, "again", "elsewhere"))
	if err != nil {
		return err
	}
	binary := filepath.Join(r.temp, "again", binaryName(target))
	if err := r.compile(again.folder, target, binary, "GOCACHE="+filepath.Join(r.temp, "again", "cache")); err != nil {
		return err
	}
	first, err := os.ReadFile(filepath.Join(r.folder(target), binaryName(target)))
	if err != nil {
		return err
	}
	second, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return fmt.Errorf("two builds for %s are not the same bytes", target)
	}
	return nil
}

// completions are the files that shells look for.
var completions = map[string]string{"bash": "conch", "zsh": "_conch", "fish": "conch.fish", "powershell": "conch.ps1"}

// document writes manual and completions, which are the same on all systems.
func (r *release) document() error {
	shared := filepath.Join(r.temp, "shared")
	conch := filepath.Join(r.folder(r.host()), binaryName(r.host()))
	print := func(to string, args ...string) error {
		text, err := output(r.temp, nil, conch, args...)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, []byte(text+"\n"), 0o644)
	}
	if err := print(filepath.Join(shared, "man", "conch.1"), "man"); err != nil {
		return err
	}
	for _, page := range r.pages {
		if err := print(filepath.Join(shared, "man", "conch-"+page+".1"), "man", page); err != nil {
			return err
		}
	}
	for shell, name := range completions {
		if err := print(filepath.Join(shared, "completion", shell, name), "completion", shell); err != nil {
			return err
		}
	}
	return nil
}
