package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// inform asks a server what it says of itself.
func inform(address string) (string, error) {
	c := redis.NewClient(&redis.Options{Addr: address})
	text, err := c.Info(context.Background(), "all").Result()
	return text, errors.Join(err, c.Close())
}

// connected is how many connections there are, without the one that asks.
func connected(address string) (int, error) {
	text, err := inform(address)
	if err != nil {
		return 0, err
	}
	n, err := number(text, "connected_clients:")
	return int(n) - 1, err
}

// published is the server's own count of messages that were published: conch has one, and Redis counts commands.
func published(text string) (int64, error) {
	if n, err := number(text, "messages_published:"); err == nil {
		return n, nil
	}
	return number(text, "cmdstat_publish:calls=")
}

// number is what stands behind a name in an answer to INFO.
func number(text, name string) (int64, error) {
	_, rest, found := strings.Cut(text, name)
	if !found {
		return 0, fmt.Errorf("INFO has no %s", name)
	}
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	return strconv.ParseInt(rest[:end], 10, 64)
}
