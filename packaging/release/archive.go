package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// file is one file of an archive.
type file struct {
	name string // in the archive, with slashes
	body []byte
	mode fs.FileMode
}

// writeTar writes files with one time and no owner, so that equal files are equal archives.
func writeTar(w io.Writer, files []file, at time.Time) error {
	gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	t := tar.NewWriter(gz)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: int64(f.mode), Size: int64(len(f.body)), ModTime: at, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.body); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return gz.Close()
}

// writeZip is writeTar for systems without tar.
func writeZip(w io.Writer, files []file, at time.Time) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		h.SetMode(f.mode)
		to, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := to.Write(f.body); err != nil {
			return err
		}
	}
	return z.Close()
}

// under returns the files below a folder in the order of their names, which begin with prefix in the archive.
func under(folder, prefix string) (files []file, err error) {
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		mode := fs.FileMode(0o644)
		if name := entry.Name(); name == "conch" && !strings.Contains(path, "completion") || filepath.Ext(name) == ".exe" {
			mode = 0o755
		}
		name, _ := filepath.Rel(folder, path) // path is below folder
		files = append(files, file{prefix + filepath.ToSlash(name), body, mode})
		return err
	})
	return files, err
}
