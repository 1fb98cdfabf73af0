package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// source is a clone of a commit.
type source struct {
	folder  string
	version string    // the tag, or the commit
	time    time.Time // of the commit: all files of the release have it
}

// clone refuses a tree with changes: what is released can be found again by its commit.
func clone(from, to string) (source, error) {
	changes, err := output(from, nil, "git", "status", "--porcelain")
	if err != nil {
		return source{}, err
	}
	if changes != "" {
		return source{}, fmt.Errorf("the tree has changes that no commit has; commit or remove them:\n%s", changes)
	}
	if _, err := output(from, nil, "git", "clone", "--quiet", ".", to); err != nil {
		return source{}, err
	}
	s := source{folder: to}
	if s.version, err = output(to, nil, "git", "describe", "--tags", "--always"); err != nil {
		return source{}, err
	}
	seconds, err := output(to, nil, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return source{}, err
	}
	var at int64
	if _, err := fmt.Sscan(seconds, &at); err != nil {
		return source{}, err
	}
	s.time = time.Unix(at, 0).UTC()
	return s, nil
}

// output runs a program in a folder, and returns what it prints, without the last line end.
func output(folder string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	var failure strings.Builder
	cmd.Stderr = &failure
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(failure.String()))
	}
	return strings.TrimRight(string(text), "\n"), nil
}
