package connect

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The methods below take options out of the query of an address: a key that is left once the driver is done is an error of the engine.

// Take returns the value of a key, "" if it is not there.
func (a *Address) Take(key string) string {
	value := a.Query.Get(key)
	a.Query.Del(key)
	return value
}

// Alone returns which one of keys the query has. None, or two of them, is an error.
func (a *Address) Alone(keys ...string) (string, error) {
	found := ""
	for _, key := range keys {
		switch {
		case !a.Query.Has(key):
		case found != "":
			return "", fmt.Errorf("%s and %s exclude each other", found, key)
		case a.Query.Get(key) == "":
			return "", fmt.Errorf("%s is empty: write ?%s=NAME", key, key)
		default:
			found = key
		}
	}
	if found == "" {
		return "", fmt.Errorf("the address needs one of these: ?%s=", strings.Join(keys, "=, ?"))
	}
	return found, nil
}

// TakeInt returns the number of a key, def if it is not there.
func (a *Address) TakeInt(key string, def, low, high int) (int, error) {
	text := a.Take(key)
	if text == "" {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s is a number from %d to %d: %.60q", key, low, high, text)
	}
	return n, nil
}

// TakeBool returns the truth value of a key, false if it is not there.
func (a *Address) TakeBool(key string) (bool, error) {
	switch text := a.Take(key); text {
	case "", "false", "no":
		return false, nil
	case "true", "yes":
		return true, nil
	default:
		return false, fmt.Errorf("%s is true or false: %.60q", key, text)
	}
}

// TakeDuration returns the duration of a key, def if it is not there. It is positive.
func (a *Address) TakeDuration(key string, def time.Duration) (time.Duration, error) {
	text := a.Take(key)
	if text == "" {
		return def, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s is a duration such as 5s: %.60q", key, text)
	}
	return d, nil
}
