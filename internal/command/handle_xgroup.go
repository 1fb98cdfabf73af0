package command

import (
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/internal/stream"
	"github.com/conchmq/conch/protocol"
)

// Redis' errors of groups.
var (
	errNoStreamForGroup = protocol.Errorf("The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.")
	errBusyGroup        = &protocol.Error{Code: protocol.CodeBusyGroup, Text: "Consumer Group name already exists"}
)

const (
	noGroup         = "No such key '%s' or consumer group '%s'"
	noGroupToRead   = "No such key '%s' or consumer group '%s' in XREADGROUP with GROUP option"
	noGroupToChange = "No such consumer group '%s' for key name '%s'"
)

// xgroupCreate is XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read].
func xgroupCreate(w *response) {
	var x keyargs.XGroup
	if err := x.ParseCreate(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	st := w.streams().Lookup(x.Key)
	switch {
	case st == nil && !x.MkStream:
		w.fail(errNoStreamForGroup)
	case x.WrongID != nil:
		w.fail(x.WrongID)
	case st != nil && st.Group(x.Group) != nil:
		w.fail(errBusyGroup)
	case len(x.Group) > stream.MaxGroupName:
		w.fail(errLongName("group", x.Group))
	case !w.room():
		w.fail(errOOM)
	default:
		c := w.change()
		w.streams().PlanCreateGroup(c, x.Key, st, x.Group, positionOf(&x, st), x.Read)
		w.apply(c)
		w.ok()
	}
}

// positionOf is the position that a command gives a group.
func positionOf(x *keyargs.XGroup, st *stream.Stream) stream.ID {
	switch {
	case !x.AtEnd:
		return x.ID
	case st == nil:
		return stream.ID{}
	}
	return st.LastID()
}

// room reports whether there is memory for what the command adds.
func (w *response) room() bool { return w.executor.service.streams.store.Room(w.inv.size()) }

// groupToChange returns the group that a subcommand of XGROUP names, or replies with an error.
func (w *response) groupToChange() (*stream.Stream, *stream.Group) {
	key, name := w.inv.args[2], w.inv.args[3]
	st := w.streams().Lookup(key)
	if st == nil {
		w.fail(errNoStreamForGroup)
		return nil, nil
	}
	g := st.Group(name)
	if g == nil {
		w.fail(protocol.ErrNoGroup(noGroupToChange, name, key))
	}
	return st, g
}

// xgroupSetID is XGROUP SETID key group <id | $> [ENTRIESREAD entries-read].
func xgroupSetID(w *response) {
	var x keyargs.XGroup
	if err := x.ParseSetID(w.inv.args); err != nil {
		w.fail(err)
		return
	}
	st, g := w.groupToChange()
	switch {
	case g == nil:
	case x.WrongID != nil:
		w.fail(x.WrongID)
	default:
		c := w.change()
		w.streams().PlanSetGroup(c, st, g, positionOf(&x, st), x.Read)
		w.apply(c)
		w.wakeGroup(x.Key)
		w.ok()
	}
}

// xgroupDestroy is XGROUP DESTROY key group.
func xgroupDestroy(w *response) {
	key, name := w.inv.args[2], w.inv.args[3]
	st := w.streams().Lookup(key)
	if st == nil {
		w.fail(errNoStreamForGroup)
		return
	}
	g := st.Group(name)
	if g == nil {
		w.integer(0)
		return
	}
	c := w.change()
	w.streams().PlanDestroyGroup(c, st, g)
	w.apply(c)
	w.wakeGroup(key)
	w.integer(1)
}

// xgroupCreateConsumer is XGROUP CREATECONSUMER key group consumer.
func xgroupCreateConsumer(w *response) {
	st, g := w.groupToChange()
	if g == nil {
		return
	}
	name := w.inv.args[4]
	if g.Consumer(name) != nil {
		w.integer(0)
	} else if err := w.refusesConsumer(g, name); err != nil {
		w.fail(err)
	} else {
		w.consumer(st, g, name)
		w.integer(1)
	}
}

// xgroupDelConsumer is XGROUP DELCONSUMER key group consumer.
func xgroupDelConsumer(w *response) {
	st, g := w.groupToChange()
	if g == nil {
		return
	}
	consumer := g.Consumer(w.inv.args[4])
	if consumer == nil {
		w.integer(0)
		return
	}
	n := consumer.Pending()
	c := w.change()
	w.streams().PlanDeleteConsumer(c, st, g, consumer)
	w.apply(c)
	w.integer(int64(n))
}

// refusesConsumer is the error of a command that names a consumer which there cannot be. Names come back in many replies, so they
// are short.
func (w *response) refusesConsumer(g *stream.Group, name []byte) *protocol.Error {
	switch {
	case g.Consumer(name) != nil:
		return nil
	case len(name) > stream.MaxGroupName:
		return errLongName("consumer", name)
	case !w.room():
		return errOOM
	}
	return nil
}

func errLongName(of string, name []byte) *protocol.Error {
	return protocol.Errorf("the name of a %s has %d bytes; the most is %d", of, len(name), stream.MaxGroupName)
}

// consumer returns a consumer, which it makes if need be. A command has named it, and refusesConsumer has not refused it.
func (w *response) consumer(st *stream.Stream, g *stream.Group, name []byte) *stream.Consumer {
	if g.Consumer(name) == nil {
		c := w.change()
		w.streams().PlanCreateConsumer(c, st, g, name)
		w.apply(c)
	}
	consumer := g.Consumer(name)
	consumer.See(w.now())
	return consumer
}

// group returns a group; nil without the key, too.
func (w *response) group(key, name []byte) (*stream.Stream, *stream.Group) {
	st := w.streams().Lookup(key)
	if st == nil {
		return nil, nil
	}
	return st, st.Group(name)
}

// groupOrError returns the group that the first two arguments name, or replies with an error.
func (w *response) groupOrError() (*stream.Stream, *stream.Group) {
	key, name := w.inv.args[1], w.inv.args[2]
	st, g := w.group(key, name)
	if g == nil {
		w.fail(protocol.ErrNoGroup(noGroup, key, name))
	}
	return st, g
}
