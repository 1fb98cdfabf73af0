package command

import (
	"errors"
	"fmt"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/aclfile"
	"github.com/conchmq/conch/protocol"
)

// errNoFile is Redis' text: ACL SETUSER works without a file too.
var errNoFile = protocol.Errorf("This Redis instance is not configured to use an ACL file. You may want to specify users " +
	"via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in " +
	"order to store users in the Redis configuration.")

// deferFileTask has the reader work on the ACL file: the core must not touch a file. It replies
// with an error if there is no file.
func (w *response) deferFileTask(work func(file string) (answer func(*response))) {
	file := w.executor.service.access.file
	if file == "" {
		w.fail(errNoFile)
		return
	}
	w.deferToReader(func() func(*response) { return work(file) })
}

// aclLoad reads the file on the reader's goroutine. The new rules hold from the instant of the
// reply. If the file has an error, the old rules stay.
func aclLoad(w *response) {
	s := w.executor.service
	w.deferFileTask(func(file string) func(*response) {
		text, err := aclfile.Read(file, &s.options.Log)
		return func(w *response) {
			if err != nil {
				w.fail(protocol.Errorf("ACL file %s cannot be read: %s; the rules are unchanged", file, aclfile.UnwrapPathError(err)))
				return
			}
			if err := s.loadUsers(w.view, file, text); err != nil {
				w.fail(protocol.Errorf("%s", err))
				return
			}
			w.ok()
		}
	})
}

// loadUsers replaces the rules, on the core's goroutine. After an error the rules are
// unchanged.
func (s *Service) loadUsers(v broker.View, file string, text []byte) error {
	if err := s.access.users.Load(file, text); err != nil {
		return errors.New(aclfile.EscapeText(err.Error()))
	}
	s.recheckUsers(v)
	return nil
}

// LoadUsers reads the ACL file as ACL LOAD does; without a file it does nothing. Any goroutine
// but the core's may call it.
func (s *Service) LoadUsers() (err error) {
	file := s.access.file
	if file == "" {
		return nil
	}
	s.fileMu.Lock() // as for the file tasks of connections
	defer s.fileMu.Unlock()
	text, err := aclfile.Read(file, &s.options.Log)
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", file, aclfile.UnwrapPathError(err))
	}
	s.runOnCore(func(v broker.View) { err = s.loadUsers(v, file, text) }) // false: the core has stopped
	return err
}

// aclSave writes the file on the reader's goroutine, and takes the rules under fileMu.
//
// They may be newer than the command. So the file never ends up older than what another ACL
// SAVE has written.
func aclSave(w *response) {
	s := w.executor.service
	w.deferFileTask(func(file string) func(*response) {
		var text []byte
		if !s.runOnCore(func(broker.View) { text = s.access.users.Text() }) {
			return func(*response) {} // the core has stopped: there is no reply
		}
		err := aclfile.Write(file, text)
		return func(w *response) {
			if err != nil {
				s.options.Log.Error().Err(err).Str("aclfile", file).Msg("the ACL file cannot be written")
				w.fail(protocol.Errorf("There was an error trying to save the ACLs. Please check the server logs for more information"))
				return
			}
			w.ok()
		}
	})
}
