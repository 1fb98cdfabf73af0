package command

import "bytes"

// On a node of a cluster, WATCH concerns that node alone. It counts the changes of the keys up to the proposal of EXEC. Changes behind that
// show in the versions of the keys, which are part of the entry: all nodes compare them when EXEC takes effect.

// keyVersion is a watched key, with its version when EXEC was proposed.
type keyVersion struct{ key, version []byte }

// maxWatchedInOrder bounds the keys of an entry: 10,000 take about 3 ms on each node.
const maxWatchedInOrder = 10_000

// watchedVersions returns the versions that the watched keys have now.
func (e *executor) watchedVersions() []keyVersion {
	var all []keyVersion
	for _, w := range e.watchedKeys() {
		name := []byte(w.key.Name())
		all = append(all, keyVersion{name, e.service.streams.state.AppendVersion(nil, name)})
	}
	return all
}

// haveChanged reports whether any key has another version.
func (s *streams) haveChanged(keys []keyVersion) bool {
	var now []byte
	for _, k := range keys {
		if now = s.state.AppendVersion(now[:0], k.key); !bytes.Equal(now, k.version) {
			return true
		}
	}
	return false
}
