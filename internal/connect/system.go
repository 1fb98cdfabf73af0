package connect

import "net/url"

// System is a kind of other side: the row that a folder below this one has in internal/connect/systems.
type System struct {
	Name    string   // for docs, metrics and errors: "rabbitmq"
	Schemes []string // of URLs: "amqp", "amqps"

	// Source and Sink make one from an address, nil if the system lacks the direction. They connect to nothing; an error names the part
	// of the address that is wrong, and what would be right, never its password.
	Source func(a Address) (Source, error)
	Sink   func(a Address) (Sink, error)

	// Meta are the names that templates of its sources may have besides headers and fields: "routing_key".
	Meta []string

	// Positions is true if messages of its sources carry a Position; IDs if they carry an ID. Headers is true if it carries headers, so that
	// a loop through it can be cut.
	Positions, IDs, Headers bool

	// FileOnly is true if the system may be named in the config file only: it runs programs, or opens files.
	FileOnly bool
}

// Address is where a connector connects to.
type Address struct {
	URL   *url.URL   // with its user and password, secrets filled in, without its query
	Query url.Values // the driver takes (and deletes) what it knows; a key that is left is an error of the wrapper
	Hosts []string   // host or host:port; the first is that of URL. There are several where the address has commas between them

	// Name is the connector's, for client names and consumer tags: "conch-orders-in".
	Name string

	// Limit is the largest payload in bytes that conch takes.
	Limit int

	// Batch is the most messages that are worth one Read, and the most that come with one Write; InFlight is the most of a source that are
	// neither acknowledged nor given up, for a prefetch.
	Batch, InFlight int

	// Warn logs what a person should see that ends nothing. It is never nil.
	Warn func(text string)
}
