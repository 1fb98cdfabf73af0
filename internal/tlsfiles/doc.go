// Package tlsfiles loads the TLS configuration of a listener from files: a certificate, its private key, and the
// authorities of clients' certificates. It reloads them when a file changes, or on request. New connections get the new
// configuration; existing connections keep theirs.
//
// Invalid files are logged, and the configuration loaded before stays in force.
package tlsfiles
