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

// usersText is the text of an ACL file, or why it cannot be read.
type usersText struct {
	text []byte
	err  error
}

// readUsers reads the file of an ACL LOAD before it is proposed, so that all nodes load the same. An error shows in the order.
func (r *Reader) readUsers(inv *invocation) {
	s := r.service
	if rowName(inv) != "acl|load" || s.access.file == "" {
		return
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	text, err := aclfile.Read(s.access.file, &s.options.Log)
	inv.users = &usersText{text, err}
}

// loadOrdered is ACL LOAD in the order of all nodes. Without a text, the node that has proposed it has none to load.
func (w *response) loadOrdered() {
	u := w.inv.users
	if u == nil {
		w.fail(errNoFile)
		return
	}
	w.load(w.executor.service.access.file, u)
}

// load replaces the rules by those of a file that was read, and replies.
func (w *response) load(file string, u *usersText) {
	if u.err != nil {
		w.fail(protocol.Errorf("ACL file %s cannot be read: %s; the rules are unchanged", file, aclfile.UnwrapPathError(u.err)))
		return
	}
	if err := w.executor.service.loadUsers(w.view, file, u.text); err != nil {
		w.fail(protocol.Errorf("%s", err))
		return
	}
	w.ok()
}

// aclLoad reads the file on the reader's goroutine. The new rules hold from the instant of the
// reply. If the file has an error, the old rules stay.
func aclLoad(w *response) {
	s := w.executor.service
	if s.options.Order != nil {
		w.loadOrdered()
		return
	}
	w.deferFileTask(func(file string) func(*response) {
		text, err := aclfile.Read(file, &s.options.Log)
		return func(w *response) { w.load(file, &usersText{text, err}) }
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
