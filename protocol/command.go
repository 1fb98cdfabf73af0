package protocol

import (
	"bytes"
	"fmt"
	"strings"
)

// ArgSyntax selects how the text after a command name in a line is split into arguments.
type ArgSyntax uint8

// The argument syntaxes.
const (
	ArgsInline  ArgSyntax = iota // by Redis' quoting rules
	ArgsNames                    // names, separated by spaces
	ArgsMessage                  // a topic, one space, and the unparsed message
	ArgsOptions                  // words, up to WHERE and the unparsed predicate
)

// CommandSpec specifies one command. Dispatch, arity errors, HELP and COMMAND all derive from the table of specs.
type CommandSpec struct {
	Name              string // upper case; "CLIENT ID" for a subcommand
	Group             string // group in the help of redis-cli; an empty one repeats that of the spec before
	Arity             int    // as in Redis: arguments with the name, or with both words of it; negative: the minimum
	Usage             string
	Summary           string
	Syntax            ArgSyntax
	AllowedSubscribed bool   // allowed on a RESP2 connection that is subscribed
	LargeReply        bool   // the reader submits nothing more until this command has been applied
	Costly            bool   // much work for few bytes: one at a time as LargeReply, and counted with those in MULTI
	Container         bool   // has subcommands: the second word selects one
	RunsInMulti       bool   // runs at once inside MULTI, instead of being queued
	NoAuth            bool   // needs no authentication and no permission; package acl has the same list
	Sync              bool   // the reader waits for it: it may change parsing limits, or use a file
	NoMulti           bool   // rejected inside MULTI
	HasSecrets        bool   // an argument may be a password: logs and MONITOR redact it
	TakesPredicate    bool   // names may carry a position and a predicate; after the names of a verb, one of each for all of them
	Divisible         bool   // may name very many topics: then it is applied in pieces
	Since             string // first version of Redis with it; empty for commands of conch alone
	Flags             string // of COMMAND INFO, for commands about keys; others have those that their group implies
	Keys              *KeySpec

	fullName     string    // lower case, "client|id": the name in Redis' errors
	index        int       // in Commands
	respPrefixes [2]string // for a fixed arity: its first bytes in RESP, upper and lower case
	subcommands  map[string]*CommandSpec
}

// Commands is the table of all commands, in the order of HELP.
var Commands = []*CommandSpec{
	{Name: "PUB", Group: "pubsub", Arity: 3, Usage: "PUB topic message", Summary: "publish a message: all that follows the topic and one space",
		Syntax: ArgsMessage},
	{Name: "SUB", Arity: -2, Usage: "SUB topic [topic ...]", Summary: "listen to topics; messages come as UPDATE lines",
		Syntax: ArgsNames, AllowedSubscribed: true, TakesPredicate: true, Divisible: true},
	{Name: "UNSUB", Arity: -1, Usage: "UNSUB [topic ...]", Summary: "stop listening to some topics, or to all of them",
		Syntax: ArgsNames, AllowedSubscribed: true, TakesPredicate: true, Divisible: true},
	{Name: "PSUB", Arity: -2, Usage: "PSUB glob [glob ...]", Summary: "listen to every topic that matches: * ? [a-z]",
		Syntax: ArgsNames, AllowedSubscribed: true, TakesPredicate: true, Divisible: true},
	{Name: "PUNSUB", Arity: -1, Usage: "PUNSUB [glob ...]", Summary: "stop listening to some globs, or to all of them",
		Syntax: ArgsNames, AllowedSubscribed: true, TakesPredicate: true, Divisible: true},
	{Name: "SLOW", Arity: -1, Usage: "SLOW [policy]", Summary: "what happens if you read too slowly: disconnect, drop-newest or drop-oldest",
		Syntax: ArgsNames, AllowedSubscribed: true},
	{Name: "SEQ", Arity: -1, Usage: "SEQ [ON | OFF]", Summary: "show the sequence number of each message, and the epoch",
		Syntax: ArgsNames, AllowedSubscribed: true},
	{Name: "TOPICS", Arity: -1, Usage: "TOPICS [glob]", Summary: "what is listened to, and what comes of it", Syntax: ArgsNames,
		AllowedSubscribed: true, LargeReply: true},
	{Name: "WHO", Arity: -2, Usage: "WHO topic", Summary: "list the subscribers of a topic", Syntax: ArgsNames, AllowedSubscribed: true, LargeReply: true},
	{Name: "WHY", Arity: -2, Usage: "WHY topic [client-id]", Summary: "say why nothing arrives: what became of the last messages to a topic", Syntax: ArgsNames,
		AllowedSubscribed: true, LargeReply: true},
	{Name: "HELP", Arity: -1, Usage: "HELP", Summary: "say what can be typed", Syntax: ArgsNames, LargeReply: true, NoAuth: true},

	{Name: "PUBLISH", Arity: 3, Usage: "PUBLISH channel message", Since: "2.0.0",
		Summary: "Posts a message to a channel."},
	{Name: "SUBSCRIBE", Arity: -2, Usage: "SUBSCRIBE channel [channel ...]", Since: "2.0.0", AllowedSubscribed: true, Divisible: true,
		Summary: "Listens for messages published to channels."},
	{Name: "UNSUBSCRIBE", Arity: -1, Usage: "UNSUBSCRIBE [channel [channel ...]]", Since: "2.0.0", AllowedSubscribed: true, Divisible: true,
		Summary: "Stops listening to messages posted to channels."},
	{Name: "PSUBSCRIBE", Arity: -2, Usage: "PSUBSCRIBE pattern [pattern ...]", Since: "2.0.0", AllowedSubscribed: true, TakesPredicate: true, Divisible: true,
		Summary: "Listens for messages published to channels that match one or more patterns."},
	{Name: "PUNSUBSCRIBE", Arity: -1, Usage: "PUNSUBSCRIBE [pattern [pattern ...]]", Since: "2.0.0", AllowedSubscribed: true, Divisible: true,
		Summary: "Stops listening to messages published to channels that match one or more patterns."},
	{Name: "SPUBLISH", Arity: 3, Usage: "SPUBLISH shardchannel message", Since: "7.0.0",
		Summary: "Posts a message to a shard channel."},
	{Name: "SSUBSCRIBE", Arity: -2, Usage: "SSUBSCRIBE shardchannel [shardchannel ...]", Since: "7.0.0", AllowedSubscribed: true, Divisible: true,
		Summary: "Listens for messages published to shard channels."},
	{Name: "SUNSUBSCRIBE", Arity: -1, Usage: "SUNSUBSCRIBE [shardchannel [shardchannel ...]]", Since: "7.0.0", AllowedSubscribed: true, Divisible: true,
		Summary: "Stops listening to messages posted to shard channels."},
	{Name: "PUBSUB", Arity: -2, Usage: "PUBSUB subcommand", Since: "2.8.0", Container: true,
		Summary: "A container for Pub/Sub commands."},
	{Name: "PUBSUB CHANNELS", Arity: -2, Usage: "PUBSUB CHANNELS [pattern]", Since: "2.8.0", LargeReply: true,
		Summary: "Returns the active channels."},
	{Name: "PUBSUB NUMPAT", Arity: 2, Usage: "PUBSUB NUMPAT", Since: "2.8.0",
		Summary: "Returns a count of unique pattern subscriptions."},
	{Name: "PUBSUB NUMSUB", Arity: -2, Usage: "PUBSUB NUMSUB [channel [channel ...]]", Since: "2.8.0", Divisible: true,
		Summary: "Returns a count of subscribers to channels."},
	{Name: "PUBSUB SHARDCHANNELS", Arity: -2, Usage: "PUBSUB SHARDCHANNELS [pattern]", Since: "7.0.0", LargeReply: true,
		Summary: "Returns the active shard channels."},
	{Name: "PUBSUB SHARDNUMSUB", Arity: -2, Usage: "PUBSUB SHARDNUMSUB [shardchannel [shardchannel ...]]", Since: "7.0.0", Divisible: true,
		Summary: "Returns a count of subscribers of shard channels."},
	{Name: "PUBSUB STATS", Arity: -2, Usage: "PUBSUB STATS [pattern]", LargeReply: true,
		Summary: "Returns what comes of the messages to each topic and pattern that is listened to."},
	{Name: "PUBSUB WHO", Arity: 3, Usage: "PUBSUB WHO topic", LargeReply: true,
		Summary: "Returns the subscribers of a topic, with counts."},
	{Name: "PUBSUB WHY", Arity: -3, Usage: "PUBSUB WHY topic [client-id]", LargeReply: true,
		Summary: "Returns what became of the last messages to a topic, for each subscription that covers it."},
	{Name: "PUBSUB HELP", Arity: 2, Usage: "PUBSUB HELP", Since: "6.2.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "MULTI", Arity: 1, Usage: "MULTI", Since: "1.2.0", Group: "transactions", RunsInMulti: true,
		Summary: "Starts a transaction."},
	{Name: "EXEC", Arity: 1, Usage: "EXEC", Since: "1.2.0", RunsInMulti: true, LargeReply: true,
		Summary: "Executes all commands in a transaction."},
	{Name: "DISCARD", Arity: 1, Usage: "DISCARD", Since: "2.0.0", RunsInMulti: true,
		Summary: "Discards a transaction."},
	{Name: "WATCH", Arity: -2, Usage: "WATCH key [key ...]", Since: "2.2.0", Flags: "noscript loading stale fast allow_busy", Keys: keysAt(1, -1, "RO"), RunsInMulti: true, Divisible: true,
		Summary: "Monitors changes to keys to determine the execution of a transaction."},
	{Name: "UNWATCH", Arity: 1, Usage: "UNWATCH", Since: "2.2.0", Flags: "noscript loading stale fast allow_busy",
		Summary: "Forgets about watched keys of a transaction."},
	{Name: "PING", Arity: -1, Usage: "PING [message]", Since: "1.0.0", Group: "connection", AllowedSubscribed: true,
		Summary: "Returns the server's liveliness response."},
	{Name: "ECHO", Arity: 2, Usage: "ECHO message", Since: "1.0.0",
		Summary: "Returns the given string."},
	{Name: "QUIT", Arity: -1, Usage: "QUIT", Since: "1.0.0", AllowedSubscribed: true, RunsInMulti: true, NoAuth: true,
		Summary: "Closes the connection."},
	{Name: "RESET", Arity: 1, Usage: "RESET", Since: "6.2.0", AllowedSubscribed: true, RunsInMulti: true, NoAuth: true, Sync: true,
		Summary: "Resets the connection."},
	{Name: "SELECT", Arity: 2, Usage: "SELECT index", Since: "1.0.0",
		Summary: "Changes the selected database: accepted, without effect."},
	{Name: "AUTH", Arity: -2, Usage: "AUTH [username] password", Since: "1.0.0", NoAuth: true, Sync: true, HasSecrets: true,
		Summary: "Authenticates the connection."},
	{Name: "HELLO", Arity: -1, Usage: "HELLO [protover [AUTH username password] [SETNAME clientname]]", Since: "6.0.0", NoAuth: true, Sync: true, HasSecrets: true,
		Summary: "Handshakes with the server."},
	{Name: "CLIENT", Arity: -2, Usage: "CLIENT subcommand", Since: "2.4.0", Container: true,
		Summary: "A container for client connection commands."},
	{Name: "CLIENT ID", Arity: 2, Usage: "CLIENT ID", Since: "5.0.0",
		Summary: "Returns the unique client ID of the connection."},
	{Name: "CLIENT INFO", Arity: 2, Usage: "CLIENT INFO", Since: "6.2.0", LargeReply: true,
		Summary: "Returns information about the connection."},
	{Name: "CLIENT LIST", Arity: -2, Usage: "CLIENT LIST [TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", Since: "2.4.0", LargeReply: true,
		Summary: "Lists open connections."},
	{Name: "CLIENT KILL", Arity: -3, Usage: "CLIENT KILL <ip:port | <[ID client-id] | [TYPE type] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>] | [MAXAGE seconds]> ...>", Since: "2.4.0", Costly: true,
		Summary: "Terminates open connections."},
	{Name: "CLIENT SETNAME", Arity: 3, Usage: "CLIENT SETNAME connection-name", Since: "2.6.9",
		Summary: "Sets the connection name."},
	{Name: "CLIENT GETNAME", Arity: 2, Usage: "CLIENT GETNAME", Since: "2.6.9",
		Summary: "Returns the name of the connection."},
	{Name: "CLIENT SETINFO", Arity: 4, Usage: "CLIENT SETINFO <LIB-NAME libname | LIB-VER libver>", Since: "7.2.0",
		Summary: "Sets information specific to the client or connection."},
	{Name: "CLIENT REPLY", Arity: 3, Usage: "CLIENT REPLY <ON | OFF | SKIP>", Since: "3.2.0", NoMulti: true,
		Summary: "Instructs the server whether to reply to commands."},
	{Name: "CLIENT UNBLOCK", Arity: -3, Usage: "CLIENT UNBLOCK client-id [TIMEOUT | ERROR]", Since: "5.0.0",
		Summary: "Unblocks a client blocked by a blocking command from a different connection."},
	{Name: "CLIENT SLOW", Arity: -2, Usage: "CLIENT SLOW [DISCONNECT | DROP-NEWEST | DROP-OLDEST]",
		Summary: "Chooses what happens when the connection reads too slowly, or tells what was chosen."},
	{Name: "CLIENT NO-EVICT", Arity: 3, Usage: "CLIENT NO-EVICT <ON | OFF>", Since: "7.0.0",
		Summary: "Sets the client eviction mode of the connection: accepted, without effect."},
	{Name: "CLIENT NO-TOUCH", Arity: 3, Usage: "CLIENT NO-TOUCH <ON | OFF>", Since: "7.2.0",
		Summary: "Controls whether commands alter keys' LRU: accepted, without effect."},
	{Name: "CLIENT TRACKING", Arity: -3, Usage: "CLIENT TRACKING <ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", Since: "6.0.0",
		Summary: "Controls client-side caching: with OPTIN alone, and without effect."},
	{Name: "CLIENT CAPA", Arity: -3, Usage: "CLIENT CAPA capability [capability ...]", Since: "8.0.0",
		Summary: "Tells what the client can do: seq asks for sequence numbers, all else is accepted, as Valkey does."},
	{Name: "CLIENT HELP", Arity: 2, Usage: "CLIENT HELP", Since: "5.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "COMMAND", Arity: -1, Usage: "COMMAND", Since: "2.8.13", Group: "server", LargeReply: true, Container: true,
		Summary: "Returns detailed information about all commands."},
	{Name: "COMMAND COUNT", Arity: 2, Usage: "COMMAND COUNT", Since: "2.8.13",
		Summary: "Returns a count of commands."},
	{Name: "COMMAND DOCS", Arity: -2, Usage: "COMMAND DOCS [command-name [command-name ...]]", Since: "7.0.0", LargeReply: true,
		Summary: "Returns documentary information about one, multiple or all commands."},
	{Name: "COMMAND GETKEYS", Arity: -3, Usage: "COMMAND GETKEYS command [arg [arg ...]]", Since: "2.8.13",
		Summary: "Extracts the key names from a command."},
	{Name: "COMMAND INFO", Arity: -2, Usage: "COMMAND INFO [command-name [command-name ...]]", Since: "2.8.13", LargeReply: true,
		Summary: "Returns information about one, multiple or all commands."},
	{Name: "COMMAND LIST", Arity: -2, Usage: "COMMAND LIST [FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]", Since: "7.0.0", LargeReply: true,
		Summary: "Returns a list of command names."},
	{Name: "COMMAND HELP", Arity: 2, Usage: "COMMAND HELP", Since: "5.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "INFO", Arity: -1, Usage: "INFO [section [section ...]]", Since: "1.0.0", LargeReply: true,
		Summary: "Returns information and statistics about the server."},
	{Name: "CONFIG", Arity: -2, Usage: "CONFIG subcommand", Since: "2.0.0", Container: true,
		Summary: "A container for server configuration commands."},
	{Name: "CONFIG GET", Arity: -3, Usage: "CONFIG GET parameter [parameter ...]", Since: "2.0.0", LargeReply: true,
		Summary: "Returns the effective values of configuration parameters."},
	{Name: "CONFIG SET", Arity: -4, Usage: "CONFIG SET parameter value [parameter value ...]", Since: "2.0.0", HasSecrets: true, Costly: true,
		Summary: "Sets configuration parameters in-flight."},
	{Name: "CONFIG RESETSTAT", Arity: 2, Usage: "CONFIG RESETSTAT", Since: "2.0.0",
		Summary: "Resets the server's statistics, but for those of messages and of connections' ends."},
	{Name: "CONFIG HELP", Arity: 2, Usage: "CONFIG HELP", Since: "5.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "ACL", Arity: -2, Usage: "ACL subcommand", Since: "6.0.0", Container: true,
		Summary: "A container for Access List Control commands."},
	{Name: "ACL CAT", Arity: -2, Usage: "ACL CAT [category]", Since: "6.0.0", LargeReply: true,
		Summary: "Lists the ACL categories, or the commands inside a category."},
	{Name: "ACL DELUSER", Arity: -3, Usage: "ACL DELUSER username [username ...]", Since: "6.0.0", Costly: true,
		Summary: "Deletes ACL users, and terminates their connections."},
	{Name: "ACL DRYRUN", Arity: -4, Usage: "ACL DRYRUN username command [arg [arg ...]]", HasSecrets: true, Since: "7.0.0",
		Summary: "Simulates the execution of a command by a user, without executing the command."},
	{Name: "ACL GENPASS", Arity: -2, Usage: "ACL GENPASS [bits]", Since: "6.0.0",
		Summary: "Generates a pseudorandom, secure password that can be used to identify ACL users."},
	{Name: "ACL GETUSER", Arity: 3, Usage: "ACL GETUSER username", Since: "6.0.0", LargeReply: true,
		Summary: "Lists the ACL rules of a user."},
	{Name: "ACL LIST", Arity: 2, Usage: "ACL LIST", Since: "6.0.0", LargeReply: true,
		Summary: "Dumps the effective rules in ACL file format."},
	{Name: "ACL LOAD", Arity: 2, Usage: "ACL LOAD", Since: "6.0.0", Sync: true, NoMulti: true,
		Summary: "Reloads the rules from the configured ACL file."},
	{Name: "ACL LOG", Arity: -2, Usage: "ACL LOG [count | RESET]", Since: "6.0.0", LargeReply: true,
		Summary: "Lists recent security events generated due to ACL rules."},
	{Name: "ACL SAVE", Arity: 2, Usage: "ACL SAVE", Since: "6.0.0", Sync: true, NoMulti: true,
		Summary: "Saves the effective ACL rules in the configured ACL file."},
	{Name: "ACL SETUSER", Arity: -3, Usage: "ACL SETUSER username [rule [rule ...]]", Since: "6.0.0", HasSecrets: true, Costly: true,
		Summary: "Creates and modifies an ACL user and its rules."},
	{Name: "ACL TOKEN", Arity: -3, Usage: "ACL TOKEN <CREATE username token seconds | LIST [username] | REVOKE username token>", LargeReply: true,
		Summary: "Makes, lists and takes away passwords that have a name and expire. CREATE returns the secret, once."},
	{Name: "ACL USERS", Arity: 2, Usage: "ACL USERS", Since: "6.0.0", LargeReply: true,
		Summary: "Lists all ACL users."},
	{Name: "ACL WHOAMI", Arity: 2, Usage: "ACL WHOAMI", Since: "6.0.0",
		Summary: "Returns the authenticated username of the current connection."},
	{Name: "ACL HELP", Arity: 2, Usage: "ACL HELP", Since: "6.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "LOG", Arity: -2, Usage: "LOG subcommand", Container: true,
		Summary: "A container for commands about the log of streams."},
	{Name: "LOG BACKUP", Arity: 3, Usage: "LOG BACKUP path", Sync: true, NoMulti: true,
		Summary: "Begins a backup of all streams into a folder of the server's machine. LOG STATUS shows how far it is."},
	{Name: "LOG COMPACT", Arity: 2, Usage: "LOG COMPACT", NoMulti: true,
		Summary: "Gives the disk space of deleted entries back, in the background."},
	{Name: "LOG STATUS", Arity: 2, Usage: "LOG STATUS", LargeReply: true, NoMulti: true,
		Summary: "Returns how the log of streams and its last backup do."},
	{Name: "LOG HELP", Arity: 2, Usage: "LOG HELP", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "CURSOR", Arity: -2, Usage: "CURSOR subcommand", Container: true,
		Summary: "A container for commands about the positions that subscriptions keep: FROM GROUP."},
	{Name: "CURSOR DEL", Arity: -4, Usage: "CURSOR DEL group topic [topic ...]",
		Summary: "Deletes the positions of a group in topics and patterns, and returns how many there were."},
	{Name: "CURSOR LIST", Arity: -2, Usage: "CURSOR LIST [group]", LargeReply: true,
		Summary: "Lists the positions that are kept, and the clients that go on from there."},
	{Name: "CURSOR HELP", Arity: 2, Usage: "CURSOR HELP", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "SOURCE", Arity: -2, Usage: "SOURCE subcommand", Container: true,
		Summary: "A container for commands about sources, which take messages of other systems in."},
	{Name: "SOURCE ADD", Arity: -4, Usage: "SOURCE ADD name url [key value ...]", HasSecrets: true, Sync: true, NoMulti: true,
		Summary: "Starts a source with the keys of the config file. It is not kept over a restart."},
	{Name: "SOURCE DEL", Arity: 3, Usage: "SOURCE DEL name", Sync: true, NoMulti: true,
		Summary: "Ends a source that was added at run time."},
	{Name: "SOURCE LIST", Arity: 2, Usage: "SOURCE LIST", LargeReply: true,
		Summary: "Lists the sources with their states and counts."},
	{Name: "SOURCE PAUSE", Arity: 3, Usage: "SOURCE PAUSE name", Sync: true, NoMulti: true,
		Summary: "Has a source rest until RESUME; without a cluster until a restart at most."},
	{Name: "SOURCE RESUME", Arity: 3, Usage: "SOURCE RESUME name", Sync: true, NoMulti: true,
		Summary: "Has a source that rests go on, and one that waits for its next try go on at once."},
	{Name: "SOURCE HELP", Arity: 2, Usage: "SOURCE HELP", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "SINK", Arity: -2, Usage: "SINK subcommand", Container: true,
		Summary: "A container for commands about sinks, which send messages to other systems."},
	{Name: "SINK ADD", Arity: -4, Usage: "SINK ADD name url [key value ...]", HasSecrets: true, Sync: true, NoMulti: true,
		Summary: "Starts a sink with the keys of the config file. It is not kept over a restart."},
	{Name: "SINK DEL", Arity: 3, Usage: "SINK DEL name", Sync: true, NoMulti: true,
		Summary: "Ends a sink that was added at run time."},
	{Name: "SINK LIST", Arity: 2, Usage: "SINK LIST", LargeReply: true,
		Summary: "Lists the sinks with their states and counts."},
	{Name: "SINK PAUSE", Arity: 3, Usage: "SINK PAUSE name", Sync: true, NoMulti: true,
		Summary: "Has a sink rest until RESUME; without a cluster until a restart at most."},
	{Name: "SINK RESUME", Arity: 3, Usage: "SINK RESUME name", Sync: true, NoMulti: true,
		Summary: "Has a sink that rests go on, and one that waits for its next try go on at once."},
	{Name: "SINK HELP", Arity: 2, Usage: "SINK HELP", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "NODE", Arity: -2, Usage: "NODE subcommand", Container: true,
		Summary: "A container for commands about the nodes of a cluster, which keep one order."},
	{Name: "NODE ADD", Arity: 4, Usage: "NODE ADD name address", Sync: true, NoMulti: true,
		Summary: "Makes a node a member without a vote, or moves one to an address at which it runs. The leader takes it."},
	{Name: "NODE LIST", Arity: 2, Usage: "NODE LIST", LargeReply: true, NoMulti: true,
		Summary: "Lists the nodes of the cluster."},
	{Name: "NODE PROMOTE", Arity: 3, Usage: "NODE PROMOTE name", Sync: true, NoMulti: true,
		Summary: "Gives a node that has caught up a vote. The leader takes it."},
	{Name: "NODE REMOVE", Arity: 3, Usage: "NODE REMOVE name", Sync: true, NoMulti: true,
		Summary: "Ends a node's membership. The leader takes it."},
	{Name: "NODE STATUS", Arity: 2, Usage: "NODE STATUS", LargeReply: true, NoMulti: true,
		Summary: "Returns how this node sees the cluster."},
	{Name: "NODE TRANSFER", Arity: -2, Usage: "NODE TRANSFER [name]", Sync: true, NoMulti: true,
		Summary: "Makes another node lead. The leader takes it."},
	{Name: "NODE HELP", Arity: 2, Usage: "NODE HELP", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "MONITOR", Arity: -1, Usage: "MONITOR [TOPIC glob] [USER name]", Since: "1.0.0",
		Summary: "Listens for all requests received by the server in real-time."},
	{Name: "SHUTDOWN", Arity: -1, Usage: "SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", Since: "1.0.0",
		Summary: "Shuts down the server when outboxes have drained."},
	{Name: "TIME", Arity: 1, Usage: "TIME", Since: "2.6.0",
		Summary: "Returns the server time."},
	{Name: "ROLE", Arity: 1, Usage: "ROLE", Since: "2.8.12",
		Summary: "Returns the replication role: always master, without replicas."},
	{Name: "DBSIZE", Arity: 1, Usage: "DBSIZE", Since: "1.0.0", Flags: "readonly fast",
		Summary: "Returns the number of keys in the database."},
	{Name: "FLUSHALL", Arity: -1, Usage: "FLUSHALL [ASYNC | SYNC]", Since: "1.0.0", Flags: "write",
		Summary: "Removes all keys from all databases."},
	{Name: "FLUSHDB", Arity: -1, Usage: "FLUSHDB [ASYNC | SYNC]", Since: "1.0.0", Flags: "write",
		Summary: "Removes all keys from the current database."},

	{Name: "DEL", Group: "generic", Arity: -2, Usage: "DEL key [key ...]", Since: "1.0.0", Flags: "write", Keys: keysAt(1, -1, "RM delete"), Divisible: true,
		Summary: "Deletes one or more keys."},
	{Name: "UNLINK", Arity: -2, Usage: "UNLINK key [key ...]", Since: "4.0.0", Flags: "write fast", Keys: keysAt(1, -1, "RM delete"), Divisible: true,
		Summary: "Asynchronously deletes one or more keys."},
	{Name: "EXISTS", Arity: -2, Usage: "EXISTS key [key ...]", Since: "1.0.0", Flags: "readonly fast", Keys: keysAt(1, -1, "RO"), Divisible: true,
		Summary: "Determines whether one or more keys exist."},
	{Name: "TOUCH", Arity: -2, Usage: "TOUCH key [key ...]", Since: "3.2.1", Flags: "readonly fast", Keys: keysAt(1, -1, "RO"), Divisible: true,
		Summary: "Returns the number of existing keys out of those specified."},
	{Name: "TYPE", Arity: 2, Usage: "TYPE key", Since: "1.0.0", Flags: "readonly fast", Keys: keysAt(1, 1, "RO"),
		Summary: "Determines the type of value stored at a key."},
	{Name: "KEYS", Arity: 2, Usage: "KEYS pattern", Since: "1.0.0", Flags: "readonly", LargeReply: true,
		Summary: "Returns all key names that match a pattern."},
	{Name: "SCAN", Arity: -2, Usage: "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]", Since: "2.8.0", Flags: "readonly",
		Summary: "Iterates over the key names in the database."},
	{Name: "EXPIRE", Arity: -3, Usage: "EXPIRE key seconds [NX | XX | GT | LT]", Since: "1.0.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Sets the expiration time of a key in seconds."},
	{Name: "PEXPIRE", Arity: -3, Usage: "PEXPIRE key milliseconds [NX | XX | GT | LT]", Since: "2.6.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Sets the expiration time of a key in milliseconds."},
	{Name: "EXPIREAT", Arity: -3, Usage: "EXPIREAT key unix-time-seconds [NX | XX | GT | LT]", Since: "1.2.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Sets the expiration time of a key to a Unix timestamp."},
	{Name: "PEXPIREAT", Arity: -3, Usage: "PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]", Since: "2.6.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Sets the expiration time of a key to a Unix milliseconds timestamp."},
	{Name: "TTL", Arity: 2, Usage: "TTL key", Since: "1.0.0", Flags: "readonly fast", Keys: keysAt(1, 1, "RO access"),
		Summary: "Returns the expiration time in seconds of a key."},
	{Name: "PTTL", Arity: 2, Usage: "PTTL key", Since: "2.6.0", Flags: "readonly fast", Keys: keysAt(1, 1, "RO access"),
		Summary: "Returns the expiration time in milliseconds of a key."},
	{Name: "EXPIRETIME", Arity: 2, Usage: "EXPIRETIME key", Since: "7.0.0", Flags: "readonly fast", Keys: keysAt(1, 1, "RO access"),
		Summary: "Returns the expiration time of a key as a Unix timestamp."},
	{Name: "PEXPIRETIME", Arity: 2, Usage: "PEXPIRETIME key", Since: "7.0.0", Flags: "readonly fast", Keys: keysAt(1, 1, "RO access"),
		Summary: "Returns the expiration time of a key as a Unix milliseconds timestamp."},
	{Name: "PERSIST", Arity: 2, Usage: "PERSIST key", Since: "2.2.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Removes the expiration time of a key."},
	{Name: "OBJECT", Arity: -2, Usage: "OBJECT subcommand", Since: "2.2.3", Container: true,
		Summary: "A container for object introspection commands."},
	{Name: "OBJECT ENCODING", Arity: 3, Usage: "OBJECT ENCODING key", Since: "2.2.3", Flags: "readonly", Keys: keysAt(2, 2, "RO"),
		Summary: "Returns the internal encoding of a key's value: stream."},
	{Name: "OBJECT HELP", Arity: 2, Usage: "OBJECT HELP", Since: "6.2.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "WAIT", Arity: 3, Usage: "WAIT numreplicas timeout", Since: "3.0.0", Group: "generic",
		Summary: "Waits for replicas: there are none, so 0 at once."},
	{Name: "WAITAOF", Arity: 4, Usage: "WAITAOF numlocal numreplicas timeout", Since: "7.2.0",
		Summary: "Waits until all changes so far are on disk. There are no replicas."},
	{Name: "LATENCY", Arity: -2, Usage: "LATENCY subcommand", Since: "2.8.13", Group: "server", Container: true,
		Summary: "A container for latency diagnostics commands."},
	{Name: "LATENCY LATEST", Arity: 2, Usage: "LATENCY LATEST", Since: "2.8.13",
		Summary: "Returns the latest latency samples: always none."},
	{Name: "LATENCY HISTORY", Arity: 3, Usage: "LATENCY HISTORY event", Since: "2.8.13",
		Summary: "Returns timestamp-latency samples for an event: always none."},
	{Name: "LATENCY RESET", Arity: -2, Usage: "LATENCY RESET [event [event ...]]", Since: "2.8.13",
		Summary: "Resets the latency data: there is none."},
	{Name: "LATENCY HELP", Arity: 2, Usage: "LATENCY HELP", Since: "2.8.13", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "SLOWLOG", Arity: -2, Usage: "SLOWLOG subcommand", Since: "2.2.12", Container: true,
		Summary: "A container for slow log commands."},
	{Name: "SLOWLOG GET", Arity: -2, Usage: "SLOWLOG GET [count]", Since: "2.2.12",
		Summary: "Returns the slow log's entries: always none."},
	{Name: "SLOWLOG LEN", Arity: 2, Usage: "SLOWLOG LEN", Since: "2.2.12",
		Summary: "Returns the number of entries in the slow log: always 0."},
	{Name: "SLOWLOG RESET", Arity: 2, Usage: "SLOWLOG RESET", Since: "2.2.12",
		Summary: "Clears all entries from the slow log: there are none."},
	{Name: "SLOWLOG HELP", Arity: 2, Usage: "SLOWLOG HELP", Since: "6.2.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "MEMORY", Arity: -2, Usage: "MEMORY subcommand", Since: "4.0.0", Container: true,
		Summary: "A container for memory diagnostics commands."},
	{Name: "MEMORY USAGE", Arity: -3, Usage: "MEMORY USAGE key [SAMPLES count]", Since: "4.0.0", Flags: "readonly", Keys: keysAt(2, 2, "RO"),
		Summary: "Returns the bytes that the entries of a stream take, null without one."},
	{Name: "MEMORY HELP", Arity: 2, Usage: "MEMORY HELP", Since: "4.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "CLUSTER", Arity: -2, Usage: "CLUSTER subcommand", Since: "3.0.0", Group: "cluster",
		Summary: "Always an error, by which clients see that this is no cluster."},
	{Name: "READONLY", Arity: 1, Usage: "READONLY", Since: "3.0.0",
		Summary: "As CLUSTER."},
	{Name: "ASKING", Arity: 1, Usage: "ASKING", Since: "3.0.0",
		Summary: "As CLUSTER."},
	{Name: "XADD", Group: "stream", Arity: -5, Since: "5.0.0", Flags: "write denyoom fast", Keys: keysAt(1, 1, "RW update"),
		Usage:   "XADD key [NOMKSTREAM] [KEEPREF | DELREF | ACKED] [IDMPAUTO producer-id | IDMP producer-id idempotent-id] [IF-LAST id] [FENCE token] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
		Summary: "Appends a new message to a stream. Creates the key if it doesn't exist."},
	{Name: "XRANGE", Arity: -4, Usage: "XRANGE key start end [COUNT count]", Since: "5.0.0", Flags: "readonly", Keys: keysAt(1, 1, "RO access"), LargeReply: true,
		Summary: "Returns the messages from a stream within a range of IDs."},
	{Name: "XREVRANGE", Arity: -4, Usage: "XREVRANGE key end start [COUNT count]", Since: "5.0.0", Flags: "readonly", Keys: keysAt(1, 1, "RO access"), LargeReply: true,
		Summary: "Returns the messages from a stream within a range of IDs in reverse order."},
	{Name: "XREAD", Arity: -4, Since: "5.0.0", Flags: "readonly blocking movablekeys", Keys: keysAt(1, -1, "RO access").behind("STREAMS"), LargeReply: true,
		Usage:   "XREAD [COUNT count] [MAXCOUNT count] [MAXSIZE bytes] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
		Summary: "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise."},
	{Name: "XLEN", Arity: 2, Usage: "XLEN key", Since: "5.0.0", Flags: "readonly fast", Keys: keysAt(1, 1, "RO"),
		Summary: "Returns the number of entries in a stream."},
	{Name: "XDEL", Arity: -3, Usage: "XDEL key id [id ...]", Since: "5.0.0", Flags: "write fast", Keys: keysAt(1, 1, "RW delete"), Divisible: true,
		Summary: "Deletes entries from a stream, and returns how many."},
	{Name: "XDELEX", Arity: -5, Usage: "XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", Since: "8.2.0", Flags: "write fast", Keys: keysAt(1, 1, "RW delete"),
		Summary: "Deletes entries from a stream, and returns what came of each."},
	{Name: "XTRIM", Arity: -4, Usage: "XTRIM key <MAXLEN | MINID> [= | ~] threshold [LIMIT count] [KEEPREF | DELREF | ACKED]", Since: "5.0.0", Flags: "write", Keys: keysAt(1, 1, "RW delete"),
		Summary: "Deletes entries from the beginning of a stream."},
	{Name: "XSETID", Arity: -3, Usage: "XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]", Since: "5.0.0", Flags: "write denyoom fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Sets the last ID of a stream."},
	{Name: "XCFGSET", Arity: -2, Usage: "XCFGSET key [IDMP-DURATION seconds] [IDMP-MAXSIZE count]", Since: "8.6.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Sets for how long, and how many, idempotent IDs a stream keeps."},
	{Name: "XFENCE", Arity: -2, Usage: "XFENCE key [token]", Flags: "write denyoom fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Raises the fencing token of a stream, below which XADD with FENCE is refused, and returns it."},
	{Name: "XGROUP", Arity: -2, Usage: "XGROUP subcommand", Since: "5.0.0", Container: true,
		Summary: "A container for consumer groups commands."},
	{Name: "XGROUP CREATE", Arity: -5, Usage: "XGROUP CREATE key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]", Since: "5.0.0", Flags: "write denyoom", Keys: keysAt(2, 2, "RW insert"),
		Summary: "Creates a consumer group."},
	{Name: "XGROUP CREATECONSUMER", Arity: 5, Usage: "XGROUP CREATECONSUMER key group consumer", Since: "6.2.0", Flags: "write denyoom", Keys: keysAt(2, 2, "RW insert"),
		Summary: "Creates a consumer in a consumer group."},
	{Name: "XGROUP DELCONSUMER", Arity: 5, Usage: "XGROUP DELCONSUMER key group consumer", Since: "5.0.0", Flags: "write", Keys: keysAt(2, 2, "RW delete"),
		Summary: "Deletes a consumer from a consumer group."},
	{Name: "XGROUP DESTROY", Arity: 4, Usage: "XGROUP DESTROY key group", Since: "5.0.0", Flags: "write", Keys: keysAt(2, 2, "RW delete"),
		Summary: "Destroys a consumer group."},
	{Name: "XGROUP HELP", Arity: 2, Usage: "XGROUP HELP", Since: "5.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
	{Name: "XGROUP SETID", Arity: -5, Usage: "XGROUP SETID key group <id | $> [ENTRIESREAD entries-read]", Since: "5.0.0", Flags: "write", Keys: keysAt(2, 2, "RW update"),
		Summary: "Sets the last-delivered ID of a consumer group."},
	{Name: "XREADGROUP", Arity: -7, Since: "5.0.0", Flags: "write blocking movablekeys", Keys: keysAt(4, -1, "RO access").behind("STREAMS"), LargeReply: true,
		Usage:   "XREADGROUP GROUP group consumer [COUNT count] [MAXCOUNT count] [BLOCK milliseconds] [CLAIM min-idle-time] [NOACK] STREAMS key [key ...] id [id ...]",
		Summary: "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise."},
	{Name: "XACK", Arity: -4, Usage: "XACK key group id [id ...]", Since: "5.0.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"), Divisible: true,
		Summary: "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream."},
	{Name: "XACKDEL", Arity: -6, Usage: "XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id ...]", Since: "8.2.0", Flags: "write fast", Keys: keysAt(1, 1, "RW delete"),
		Summary: "Acknowledges and deletes entries, and returns what came of each."},
	{Name: "XNACK", Arity: -7, Usage: "XNACK key group <SILENT | FAIL | FATAL> IDS numids id [id ...] [RETRYCOUNT count] [FORCE]", Since: "8.8.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"),
		Summary: "Releases pending entries, for other consumers to claim, and returns how many."},
	{Name: "XPENDING", Arity: -3, Usage: "XPENDING key group [[IDLE min-idle-time] start end count [consumer]]", Since: "5.0.0", Flags: "readonly", Keys: keysAt(1, 1, "RO access"), LargeReply: true,
		Summary: "Returns the information and entries from a stream consumer group's pending entries list."},
	{Name: "XCLAIM", Arity: -6, Since: "5.0.0", Flags: "write fast", Keys: keysAt(1, 1, "RW update"), LargeReply: true,
		Usage:   "XCLAIM key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]",
		Summary: "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member."},
	{Name: "XAUTOCLAIM", Arity: -6, Usage: "XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]", Since: "6.2.0", Flags: "write fast", Keys: keysAt(1, 1, "RW access delete"), LargeReply: true,
		Summary: "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member."},
	{Name: "READ", Arity: -2, Usage: "READ name [name ...]", Syntax: ArgsOptions, Flags: "readonly movablekeys",
		Keys: keysAt(1, -1, "RO access").beforeOptions(), LargeReply: true, Summary: "show the entries of streams and globs, in the one order; FROM, LAST, COUNT n and WHERE choose"},
	{Name: "XINFO", Arity: -2, Usage: "XINFO subcommand", Since: "5.0.0", Container: true,
		Summary: "A container for stream introspection commands."},
	{Name: "XINFO STREAM", Arity: -3, Usage: "XINFO STREAM key [FULL [COUNT count]]", Since: "5.0.0", Flags: "readonly", Keys: keysAt(2, 2, "RO access"), LargeReply: true,
		Summary: "Returns information about a stream."},
	{Name: "XINFO CONSUMERS", Arity: 4, Usage: "XINFO CONSUMERS key group", Since: "5.0.0", Flags: "readonly", Keys: keysAt(2, 2, "RO access"), LargeReply: true,
		Summary: "Returns a list of the consumers in a consumer group."},
	{Name: "XINFO GROUPS", Arity: -3, Usage: "XINFO GROUPS key [MISSED]", Since: "5.0.0", Flags: "readonly", Keys: keysAt(2, 2, "RO access"), LargeReply: true,
		Summary: "Returns a list of the consumer groups of a stream."},
	{Name: "XINFO HELP", Arity: 2, Usage: "XINFO HELP", Since: "5.0.0", LargeReply: true,
		Summary: "Returns helpful text about the different subcommands."},
}

var byName = index(Commands)

func index(table []*CommandSpec) map[string]*CommandSpec {
	top := make(map[string]*CommandSpec)
	group := ""
	for place, spec := range table {
		spec.index = place
		if spec.Group == "" {
			spec.Group = group
		}
		group = spec.Group
		spec.fullName = strings.ToLower(strings.ReplaceAll(spec.Name, " ", "|"))
		if spec.Arity > 0 && spec.Syntax == ArgsInline {
			for i, name := range []string{spec.Name, spec.fullName} {
				spec.respPrefixes[i] = fmt.Sprintf("*%d\r\n$%d\r\n%s\r\n", spec.Arity, len(name), name)
			}
		}
		parent, sub, ok := strings.Cut(spec.fullName, "|")
		if !ok {
			top[spec.fullName] = spec
			continue
		}
		if top[parent].subcommands == nil {
			top[parent].subcommands = make(map[string]*CommandSpec)
		}
		top[parent].subcommands[sub] = spec
	}
	return top
}

// maxNameLen is longer than every name in the table; lookup needs no allocation up to it.
const maxNameLen = 32

// Lookup returns the spec of a command, or nil. It ignores letter case.
func Lookup(name []byte) *CommandSpec { return lookup(byName, name) }

// LookupFull returns the spec for a full name, "client|id" or "client", or nil. It ignores letter case.
func LookupFull(name []byte) *CommandSpec {
	parent, sub, below := bytes.Cut(name, []byte{'|'})
	spec := Lookup(parent)
	if spec == nil || !below {
		return spec
	}
	return lookup(spec.subcommands, sub)
}

func lookup(specs map[string]*CommandSpec, name []byte) *CommandSpec {
	if len(name) > maxNameLen {
		return nil
	}
	var lower [maxNameLen]byte
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return specs[string(lower[:len(name)])]
}

// FullName is the lower-case name, "client|id" for a subcommand, as in Redis' errors.
func (s *CommandSpec) FullName() string { return s.fullName }

// Index is the position of the spec in Commands.
func (s *CommandSpec) Index() int { return s.index }

// Subcommands returns the subcommands of a container, in the order of the table.
func (s *CommandSpec) Subcommands() []*CommandSpec {
	var subs []*CommandSpec
	for _, spec := range Commands {
		if strings.HasPrefix(spec.Name, s.Name+" ") {
			subs = append(subs, spec)
		}
	}
	return subs
}

// Resolve returns the spec to run, for a container that of the subcommand. It checks in Redis' order that the command
// exists and that the number of arguments is right.
func (c *Command) Resolve() (*CommandSpec, *Error) {
	if c.Err != nil {
		return c.Spec, c.Err
	}
	spec := c.Spec
	if spec == nil {
		if c.Dialect == Inline {
			return nil, errMistyped(c.Args[0])
		}
		return nil, ErrUnknownCommand(c.Args)
	}
	if spec.Container && len(c.Args) > 1 {
		sub := lookup(spec.subcommands, c.Args[1])
		if sub == nil {
			return nil, ErrUnknownSubcommand(spec.Name, c.Args[1])
		}
		spec = sub
	}
	if n := len(c.Args); spec.Arity > 0 && n != spec.Arity || n < -spec.Arity {
		if spec.Container && spec.Since == "" {
			return spec, errNoSubcommand(spec)
		}
		return spec, ErrArity(spec.fullName)
	}
	if c.Dialect == RESP && spec.Syntax != ArgsInline {
		return spec, c.checkVerb(spec)
	}
	return spec, nil
}

// checkVerb applies the rules of lines to a verb sent as RESP. It joins all arguments behind the names to one text.
func (c *Command) checkVerb(spec *CommandSpec) *Error {
	names := c.Args[1:]
	switch spec.Syntax {
	case ArgsMessage:
		names = names[:1]
	case ArgsOptions:
		return nil
	}
	for i, name := range names {
		if spec.TakesPredicate && i > 0 && isKeyword(name) {
			full, err := attachClauses(spec, names[:i], bytes.Join(names[i:], []byte{' '}))
			if err == nil {
				c.Args = append(c.Args[:1:1], full...)
			}
			return err
		}
		if err := checkReserved(spec, name); err != nil {
			return err
		}
	}
	return nil
}

// HelpLines returns the reply to HELP, without line ends.
func HelpLines() []string {
	var lines []string
	for _, spec := range Commands {
		if spec.Syntax != ArgsInline {
			lines = append(lines, "# "+spec.Usage+strings.Repeat(" ", max(1, 24-len(spec.Usage)))+spec.Summary)
		}
	}
	return append(lines,
		"# ... WHERE predicate     behind what SUB, PSUB and READ name: only messages for which it holds, such as price > 100",
		"# ... FROM #12, LAST 10   behind what SUB and PSUB name: messages of the past first, if they are kept (--recent)",
		"# Redis commands work too (PUBLISH, SUBSCRIBE, XADD, XRANGE, INFO ...) and answer as Redis does.")
}

// AppendHelp appends the reply to `CLIENT HELP` and its relatives: usage and summary of each subcommand.
func AppendHelp(dst []byte, container *CommandSpec) []byte {
	subs := container.Subcommands()
	dst = AppendArray(dst, 1+2*len(subs))
	dst = AppendSimple(dst, []byte(container.Name+" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"))
	for _, sub := range subs {
		dst = AppendSimple(dst, bytes.TrimPrefix([]byte(sub.Usage), []byte(container.Name+" ")))
		dst = AppendSimple(dst, []byte("    "+sub.Summary))
	}
	return dst
}
