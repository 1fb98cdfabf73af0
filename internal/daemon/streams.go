package daemon

import (
	"errors"

	"github.com/rs/zerolog"

	"github.com/conchmq/conch/internal/config"
	"github.com/conchmq/conch/internal/store"
)

// openStore opens the streams, and fills in what the server needs of them.
func openStore(c *config.Config, log zerolog.Logger) (*store.Store, error) {
	c.Store.Log, c.Store.Version = log, c.Server.Version
	s, err := store.Open(c.Store)
	if c.DirOptional && errors.As(err, new(*store.UnwritableError)) {
		log.Warn().Err(err).Msg("streams are in memory, and gone at the end: dir cannot be written, and dir-optional is set")
		c.Store.Dir = ""
		s, err = store.Open(c.Store)
	}
	if err != nil {
		return nil, err
	}
	o := &c.Server
	o.Store, o.Unsynced = s, int64(c.Store.Unsynced)
	o.Epoch, o.Earlier, o.Sequence, o.Resolve, o.LogStatus = s.Epoch(), s.Earlier(), s.Sequence(), s.Resolve, s.Status
	if c.Store.Dir != "" {
		o.LogControl = s
	}
	return s, nil
}

// reportStore logs how a directory was found. Damage is an error with its place: what is whole is served.
func reportStore(dir string, s *store.Store, log zerolog.Logger) {
	r, skipped := s.Recovery()
	for i := range r.Damages {
		d := &r.Damages[i]
		log.Error().Str("file", d.File).Int64("offset", d.Offset).Uint64("first_record", d.First).Uint64("last_record", d.Last).
			Msg("the log is damaged here, and these records are lost: restore the directory from a backup")
	}
	if skipped > 0 {
		log.Error().Int("changes", skipped).Msg("these changes are lost too, because they build on records that are lost")
	}
	for _, o := range s.Overruled() {
		log.Warn().Str("setting", o.Name).Str("given", o.Given).Str("in_force", o.InForce).
			Msg("the directory keeps another value of this setting, which stays in force: CONFIG SET changes it")
	}
	if dir == "" {
		return
	}
	line := log.Info().Str("dir", dir).Uint64("records", r.Last).Int("streams", s.Streams().Len()).Bool("clean", r.Clean)
	if r.Cut > 0 {
		line = line.Int64("cut_bytes", r.Cut).Str("cut_file", r.CutFile)
	}
	line.Msg("the log is open")
}
