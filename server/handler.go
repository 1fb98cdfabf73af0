package server

import (
	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/protocol"
)

// handler is what a command does: an operation of the core, or an answer of our own at that instant.
type handler struct {
	op     broker.Op
	kind   broker.Kind
	answer func(*exchange) // for broker.Reply and broker.Reset
}

// exchange is one command being answered. It runs on the core's goroutine: everybody waits for it.
type exchange struct {
	conn *conn
	call *call
	view broker.View
	out  []byte // the reply so far
	work int    // done for it besides: see budget.go
}

// handlers has one row for each row of protocol.Commands; a test holds the two together.
var handlers = map[string]*handler{
	"pub":    {op: broker.Publish},
	"sub":    {op: broker.Subscribe},
	"unsub":  {op: broker.Unsubscribe},
	"psub":   {op: broker.Subscribe, kind: broker.Pattern},
	"punsub": {op: broker.Unsubscribe, kind: broker.Pattern},
	"slow":   {answer: slow},
	"seq":    {answer: seq},
	"topics": {answer: topics},
	"who":    {answer: who},
	"help":   {answer: help},

	"publish":              {op: broker.Publish},
	"subscribe":            {op: broker.Subscribe},
	"unsubscribe":          {op: broker.Unsubscribe},
	"psubscribe":           {op: broker.Subscribe, kind: broker.Pattern},
	"punsubscribe":         {op: broker.Unsubscribe, kind: broker.Pattern},
	"spublish":             {op: broker.Publish, kind: broker.Shard},
	"ssubscribe":           {op: broker.Subscribe, kind: broker.Shard},
	"sunsubscribe":         {op: broker.Unsubscribe, kind: broker.Shard},
	"pubsub":               answerHelp,
	"pubsub|channels":      {answer: pubsubNames(broker.Topic)},
	"pubsub|numpat":        {answer: pubsubNumpat},
	"pubsub|numsub":        {answer: pubsubCounts(broker.Topic)},
	"pubsub|shardchannels": {answer: pubsubNames(broker.Shard)},
	"pubsub|shardnumsub":   {answer: pubsubCounts(broker.Shard)},
	"pubsub|stats":         {answer: pubsubStats},
	"pubsub|who":           {answer: pubsubWho},
	"pubsub|help":          answerHelp,

	"multi":   {answer: multi},
	"exec":    {op: broker.Exec},
	"discard": {answer: discard},

	"ping":   {answer: ping},
	"echo":   {answer: echo},
	"quit":   answerQuit,
	"reset":  {op: broker.Reset, answer: reset},
	"select": {answer: selectDB},
	"auth":   {answer: auth},
	"hello":  {answer: hello},

	"client":          answerHelp,
	"client|id":       {answer: clientID},
	"client|info":     {answer: clientInfo},
	"client|list":     {answer: clientList},
	"client|kill":     {answer: clientKill},
	"client|setname":  {answer: clientSetname},
	"client|getname":  {answer: clientGetname},
	"client|setinfo":  {answer: clientSetinfo},
	"client|slow":     {answer: clientSlow},
	"client|reply":    {answer: clientReply},
	"client|no-evict": {answer: clientSwitch(func(s *switches) *bool { return &s.noEvict })},
	"client|no-touch": {answer: clientSwitch(func(s *switches) *bool { return &s.noTouch })},
	"client|tracking": {answer: clientSwitch(func(s *switches) *bool { return &s.tracking })},
	"client|capa":     {answer: clientCapa},
	"client|help":     answerHelp,

	"command":          {answer: command},
	"command|count":    {answer: commandCount},
	"command|docs":     {answer: commandDocs},
	"command|info":     {answer: commandInfo},
	"command|list":     {answer: commandList},
	"command|help":     answerHelp,
	"info":             {answer: info},
	"config":           answerHelp,
	"config|get":       {answer: configGet},
	"config|set":       {answer: configSet},
	"config|resetstat": {answer: configResetstat},
	"config|help":      answerHelp,
	"acl":              answerHelp,
	"acl|cat":          {answer: aclCat},
	"acl|deluser":      {answer: aclDeluser},
	"acl|dryrun":       {answer: aclDryrun},
	"acl|genpass":      {answer: aclGenpass},
	"acl|getuser":      {answer: aclGetuser},
	"acl|list":         {answer: aclList},
	"acl|load":         {answer: aclLoad},
	"acl|log":          {answer: aclLog},
	"acl|save":         {answer: aclSave},
	"acl|setuser":      {answer: aclSetuser},
	"acl|token":        {answer: aclToken},
	"acl|users":        {answer: aclUsers},
	"acl|whoami":       {answer: aclWhoami},
	"acl|help":         answerHelp,
	"monitor":          {answer: monitor},
	"shutdown":         {answer: shutdown},
	"time":             {answer: now},
	"role":             {answer: role},

	// What conch has nothing to say about, in the shape that clients and operators' tools expect.
	"dbsize":          answerZero,
	"scan":            {answer: scan},
	"wait":            answerZero,
	"latency":         answerHelp,
	"latency|latest":  answerNothing,
	"latency|history": answerNothing,
	"latency|reset":   answerZero,
	"latency|help":    answerHelp,
	"slowlog":         answerHelp,
	"slowlog|get":     answerNothing,
	"slowlog|len":     answerZero,
	"slowlog|reset":   {answer: (*exchange).ok},
	"slowlog|help":    answerHelp,
	"memory":          answerHelp,
	"memory|usage":    {answer: (*exchange).null},
	"memory|help":     answerHelp,
	"cluster":         answerNoCluster,
	"readonly":        answerNoCluster,
	"asking":          answerNoCluster,
}

// byPlace is handlers by the place of their rows in the table: the reader looks one up for each command.
var byPlace = func() []*handler {
	by := make([]*handler, len(protocol.Commands))
	for i, row := range protocol.Commands {
		by[i] = handlers[row.FullName()]
	}
	return by
}()

// Handlers that the reader knows too.
var (
	answerQuit  = &handler{answer: func(x *exchange) { x.ok() }}
	answerError = &handler{} // there is nothing to run: Admit answers what the reader found wrong
	answerHelp  = &handler{answer: subcommandHelp}
)

var (
	answerZero      = &handler{answer: func(x *exchange) { x.integer(0) }}
	answerNothing   = &handler{answer: func(x *exchange) { x.array(0) }}
	answerNoCluster = &handler{answer: func(x *exchange) {
		x.fail(protocol.Errorf("This instance has cluster support disabled"))
	}}
)

func (x *exchange) ok()                     { x.out = protocol.AppendOK(x.out) }
func (x *exchange) fail(e *protocol.Error)  { x.out = protocol.AppendError(x.out, e) }
func (x *exchange) bulk(s []byte)           { x.out = protocol.AppendBulk(x.out, s) }
func (x *exchange) text(s string)           { x.out = protocol.AppendBulkString(x.out, s) }
func (x *exchange) integer(n int64)         { x.out = protocol.AppendInt(x.out, n) }
func (x *exchange) array(n int)             { x.out = protocol.AppendArray(x.out, n) }
func (x *exchange) header(kind byte, n int) { x.out = x.conn.wire.version.AppendHeader(x.out, kind, n) }
func (x *exchange) mapping(n int)           { x.header(protocol.Map, n) }
func (x *exchange) set(n int)               { x.header(protocol.Set, n) }
func (x *exchange) null()                   { x.out = x.conn.wire.version.AppendNull(x.out) }
func (x *exchange) prose(s string)          { x.out = x.conn.wire.version.AppendVerbatim(x.out, s) }
func (x *exchange) simple(s string)         { x.out = protocol.AppendSimple(x.out, []byte(s)) }

// help says what can be typed: comment lines in a line, an array of strings over RESP.
func help(x *exchange) {
	lines := protocol.HelpLines()
	if x.call.dialect != protocol.Line {
		x.array(len(lines))
		for _, line := range lines {
			x.simple(line)
		}
		return
	}
	for _, line := range lines {
		x.out = protocol.AppendLineEnd(append(x.out, line...), x.call.crlf)
	}
}

func subcommandHelp(x *exchange) {
	parent := protocol.Lookup(x.call.args[0])
	x.out = protocol.AppendHelp(x.out, parent)
}
