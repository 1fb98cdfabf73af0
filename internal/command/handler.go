package command

import (
	"strings"

	"github.com/conchmq/conch/broker"
	"github.com/conchmq/conch/internal/keyargs"
	"github.com/conchmq/conch/protocol"
)

// handler is what a command does: an operation of the core, or a reply built at its instant of
// the order.
type handler struct {
	op    broker.Op
	kind  broker.Kind
	reply func(*response) // for broker.Reply and broker.Reset
	keys  keyUse
	// mayBlock reports whether the command may wait, with these arguments; nil if it never does.
	mayBlock func(args [][]byte) bool

	decides bool // how publishes behind it are judged: they are queued, or the peer is another user
}

// response is one reply being built. It runs on the core's goroutine, and every other
// connection waits for it.
type response struct {
	executor *executor
	inv      *invocation
	view     broker.View
	buf      []byte   // the reply so far
	more     [][]byte // what follows buf, in frames of their own
	// fill is the reply up to its last entry, nil if it has none that the core leaves out. buf is then what follows.
	fill *fill
	// scanned is how many bytes of records the core has searched for the reply.
	scanned int
	// refused: the reply depends on no key.
	refused bool
	// setsState: a command that uses no key has changed the state of streams.
	setsState bool
	// blocked: the command waits, and has no reply yet.
	blocked bool
	// work is the work besides the bytes of the reply: see execBudget.
	work int
	// live is an entry of a durable topic, judgements are the verdicts of predicates on it.
	live       liveEntry
	judgements []broker.Judgement
}

// handlers has one entry for each command in protocol.Commands; a test compares the two.
var handlers = map[string]*handler{
	"pub":    {op: broker.Publish},
	"sub":    {op: broker.Subscribe},
	"unsub":  {op: broker.Unsubscribe},
	"psub":   {op: broker.Subscribe, kind: broker.Pattern},
	"punsub": {op: broker.Unsubscribe, kind: broker.Pattern},
	"slow":   {reply: slow},
	"seq":    {reply: seq},
	"topics": {reply: topics},
	"who":    {reply: whoVerb},
	"why":    {reply: whyVerb},
	"help":   {reply: help},

	"publish":              {op: broker.Publish},
	"subscribe":            {op: broker.Subscribe},
	"unsubscribe":          {op: broker.Unsubscribe},
	"psubscribe":           {op: broker.Subscribe, kind: broker.Pattern},
	"punsubscribe":         {op: broker.Unsubscribe, kind: broker.Pattern},
	"spublish":             {op: broker.Publish, kind: broker.Shard},
	"ssubscribe":           {op: broker.Subscribe, kind: broker.Shard},
	"sunsubscribe":         {op: broker.Unsubscribe, kind: broker.Shard},
	"pubsub":               replyHelp,
	"pubsub|channels":      {reply: pubsubNames(broker.Topic)},
	"pubsub|numpat":        {reply: pubsubNumpat},
	"pubsub|numsub":        {reply: pubsubCounts(broker.Topic)},
	"pubsub|shardchannels": {reply: pubsubNames(broker.Shard)},
	"pubsub|shardnumsub":   {reply: pubsubCounts(broker.Shard)},
	"pubsub|stats":         {reply: pubsubStats},
	"pubsub|who":           {reply: pubsubWho},
	"pubsub|why":           {reply: pubsubWhy},
	"pubsub|help":          replyHelp,

	"multi":   {reply: multi, decides: true},
	"exec":    {op: broker.Exec, decides: true},
	"discard": {reply: discard, decides: true},
	"watch":   {reply: watch, keys: usesRead},
	"unwatch": {reply: unwatch},

	"xadd":      handleXAdd,
	"xrange":    {reply: xrange, keys: usesRead},
	"xrevrange": {reply: xrevrange, keys: usesRead},
	"xread":     {reply: xread, keys: usesRead, mayBlock: hasBlockOption},

	"ping":   {reply: ping},
	"echo":   {reply: echo},
	"quit":   replyQuit,
	"reset":  {op: broker.Reset, reply: reset, decides: true},
	"select": {reply: selectDB},
	"auth":   {reply: auth, decides: true},
	"hello":  {reply: hello, decides: true},

	"client":          replyHelp,
	"client|id":       {reply: clientID},
	"client|info":     {reply: clientInfo},
	"client|list":     {reply: clientList},
	"client|kill":     {reply: clientKill},
	"client|setname":  {reply: clientSetname},
	"client|getname":  {reply: clientGetname},
	"client|setinfo":  {reply: clientSetinfo},
	"client|slow":     {reply: clientSlow},
	"client|unblock":  {reply: clientUnblock},
	"client|reply":    {reply: clientReply},
	"client|no-evict": {reply: clientSwitch(func(s *clientFlags) *bool { return &s.noEvict })},
	"client|no-touch": {reply: clientSwitch(func(s *clientFlags) *bool { return &s.noTouch })},
	"client|tracking": {reply: clientTracking},
	"client|capa":     {reply: clientCapa},
	"client|help":     replyHelp,

	"command":          {reply: allCommands},
	"command|count":    {reply: commandCount},
	"command|docs":     {reply: commandDocs},
	"command|getkeys":  {reply: commandGetkeys},
	"command|info":     {reply: commandInfo},
	"command|list":     {reply: commandList},
	"command|help":     replyHelp,
	"info":             {reply: info},
	"config":           replyHelp,
	"config|get":       {reply: configGet},
	"config|set":       {reply: configSet},
	"config|resetstat": {reply: configResetstat},
	"config|help":      replyHelp,
	"acl":              replyHelp,
	"acl|cat":          {reply: aclCat},
	"acl|deluser":      {reply: aclDeluser},
	"acl|dryrun":       {reply: aclDryrun},
	"acl|genpass":      {reply: aclGenpass},
	"acl|getuser":      {reply: aclGetuser},
	"acl|list":         {reply: aclList},
	"acl|load":         {reply: aclLoad},
	"acl|log":          {reply: aclLog},
	"acl|save":         {reply: aclSave},
	"acl|setuser":      {reply: aclSetuser},
	"acl|token":        {reply: aclToken},
	"acl|users":        {reply: aclUsers},
	"acl|whoami":       {reply: aclWhoami},
	"acl|help":         replyHelp,
	"log":              replyHelp,
	"log|backup":       {reply: logBackup},
	"log|compact":      {reply: logCompact},
	"log|status":       {reply: logStatusReply},
	"log|help":         replyHelp,
	"cursor":           replyHelp,
	"cursor|list":      {reply: cursorList, keys: usesRead},
	"cursor|del":       {reply: cursorDel, keys: usesWrite},
	"cursor|help":      replyHelp,
	"source":           replyHelp,
	"source|add":       {reply: connectorAdd(Source)},
	"source|del":       {reply: connectorDo(Source, Connectors.Remove)},
	"source|list":      {reply: connectorList(Source)},
	"source|pause":     {reply: connectorDo(Source, Connectors.Pause)},
	"source|resume":    {reply: connectorDo(Source, Connectors.Resume)},
	"source|help":      replyHelp,
	"sink":             replyHelp,
	"sink|add":         {reply: connectorAdd(Sink)},
	"sink|del":         {reply: connectorDo(Sink, Connectors.Remove)},
	"sink|list":        {reply: connectorList(Sink)},
	"sink|pause":       {reply: connectorDo(Sink, Connectors.Pause)},
	"sink|resume":      {reply: connectorDo(Sink, Connectors.Resume)},
	"sink|help":        replyHelp,
	"node":             replyHelp,
	"node|add":         {reply: nodeChange(func(n Nodes, args []string) error { return n.AddNode(args[0], args[1]) })},
	"node|list":        {reply: nodeList},
	"node|promote":     {reply: nodeChange(func(n Nodes, args []string) error { return n.PromoteNode(args[0]) })},
	"node|remove":      {reply: nodeChange(func(n Nodes, args []string) error { return n.RemoveNode(args[0]) })},
	"node|status":      {reply: nodeStatus},
	"node|transfer":    {reply: nodeChange(func(n Nodes, args []string) error { return n.TransferTo(strings.Join(args, "")) })},
	"node|help":        replyHelp,
	"monitor":          {reply: monitor},
	"shutdown":         {reply: shutdown},
	"time":             {reply: serverTime},
	"role":             {reply: role},

	"dbsize":          {reply: dbsize, keys: usesRead},
	"flushall":        {reply: flush, keys: usesWrite},
	"flushdb":         {reply: flush, keys: usesWrite},
	"del":             {reply: del, keys: usesWrite},
	"unlink":          {reply: del, keys: usesWrite},
	"exists":          {reply: exists, keys: usesRead},
	"touch":           {reply: exists, keys: usesRead},
	"type":            {reply: keyType, keys: usesRead},
	"keys":            {reply: keys, keys: usesRead},
	"scan":            {reply: scan, keys: usesRead},
	"expire":          {reply: expire(keyargs.ExpireForm{Seconds: true}), keys: usesWrite},
	"pexpire":         {reply: expire(keyargs.ExpireForm{}), keys: usesWrite},
	"expireat":        {reply: expire(keyargs.ExpireForm{Seconds: true, Absolute: true}), keys: usesWrite},
	"pexpireat":       {reply: expire(keyargs.ExpireForm{Absolute: true}), keys: usesWrite},
	"ttl":             {reply: ttl(keyargs.ExpireForm{Seconds: true}), keys: usesRead},
	"pttl":            {reply: ttl(keyargs.ExpireForm{}), keys: usesRead},
	"expiretime":      {reply: ttl(keyargs.ExpireForm{Seconds: true, Absolute: true}), keys: usesRead},
	"pexpiretime":     {reply: ttl(keyargs.ExpireForm{Absolute: true}), keys: usesRead},
	"persist":         {reply: persist, keys: usesWrite},
	"object":          replyHelp,
	"object|encoding": {reply: objectEncoding, keys: usesRead},
	"object|help":     replyHelp,

	"xlen":         {reply: xlen, keys: usesRead},
	"xdel":         {reply: xdel, keys: usesWrite},
	"xdelex":       {reply: xdelex, keys: usesWrite},
	"xtrim":        {reply: xtrim, keys: usesWrite},
	"xsetid":       {reply: xsetid, keys: usesWrite},
	"xcfgset":      {reply: xcfgset, keys: usesWrite},
	"xfence":       {reply: xfence, keys: usesAdd},
	"read":         replyPage,
	"xinfo":        replyHelp,
	"xinfo|stream": {reply: xinfoStream, keys: usesRead},
	"xinfo|help":   replyHelp,

	"xgroup":                replyHelp,
	"xgroup|create":         {reply: xgroupCreate, keys: usesAdd},
	"xgroup|createconsumer": {reply: xgroupCreateConsumer, keys: usesAdd},
	"xgroup|delconsumer":    {reply: xgroupDelConsumer, keys: usesWrite},
	"xgroup|destroy":        {reply: xgroupDestroy, keys: usesWrite},
	"xgroup|setid":          {reply: xgroupSetID, keys: usesWrite},
	"xgroup|help":           replyHelp,
	"xreadgroup":            {reply: xreadgroup, keys: usesAdd, mayBlock: hasBlockOption},
	"xack":                  {reply: xack, keys: usesWrite},
	"xackdel":               {reply: xackdel, keys: usesWrite},
	"xnack":                 {reply: xnack, keys: usesAdd},
	"xpending":              {reply: xpending, keys: usesRead},
	"xclaim":                {reply: xclaim, keys: usesAdd},
	"xautoclaim":            {reply: xautoclaim, keys: usesAdd},
	"xinfo|groups":          {reply: xinfoGroups, keys: usesRead},
	"xinfo|consumers":       {reply: xinfoConsumers, keys: usesRead},

	// Features that conch does not have, in the reply shapes that clients and operators' tools
	// expect.
	"wait":            {reply: wait},
	"waitaof":         {reply: waitAOF, mayBlock: func([][]byte) bool { return true }},
	"latency":         replyHelp,
	"latency|latest":  replyEmpty,
	"latency|history": replyEmpty,
	"latency|reset":   replyZero,
	"latency|help":    replyHelp,
	"slowlog":         replyHelp,
	"slowlog|get":     replyEmpty,
	"slowlog|len":     replyZero,
	"slowlog|reset":   {reply: (*response).ok},
	"slowlog|help":    replyHelp,
	"memory":          replyHelp,
	"memory|usage":    {reply: keyUsage, keys: usesRead},
	"memory|help":     replyHelp,
	"cluster":         replyNoCluster,
	"readonly":        replyNoCluster,
	"asking":          replyNoCluster,
}

// handlerByIndex is handlers by index in protocol.Commands. The reader looks one up for each
// command: an index is cheaper than a map.
var handlerByIndex = func() []*handler {
	by := make([]*handler, len(protocol.Commands))
	for i, row := range protocol.Commands {
		by[i] = handlers[row.FullName()]
	}
	return by
}()

// Handlers that the reader knows too.
var (
	// replyQuit and the next two are handlers that the reader compares with.
	replyQuit  = &handler{reply: func(w *response) { w.ok() }}
	replyError = &handler{} // nothing to run: Admit replies with the error that the reader found
	replyHelp  = &handler{reply: subcommandHelp}
	replyPage  = &handler{reply: read, keys: usesRead}
)

var (
	replyZero      = &handler{reply: func(w *response) { w.integer(0) }}
	replyEmpty     = &handler{reply: func(w *response) { w.array(0) }}
	replyNoCluster = &handler{reply: func(w *response) {
		w.fail(protocol.Errorf("This instance has cluster support disabled"))
	}}
)

func (w *response) ok()                    { w.buf = protocol.AppendOK(w.buf) }
func (w *response) fail(e *protocol.Error) { w.buf = protocol.AppendError(w.buf, e) }
func (w *response) bulk(s []byte)          { w.buf = protocol.AppendBulk(w.buf, s) }
func (w *response) text(s string)          { w.buf = protocol.AppendBulkString(w.buf, s) }
func (w *response) integer(n int64)        { w.buf = protocol.AppendInt(w.buf, n) }
func (w *response) array(n int)            { w.buf = protocol.AppendArray(w.buf, n) }
func (w *response) header(kind byte, n int) {
	w.buf = w.executor.version.AppendHeader(w.buf, kind, n)
}
func (w *response) mapHeader(n int) { w.header(protocol.Map, n) }
func (w *response) setHeader(n int) { w.header(protocol.Set, n) }
func (w *response) null()           { w.buf = w.executor.version.AppendNull(w.buf) }

// nullArray is null in the place of an array.
func (w *response) nullArray() { w.buf = w.executor.version.AppendNullArray(w.buf) }

func (w *response) verbatim(s string) { w.buf = w.executor.version.AppendVerbatim(w.buf, s) }
func (w *response) simple(s string)   { w.buf = protocol.AppendSimple(w.buf, []byte(s)) }

// help lists what a client can type: comment lines in a line, an array of strings over RESP.
func help(w *response) {
	lines := protocol.HelpLines()
	if w.inv.dialect != protocol.Line {
		w.array(len(lines))
		for _, line := range lines {
			w.simple(line)
		}
		return
	}
	for _, line := range lines {
		w.buf = protocol.AppendLineEnd(append(w.buf, line...), w.inv.crlf)
	}
}

// subcommandHelp is the HELP of a container command.
func subcommandHelp(w *response) {
	parent := protocol.Lookup(w.inv.args[0])
	w.buf = protocol.AppendHelp(w.buf, parent)
}
