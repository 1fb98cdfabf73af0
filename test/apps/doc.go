// Package apps runs real applications through the binary, each in two processes: what one sends, the other gets. Its tests are built
// with the tag apps (make apps); what they need, test/apps/install installs. An application that is missing fails them.
package apps
