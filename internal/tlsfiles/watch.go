package tlsfiles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many symbolic links a path may lead through: as many as Linux follows.
const maxLinks = 40

// folders are those in which something happens when the file behind a path is replaced: the folder of the file itself,
// and that of each symbolic link on the way to it. Files are replaced by renaming others over them, which the file
// itself would not show; mounted secrets by renaming a link to their folder.
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
		case err != nil: // no link, or nothing at all
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

// watch watches the folders of all files, and no others any more.
func (s *Source) watch() {
	wanted := make(map[string]bool)
	for _, name := range s.files.names() {
		for _, folder := range folders(name) {
			wanted[folder] = true
		}
	}
	for folder := range s.watched {
		if !wanted[folder] {
			_ = s.watcher.Remove(folder) // fails when the folder itself is gone, and the watch with it
		}
	}
	for folder := range wanted {
		if err := s.watcher.Add(folder); err != nil { // which is nothing for one that is watched already
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
