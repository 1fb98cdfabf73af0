package cluster

import (
	"fmt"
	"maps"
	"slices"
)

// SettingError is the report of a setting that differs between nodes. It comes once.
type SettingError struct{ text string }

// Error returns the text.
func (e *SettingError) Error() string { return e.text }

// SetSetting changes one of the settings that are compared, or adds it. Any goroutine may call it.
func (n *Node) SetSetting(name, text string) {
	n.settings.Lock()
	defer n.settings.Unlock()
	others := slices.DeleteFunc(slices.Clone(n.settings.all), func(s [2]string) bool { return s[0] == name })
	n.settings.all = append(others, [2]string{name, text})
}

func (n *Node) ownSettings() [][2]string {
	n.settings.Lock()
	defer n.settings.Unlock()
	return n.settings.all
}

// compareSettings reports each setting of which another node has another value, once for each such value.
func (n *Node) compareSettings(p *peer, s Status) {
	own, other := settingsByName(n.ownSettings()), settingsByName(s.Settings)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		text, known := other[name]
		if before, reported := p.differing[name]; !known || text == own[name] || reported && before == text {
			continue
		}
		if p.differing == nil {
			p.differing = map[string]string{}
		}
		p.differing[name] = text
		n.options.Report(&SettingError{fmt.Sprintf("the setting %s differs: it is %q on %s, and %q on %s; give all nodes the same one",
			name, own[name], n.options.Name, text, p.member.Name)})
	}
}

func settingsByName(all [][2]string) map[string]string {
	m := make(map[string]string, len(all))
	for _, s := range all {
		m[s[0]] = s[1]
	}
	return m
}
