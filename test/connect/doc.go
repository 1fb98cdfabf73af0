// Package connect runs the binary beside the real servers that its connectors know: messages go through both, either side is
// restarted or killed on the way, and both sides count. Its tests are built with the tag connect (make connect-test); a server that is
// missing fails them.
package connect
