// Package e2e drives the real binary with the real telnet, nc and redis-cli. Its tests are built with the tag e2e
// (make e2e); a program that is missing fails them.
package e2e
