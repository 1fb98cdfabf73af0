// Package client speaks to conch, and to Redis where Redis has the commands.
package client
