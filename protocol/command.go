package protocol

import (
	"bytes"
	"strings"
)

// Shape is how the rest of a line is split into arguments.
type Shape uint8

// The shapes.
const (
	ShapeRedis   Shape = iota // by Redis' quoting rules
	ShapeNames                // names, separated by spaces
	ShapeMessage              // a topic, one space, and the message as it stands
)

// Row is one command. Dispatch, arity errors, HELP and COMMAND are all made from the table of rows.
type Row struct {
	Name     string // as it is typed; "CLIENT ID" for a subcommand
	Group    string // as redis-cli sorts its help; said once, it holds for the rows that follow
	Arity    int    // arguments with the name, or with both words of it; negative: at least so many. As in Redis
	Usage    string
	Summary  string
	Shape    Shape
	Listener bool // a RESP2 connection may run it while it is subscribed
	Ample    bool // the answer may be much larger than the question: such commands are taken one at a time
	Parent   bool // its second word names a row of its own

	full string // lower case, "client|id": as Redis names it in errors
	subs map[string]*Row
}

// Table holds every command there is, in the order in which HELP shows them.
var Table = []*Row{
	{Name: "PUB", Group: "pubsub", Arity: 3, Usage: "PUB topic message", Summary: "publish a message: all that follows the topic and one space",
		Shape: ShapeMessage},
	{Name: "SUB", Arity: -2, Usage: "SUB topic [topic ...]", Summary: "listen to topics; messages come as UPDATE lines",
		Shape: ShapeNames, Listener: true},
	{Name: "UNSUB", Arity: -1, Usage: "UNSUB [topic ...]", Summary: "stop listening to some topics, or to all of them",
		Shape: ShapeNames, Listener: true},
	{Name: "PSUB", Arity: -2, Usage: "PSUB glob [glob ...]", Summary: "listen to every topic that matches: * ? [a-z]",
		Shape: ShapeNames, Listener: true},
	{Name: "PUNSUB", Arity: -1, Usage: "PUNSUB [glob ...]", Summary: "stop listening to some globs, or to all of them",
		Shape: ShapeNames, Listener: true},
	{Name: "HELP", Arity: -1, Usage: "HELP", Summary: "say what can be typed", Shape: ShapeNames, Ample: true},

	{Name: "PUBLISH", Arity: 3, Usage: "PUBLISH channel message", Summary: "Posts a message to a channel."},
	{Name: "SUBSCRIBE", Arity: -2, Usage: "SUBSCRIBE channel [channel ...]", Summary: "Listens for messages published to channels.",
		Listener: true},
	{Name: "UNSUBSCRIBE", Arity: -1, Usage: "UNSUBSCRIBE [channel ...]", Summary: "Stops listening to messages posted to channels.",
		Listener: true},
	{Name: "PSUBSCRIBE", Arity: -2, Usage: "PSUBSCRIBE pattern [pattern ...]", Listener: true,
		Summary: "Listens for messages published to channels that match one or more patterns."},
	{Name: "PUNSUBSCRIBE", Arity: -1, Usage: "PUNSUBSCRIBE [pattern ...]", Listener: true,
		Summary: "Stops listening to messages published to channels that match one or more patterns."},
	{Name: "PUBSUB", Arity: -2, Usage: "PUBSUB subcommand", Summary: "A container for Pub/Sub commands.", Parent: true},
	{Name: "PUBSUB CHANNELS", Arity: -2, Usage: "PUBSUB CHANNELS [pattern]", Summary: "Returns the active channels.", Ample: true},
	{Name: "PUBSUB NUMSUB", Arity: -2, Usage: "PUBSUB NUMSUB [channel ...]", Summary: "Returns a count of subscribers to channels."},
	{Name: "PUBSUB NUMPAT", Arity: 2, Usage: "PUBSUB NUMPAT", Summary: "Returns a count of unique pattern subscriptions."},
	{Name: "PUBSUB HELP", Arity: 2, Usage: "PUBSUB HELP", Summary: "Returns helpful text about the different subcommands.", Ample: true},

	{Name: "PING", Group: "connection", Arity: -1, Usage: "PING [message]", Summary: "Returns the server's liveliness response.", Listener: true},
	{Name: "ECHO", Arity: 2, Usage: "ECHO message", Summary: "Returns the given string."},
	{Name: "QUIT", Arity: -1, Usage: "QUIT", Summary: "Closes the connection.", Listener: true},
	{Name: "SELECT", Arity: 2, Usage: "SELECT index", Summary: "Changes the selected database: accepted, without effect."},
	{Name: "HELLO", Arity: -1, Usage: "HELLO [protover [AUTH username password] [SETNAME clientname]]",
		Summary: "Handshakes with the server."},
	{Name: "CLIENT", Arity: -2, Usage: "CLIENT subcommand", Summary: "A container for client connection commands.", Parent: true},
	{Name: "CLIENT ID", Arity: 2, Usage: "CLIENT ID", Summary: "Returns the unique ID of the connection."},
	{Name: "CLIENT SETNAME", Arity: 3, Usage: "CLIENT SETNAME connection-name", Summary: "Sets the connection name."},
	{Name: "CLIENT GETNAME", Arity: 2, Usage: "CLIENT GETNAME", Summary: "Returns the name of the connection."},
	{Name: "CLIENT SETINFO", Arity: 4, Usage: "CLIENT SETINFO <LIB-NAME libname | LIB-VER libver>",
		Summary: "Sets information specific to the client or connection."},
	{Name: "CLIENT HELP", Arity: 2, Usage: "CLIENT HELP", Summary: "Returns helpful text about the different subcommands.", Ample: true},
	{Name: "COMMAND", Group: "server", Arity: -1, Usage: "COMMAND", Summary: "Returns detailed information about all commands.", Ample: true, Parent: true},
	{Name: "COMMAND COUNT", Arity: 2, Usage: "COMMAND COUNT", Summary: "Returns a count of commands."},
	{Name: "COMMAND DOCS", Arity: -2, Usage: "COMMAND DOCS [command-name ...]", Ample: true,
		Summary: "Returns documentary information about commands."},
	{Name: "COMMAND HELP", Arity: 2, Usage: "COMMAND HELP", Summary: "Returns helpful text about the different subcommands.", Ample: true},
	{Name: "INFO", Arity: -1, Usage: "INFO [section ...]", Summary: "Returns information and statistics about the server.", Ample: true},
	{Name: "CONFIG", Arity: -2, Usage: "CONFIG subcommand", Summary: "A container for server configuration commands.", Parent: true},
	{Name: "CONFIG GET", Arity: -3, Usage: "CONFIG GET parameter [parameter ...]", Ample: true,
		Summary: "Returns the effective values of configuration parameters."},
	{Name: "CONFIG SET", Arity: -4, Usage: "CONFIG SET parameter value", Summary: "Sets configuration parameters in-flight."},
	{Name: "CONFIG HELP", Arity: 2, Usage: "CONFIG HELP", Summary: "Returns helpful text about the different subcommands.", Ample: true},
}

var rows = index(Table)

func index(table []*Row) map[string]*Row {
	top := make(map[string]*Row)
	group := ""
	for _, row := range table {
		if row.Group == "" {
			row.Group = group
		}
		group = row.Group
		row.full = strings.ToLower(strings.ReplaceAll(row.Name, " ", "|"))
		parent, sub, ok := strings.Cut(row.full, "|")
		if !ok {
			top[row.full] = row
			continue
		}
		if top[parent].subs == nil {
			top[parent].subs = make(map[string]*Row)
		}
		top[parent].subs[sub] = row
	}
	return top
}

// longest is more than any name in the table: longer words are no commands.
const longest = 32

// Find returns the row of a command, in any letter case, or nil.
func Find(name []byte) *Row { return lookUp(rows, name) }

func lookUp(rows map[string]*Row, name []byte) *Row {
	if len(name) > longest {
		return nil
	}
	var lower [longest]byte
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return rows[string(lower[:len(name)])]
}

// FullName is the name in Redis' errors: lower case, "client|id" for a subcommand.
func (r *Row) FullName() string { return r.full }

// Subcommands returns the rows below a parent, in the order of the table.
func (r *Row) Subcommands() []*Row {
	var subs []*Row
	for _, row := range Table {
		if strings.HasPrefix(row.Name, r.Name+" ") {
			subs = append(subs, row)
		}
	}
	return subs
}

// Resolve finds the row that is to run: the subcommand's for a parent. It checks, in Redis' order, that the command
// exists and that it has the right number of arguments.
func (c *Command) Resolve() (*Row, *Error) {
	if c.Err != nil {
		return c.Row, c.Err
	}
	row := c.Row
	if row == nil {
		return nil, ErrorUnknown(c.Args)
	}
	if row.Parent && len(c.Args) > 1 {
		sub := lookUp(row.subs, c.Args[1])
		if sub == nil {
			return nil, ErrorSubcommand(row.Name, c.Args[1])
		}
		row = sub
	}
	if n := len(c.Args); row.Arity > 0 && n != row.Arity || n < -row.Arity {
		return row, ErrorArity(row.full)
	}
	if c.Dialect == RESP && row.Shape != ShapeRedis {
		return row, c.checkVerb(row)
	}
	return row, nil
}

// checkVerb holds a verb that came as RESP to the rule that its line form is held to.
func (c *Command) checkVerb(row *Row) *Error {
	names := c.Args[1:]
	if row.Shape == ShapeMessage {
		names = names[:1]
	}
	for _, name := range names {
		if err := reserved(row, name); err != nil {
			return err
		}
	}
	return nil
}

// HelpLines are what HELP shows, without line ends.
func HelpLines() []string {
	var lines []string
	for _, row := range Table {
		if row.Shape != ShapeRedis {
			lines = append(lines, "# "+row.Usage+strings.Repeat(" ", max(1, 24-len(row.Usage)))+row.Summary)
		}
	}
	return append(lines,
		"# Redis commands work too (PING, SUBSCRIBE, PUBLISH, INFO, QUIT ...) and answer as Redis does.")
}

// AppendHelp appends what `CLIENT HELP` and its like answer: the subcommands with their summaries, one string each.
func AppendHelp(dst []byte, parent *Row) []byte {
	subs := parent.Subcommands()
	dst = AppendArray(dst, 1+2*len(subs))
	dst = AppendSimple(dst, []byte(parent.Name+" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"))
	for _, sub := range subs {
		dst = AppendSimple(dst, bytes.TrimPrefix([]byte(sub.Usage), []byte(parent.Name+" ")))
		dst = AppendSimple(dst, []byte("    "+sub.Summary))
	}
	return dst
}
