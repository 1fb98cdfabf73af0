package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repository is a git repository with one commit.
func repository(t *testing.T) string {
	folder := t.TempDir()
	for _, args := range [][]string{
		{"init", "--quiet"}, {"config", "user.name", "test"}, {"config", "user.email", "test@example.org"},
		{"commit", "--quiet", "--allow-empty", "-m", "first"}, {"tag", "v1.2.3"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return folder
}

func TestACleanTreeIsReleased(t *testing.T) {
	s, err := clone(repository(t), filepath.Join(t.TempDir(), "source"))
	require.NoError(t, err)
	assert.Equal(t, "v1.2.3", s.version)
	assert.False(t, s.time.IsZero())
}

func TestATreeWithChangesIsRefused(t *testing.T) {
	folder := repository(t)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "new.go"), nil, 0o600))
	to := filepath.Join(t.TempDir(), "source")
	_, err := clone(folder, to)
	assert.EqualError(t, err, "the tree has changes that no commit has; commit or remove them:\n?? new.go")
	assert.NoDirExists(t, to)
}

func TestNotes(t *testing.T) {
	const changelog = "# Changelog\n\n## Unreleased\n\n- new\n\n## 1.2.3 (2026-11-29)\n\n- old\n"
	for _, test := range []struct{ version, want string }{
		{"1.2.3", "# conch 1.2.3\n\n- old\n"},
		{"1.3.0", "# conch 1.3.0\n\n- new\n"},
	} {
		got, err := notes(changelog, test.version)
		require.NoError(t, err)
		assert.Equal(t, test.want, got)
	}
	_, err := notes("# Changelog\n\n## Unreleased\n\n## 1.2.3\n\n- old\n", "1.3.0")
	assert.EqualError(t, err, "CHANGELOG.md has no section 1.3.0 and none that is Unreleased: write one")
}

func TestAnUnknownLicenseIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "LICENSE")
	require.NoError(t, os.WriteFile(file, []byte("You may use this on Sundays."), 0o600))
	for _, files := range [][]string{nil, {file}} {
		err := quote(new(strings.Builder), "example.org/m v1.0.0", files)
		assert.ErrorContains(t, err, "the license of example.org/m v1.0.0 is unknown")
	}
}

func TestLicenses(t *testing.T) {
	own, err := os.ReadFile("../../LICENSE")
	require.NoError(t, err)
	for _, test := range []struct{ text, want string }{
		{string(own), "MIT"},
		{"                 Apache License\n           Version 2.0, January 2004", "Apache-2.0"},
		{"Neither the name may be used to endorse or\npromote products derived from this software without specific prior\nwritten permission", "BSD-3-Clause"},
		{"Permission to use, copy, modify, and distribute this software for any\npurpose with or without fee is hereby granted", "ISC"},
		{"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted", "ISC"},
		{"GNU GENERAL PUBLIC LICENSE\nVersion 3", ""},
	} {
		assert.Equal(t, test.want, license(test.text))
	}
}

// The bytes of an archive depend on its files alone.
func TestArchivesAreTheSameBytes(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "completion"), 0o700))
	for _, name := range []string{"conch", "a.txt", "completion/conch"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(name), 0o600))
	}
	at := time.Unix(1_700_000_000, 0).UTC()
	pack := func() (string, string) {
		files, err := under(folder, "conch-1/")
		require.NoError(t, err)
		require.Len(t, files, 3)
		for _, f := range files {
			assert.Equal(t, f.name == "conch-1/conch", f.mode == 0o755, f.name)
		}
		var tar, zip bytes.Buffer
		require.NoError(t, writeTar(&tar, files, at))
		require.NoError(t, writeZip(&zip, files, at))
		return tar.String(), zip.String()
	}
	tar, zip := pack()
	for _, name := range []string{"conch", "a.txt"} { // a later time of a file changes nothing
		require.NoError(t, os.Chtimes(filepath.Join(folder, name), time.Now(), time.Now()))
	}
	tarAgain, zipAgain := pack()
	assert.Equal(t, []byte(tar), []byte(tarAgain))
	assert.Equal(t, []byte(zip), []byte(zipAgain))
}
