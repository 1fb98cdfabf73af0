// Package tlsfiles turns the files of a TLS listener, a certificate, its private key and the authorities that clients'
// certificates come from, into a configuration that follows the files: new connections get what is in them now, and
// connections that there are already keep what they have.
//
// The files are read again when somebody asks for it and when one of them changes. What cannot be used is said in the
// log, and what was in force stays in force.
package tlsfiles
