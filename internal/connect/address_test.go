package connect

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// known are systems with the schemes of the tests.
var known = []System{{Name: "rabbitmq", Schemes: []string{"amqp", "amqps"}}, {Name: "all", Schemes: []string{"mqtt", "kafka", "nats", "sse+https", "file", "exec", "stdin"}}}

var testSecrets = Secrets{
	Variable: func(name string) (string, bool) { return "p@ss/w:rd", name == "PASS" },
	File: func(path string) ([]byte, error) {
		if path != "/run/secrets/pw" {
			return nil, errors.New("no such file")
		}
		return []byte("s3cret word\r\nsecond line\n"), nil
	},
}

func TestAddresses(t *testing.T) {
	tests := []struct {
		text, shown, user, password string
		hosts                       []string
		path                        string
		query                       url.Values
	}{
		{"amqp://broker:5672/vhost?queue=orders", "amqp://broker:5672/vhost?queue=orders", "", "", []string{"broker:5672"}, "/vhost", url.Values{"queue": {"orders"}}},
		{"amqp://u:p%40x@b/%2f?queue=q", "amqp://u@b/%2f?queue=q", "u", "p@x", []string{"b"}, "//", url.Values{"queue": {"q"}}},
		{"AMQP://u:${PASS}@b?queue=q", "amqp://u@b?queue=q", "u", "p@ss/w:rd", []string{"b"}, "", url.Values{"queue": {"q"}}},
		{"amqp://u:file:/run/secrets/pw@b/v?queue=q", "amqp://u@b/v?queue=q", "u", "s3cret word", []string{"b"}, "/v", url.Values{"queue": {"q"}}},
		{"amqp://${PASS}@b?queue=q", "amqp://***@b?queue=q", "p@ss/w:rd", "", []string{"b"}, "", url.Values{"queue": {"q"}}},
		{"mqtt://b?topic=a/+/b/#&qos=1", "mqtt://b?topic=a/+/b/#&qos=1", "", "", []string{"b"}, "", url.Values{"topic": {"a/+/b/#"}, "qos": {"1"}}},
		{"kafka://b1:9092,b2:9093?topic=t", "kafka://b1:9092,b2:9093?topic=t", "", "", []string{"b1:9092", "b2:9093"}, "", url.Values{"topic": {"t"}}},
		{"nats://[::1]:4222?subject=eu.{topic}&token=abc", "nats://[::1]:4222?subject=eu.{topic}&token=***", "", "", []string{"[::1]:4222"}, "", url.Values{"subject": {"eu.{topic}"}, "token": {"abc"}}},
		{"sse+https://h/a?x=${PASS}", "sse+https://h/a?x=***", "", "", []string{"h"}, "/a", url.Values{"x": {"p@ss/w:rd"}}},
		{"file:///var/log/a.log", "file:///var/log/a.log", "", "", []string{""}, "/var/log/a.log", url.Values{}},
		{"nats://b?a=1&a=2", "nats://b?a=1&a=2", "", "", []string{"b"}, "", url.Values{"a": {"1", "2"}}},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got, err := ParseTarget(test.text, known, testSecrets)
			require.NoError(t, err)
			assert.Equal(t, test.shown, got.String())
			password, _ := got.URL.User.Password()
			assert.Equal(t, test.user, got.URL.User.Username())
			assert.Equal(t, test.password, password)
			assert.Equal(t, test.hosts, got.Hosts)
			assert.Equal(t, test.hosts[0], got.URL.Host)
			assert.Equal(t, test.path, got.URL.Path)
			assert.Equal(t, test.query, got.Query)
		})
	}
}

func TestOpaqueAddresses(t *testing.T) {
	got, err := ParseTarget("exec:./produce --fast a.b?restart=1s", known, Secrets{})
	require.NoError(t, err)
	assert.Equal(t, "./produce --fast a.b", got.URL.Opaque)
	assert.Equal(t, "1s", got.Query.Get("restart"))
	got, err = ParseTarget("stdin:", known, Secrets{})
	require.NoError(t, err)
	assert.Equal(t, "stdin", got.URL.Scheme)
	assert.Empty(t, got.URL.Opaque)
}

func TestWrongAddressesNameTheColumnAndNoSecret(t *testing.T) {
	tests := []struct {
		text   string
		column int
		says   string
	}{
		{"orders", 1, "expected a URL"},
		{"ampq://b", 1, "known are amqp, amqps"},
		{"amqp://u:pw@b:x/v", 13, "no host"},
		{"kafka://a,,b?topic=t", 11, "no host"},
		{"amqp://u:pw@b/%zz", 14, "percent"},
		{"amqp://u:${NONE}@b", 10, "no variable NONE"},
		{"amqp://u:${NONE@b", 10, "without a }"},
		{"amqp://u:file:/none@b", 10, "no such file"},
		{"amqp://u:pw@${PASS}/v", 13, "alone"},
		{"amqp://u:pw@b/${PASS}", 14, "alone"},
		{"amqp://u:pw@b?queue=q&&x=1", 23, "name=value"},
		{"amqp://u:pw%@b", 10, "percent"},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			_, err := ParseTarget(test.text, known, testSecrets)
			wrong := new(TextError)
			require.ErrorAs(t, err, &wrong)
			assert.Equal(t, test.column, wrong.Column)
			assert.Contains(t, wrong.Text, test.says)
			assert.NotContains(t, err.Error(), "pw")
		})
	}
}

func TestSecretsAreResolvedForTheConfigFileAlone(t *testing.T) {
	for _, text := range []string{"amqp://u:${PASS}@b", "amqp://u:file:/run/secrets/pw@b", "amqp://b?queue=${PASS}"} {
		_, err := ParseTarget(text, known, Secrets{})
		assert.ErrorContains(t, err, "the config file alone", text)
	}
}

func TestScrubTakesAllFormsOfASecretOutOfAText(t *testing.T) {
	got, err := ParseTarget("amqp://u:${PASS}@b?token=to%20ken", known, testSecrets)
	require.NoError(t, err)
	for _, text := range []string{
		"p@ss/w:rd", url.QueryEscape("p@ss/w:rd"), url.PathEscape("p@ss/w:rd"), url.UserPassword("u", "p@ss/w:rd").String(), "to ken", "to%20ken", "to+ken",
	} {
		scrubbed := got.Scrub("dial: " + text + ": refused")
		assert.Contains(t, scrubbed, "***", text)
		assert.NotContains(t, scrubbed, "ss", text)
		assert.NotContains(t, scrubbed, "ken", text)
	}
	assert.Equal(t, "no secret", got.Scrub("no secret"))

	got, err = ParseTarget(`amqp://u:pa%22ss%5C@b?token=pa%22ss%5C-longer`, known, testSecrets)
	require.NoError(t, err)
	assert.Equal(t, `"***" and ***`, got.Scrub(fmt.Sprintf("%q and %s", `pa"ss\`, `pa"ss\-longer`)))
}

func FuzzAddresses(f *testing.F) {
	f.Add("amqp://u:${PASS}@b/v?queue=q")
	f.Add("amqp://u:file:/run/secrets/pw@b,c/?x=${PASS}y&&")
	f.Add("exec:a b?%")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseTarget(text, known, testSecrets)
		if err == nil {
			assert.NotContains(t, got.String(), "s3cret word")
		}
	})
}
