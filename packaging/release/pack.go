package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// pack writes an archive for each system.
func (r *release) pack() error {
	for _, target := range r.targets {
		if err := r.packOne(target); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return nil
}

func (r *release) packOne(target string) error {
	files, err := r.files(target)
	if err != nil {
		return err
	}
	name, write := r.name(target)+".tar.gz", writeTar
	if strings.HasPrefix(target, "windows/") {
		name, write = r.name(target)+".zip", writeZip
	}
	archive, err := os.Create(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	defer func() { _ = archive.Close() }() // after an error; else it is closed below
	if err := write(archive, files, r.source.time); err != nil {
		return err
	}
	info, err := archive.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxArchive {
		return fmt.Errorf("%s has %d bytes, more than %d: leave something out", name, info.Size(), maxArchive)
	}
	return archive.Close()
}

// files are what an archive has: the binary, what belongs to its system, and what belongs to all.
func (r *release) files(target string) ([]file, error) {
	prefix := r.name(target) + "/"
	files, err := under(r.folder(target), prefix)
	if err != nil {
		return nil, err
	}
	shared, err := under(filepath.Join(r.temp, "shared"), prefix)
	if err != nil {
		return nil, err
	}
	files = append(files, shared...)
	single := []string{"LICENSE", "README.md", "CHANGELOG.md", "packaging/conch.toml"}
	if strings.HasPrefix(target, "linux/") {
		single = append(single, "packaging/conch.service")
	}
	for _, name := range single {
		body, err := os.ReadFile(filepath.Join(r.source.folder, name))
		if err != nil {
			return nil, err
		}
		files = append(files, file{prefix + filepath.Base(name), body, 0o644})
	}
	body, err := os.ReadFile(filepath.Join(r.temp, "THIRD-PARTY.txt"))
	return append(files, file{prefix + "THIRD-PARTY.txt", body, 0o644}), err
}

// packDebian makes the Debian packages, where dpkg-deb is: packaging/debian/build.
func (r *release) packDebian() error {
	if _, err := output(".", nil, "dpkg-deb", "--version"); err != nil {
		fmt.Fprintln(os.Stdout, "no Debian package: dpkg-deb is not here")
		return nil
	}
	out, err := filepath.Abs(r.out)
	if err != nil {
		return err
	}
	for _, target := range r.targets {
		goarch, ok := strings.CutPrefix(target, "linux/")
		if !ok {
			continue
		}
		env := []string{fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.source.time.Unix())}
		_, err := output(r.source.folder, env, "packaging/debian/build", r.version, goarch, r.folder(target)+"/conch",
			filepath.Join(r.temp, "shared"), filepath.Join(r.temp, "THIRD-PARTY.txt"), out)
		if err != nil {
			return err
		}
	}
	return nil
}

// list writes the bill of materials of each system, in CycloneDX.
func (r *release) list() error {
	if r.bom == "" {
		return nil
	}
	out, err := filepath.Abs(r.out)
	if err != nil {
		return err
	}
	program, err := filepath.Abs(r.bom)
	if err != nil {
		return err
	}
	for _, target := range r.targets {
		goos, goarch, _ := strings.Cut(target, "/")
		_, err := output(r.source.folder, []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}, program, "app", "-json",
			"-licenses", "-std", "-noserial", "-notimestamp", "-output", filepath.Join(out, r.name(target)+".cdx.json"), ".")
		if err != nil {
			return err
		}
	}
	return nil
}

// sum writes SHA256SUMS, which sha256sum -c reads.
func (r *release) sum() error {
	files, err := under(r.out, "")
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range files {
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(f.body), f.name)
	}
	fmt.Fprint(os.Stdout, text.String())
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(text.String()), 0o644)
}
