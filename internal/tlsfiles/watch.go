package tlsfiles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks bounds the symbolic links of a path, as Linux does.
const maxLinks = 40

// folders returns the folders with an event when the file of a path is replaced: its own, and that of each symbolic link
// on the path. Watching the file itself is not enough: tools replace files by renaming others over them, and mounted
// secrets by renaming a link to their folder.
func folders(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil
	}
	var found []string
	at, rest := string(filepath.Separator), strings.Split(path[1:], string(filepath.Separator))
	for links := 0; len(rest) > 0; {
		next := filepath.Join(at, rest[0])
		target, err := os.Readlink(next)
		switch {
		case err != nil: // no link, or no file
			if len(rest) == 1 {
				found = append(found, at)
			}
			at, rest = next, rest[1:]
			continue
		case links == maxLinks:
			return found
		}
		links++
		found = append(found, at)
		if filepath.IsAbs(target) {
			at = string(filepath.Separator)
		}
		ahead := strings.Split(strings.Trim(filepath.Clean(target), string(filepath.Separator)), string(filepath.Separator))
		rest = append(ahead, rest[1:]...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// watch adds watches for the folders of all files and removes the others.
func (s *Source) watch() {
	wanted := make(map[string]bool)
	for _, name := range s.files.names() {
		for _, folder := range folders(name) {
			wanted[folder] = true
		}
	}
	for folder := range s.watched {
		if !wanted[folder] {
			_ = s.watcher.Remove(folder) // fails if the folder is gone, and the watch with it
		}
	}
	for folder := range wanted {
		if err := s.watcher.Add(folder); err != nil { // no effect for a watched one
			if !s.watched[folder] {
				s.warnUnwatched(err)
			}
		}
	}
	s.watched = wanted
}

func (s *Source) warnUnwatched(err error) {
	s.log.Warn().Err(err).Msg("the TLS files cannot be watched: send SIGHUP when they have changed")
}
