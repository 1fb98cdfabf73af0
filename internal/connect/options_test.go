package connect

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptionsAreTakenOutOfTheQuery(t *testing.T) {
	q, err := url.ParseQuery("name=n&count=12&on=true&wait=3s&left=1")
	require.NoError(t, err)
	a := &Address{Query: q}
	key, err := a.Alone("name", "pattern")
	require.NoError(t, err)
	assert.Equal(t, "n", a.Take(key))
	n, err := a.TakeInt("count", 1, 1, 100)
	require.NoError(t, err)
	assert.Equal(t, 12, n)
	on, err := a.TakeBool("on")
	require.NoError(t, err)
	assert.True(t, on)
	wait, err := a.TakeDuration("wait", time.Second)
	require.NoError(t, err)
	assert.Equal(t, 3*time.Second, wait)
	assert.Equal(t, url.Values{"left": {"1"}}, a.Query)
}

func TestWrongOptionsAreNamed(t *testing.T) {
	for query, want := range map[string]string{
		"":          "the address needs one of these: ?name=, ?pattern=",
		"name=&x=1": "name is empty: write ?name=NAME",
		"name=a":    "count is a number from 1 to 100",
		"name=1":    "on is true or false",
		"name=b":    "wait is a duration such as 5s",
		"name=c":    "name and pattern exclude each other",
	} {
		q, err := url.ParseQuery(query)
		require.NoError(t, err)
		a := &Address{Query: q}
		switch a.Query.Get("name") {
		case "a":
			a.Query.Set("count", "101")
			_, err = a.TakeInt("count", 1, 1, 100)
		case "1":
			a.Query.Set("on", "1")
			_, err = a.TakeBool("on")
		case "b":
			a.Query.Set("wait", "-1s")
			_, err = a.TakeDuration("wait", time.Second)
		case "c":
			a.Query.Set("pattern", "c")
			fallthrough
		default:
			_, err = a.Alone("name", "pattern")
		}
		assert.ErrorContains(t, err, want, query)
	}
}
