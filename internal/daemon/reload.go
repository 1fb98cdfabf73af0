package daemon

import (
	"fmt"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/config"
)

// reload reads the TLS files, the ACL file, the log level and the connectors again. The source of the certificates logs its outcome.
func (d *daemon) reload() {
	logAtAnyLevel(&d.log.Logger, zerolog.InfoLevel).Msg("reloading the TLS files, the ACL file, the log level and the connectors")
	d.reloadSettings()
	if d.settings.Server.ACLFile != "" && d.node == nil { // the users of a cluster are those of all its nodes
		if err := d.server.LoadUsers(); err != nil {
			d.log.Error().Err(err).Msg("the ACL file cannot be used; the rules loaded before stay in force")
		} else {
			logAtAnyLevel(&d.log.Logger, zerolog.InfoLevel).Msg("the ACL file is loaded")
		}
	}
	for _, s := range d.listeners.sources() {
		s.Reload()
	}
}

// reloadSettings sets the log level and the connectors of the settings, which may have changed in the file. Other changes are named: they take
// effect at the next start.
func (d *daemon) reloadSettings() {
	fresh, err := d.settings.Reload()
	if err != nil {
		d.log.Error().Err(err).Msg("the settings cannot be read; those read before stay in force")
		return
	}
	d.log.setLevel(fresh.LogLevel)
	d.applyConnectors(fresh)
	if changed := changedSettings(&d.settings, fresh, false); len(changed) > 0 {
		d.log.Warn().Strs("settings", changed).Msg("these settings have changed: they take effect at the next start")
	}
	if changed := changedSettings(&d.settings, fresh, true); len(changed) > 0 {
		d.log.Warn().Strs("settings", changed).Msg("these settings have changed: CONFIG SET puts them in force")
	}
}

// changedSettings names the settings with another value, without the log level: of those that are state, or of the others.
func changedSettings(before, after *config.Config, state bool) (names []string) {
	for _, s := range config.Settings() {
		if s.IsState == state && s.Name != "log-level" && fmt.Sprint(s.Get(before)) != fmt.Sprint(s.Get(after)) {
			names = append(names, s.Name)
		}
	}
	return names
}
