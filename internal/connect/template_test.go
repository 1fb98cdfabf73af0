package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTemplatesFillInWhatAMessageHas(t *testing.T) {
	m := &Message{
		Topic: "news", ID: "a-1", Payload: []byte(` {"user":{"id":12345678901234567890,"name":"x y","ok":true,"none":null},"a":[1]}`),
		Headers: []Header{{"Region", "eu"}, {"empty", ""}}, Meta: map[string]string{"routing_key": "k.1"},
	}
	for template, want := range map[string]string{
		"orders":                          "orders",
		"":                                "",
		"orders.{routing_key}":            "orders.k.1",
		"{routing_key}{header.region}":    "k.1eu",
		"{field.user.id}/{field.user.ok}": "12345678901234567890/true",
		"{topic}.{id}.x":                  "news.a-1.x",
		"{field.a.0}":                     "1",
	} {
		parsed, err := ParseTemplate(template)
		require.NoError(t, err)
		got, err := parsed.Expand(m, nil)
		require.NoError(t, err, template)
		assert.Equal(t, want, got)
		assert.Equal(t, template, parsed.String())
	}
	for template, part := range map[string]string{
		"{subject}": "subject", "a{header.none}": "header.none", "{header.empty}": "header.empty", "{field.user}": "field.user",
		"{field.user.none}": "field.user.none", "{field.b}": "field.b",
	} {
		parsed, err := ParseTemplate(template)
		require.NoError(t, err)
		_, err = parsed.Expand(m, nil)
		missing := new(MissingPart)
		require.ErrorAs(t, err, &missing, template)
		assert.Equal(t, part, missing.Part)
	}
}

func TestPartsAreEscapedAndLiteralsAreNot(t *testing.T) {
	parsed, err := ParseTemplate("/a b/{topic}")
	require.NoError(t, err)
	got, err := parsed.Expand(&Message{Topic: "x y"}, func(s string) string { return "<" + s + ">" })
	require.NoError(t, err)
	assert.Equal(t, "/a b/<x y>", got)
}

func TestAPayloadThatIsNoObjectHasNoFields(t *testing.T) {
	parsed, err := ParseTemplate("{field.a}")
	require.NoError(t, err)
	for _, payload := range []string{"", "x", `"a"`, `[{"a":1}]`, `{"a":1`, `{"a":1} x`, "\xff"} {
		_, err := parsed.Expand(&Message{Payload: []byte(payload)}, nil)
		assert.Error(t, err, payload)
	}
}

func TestWrongTemplatesNameTheColumn(t *testing.T) {
	for template, column := range map[string]int{
		"a{": 2, "a}": 2, "{": 1, "x.{}": 3, "{a{b}": 1, "{header.}": 1, "{field.}": 1, "{a.b}": 1, "{field.a*}": 1, "{field.@this}": 1, "{field.a.}": 1,
	} {
		_, err := ParseTemplate(template)
		wrong := new(TextError)
		require.ErrorAs(t, err, &wrong, template)
		assert.Equal(t, column, wrong.Column, template)
	}
}

func TestATemplateKnowsItsParts(t *testing.T) {
	fixed, err := ParseTemplate("orders")
	require.NoError(t, err)
	text, ok := fixed.Fixed()
	assert.Equal(t, "orders", text)
	assert.True(t, ok)
	varied, err := ParseTemplate("{subject}.{header.x}.{field.y}.{topic}")
	require.NoError(t, err)
	_, ok = varied.Fixed()
	assert.False(t, ok)
	assert.Equal(t, []string{"subject", "topic"}, varied.Names())
}

func FuzzTemplates(f *testing.F) {
	f.Add("orders.{routing_key}", []byte(`{"a":{"b":1}}`))
	f.Add("{field.a.b}{header.x}", []byte(`{"a":{"b":[[[[`))
	f.Fuzz(func(t *testing.T, text string, payload []byte) {
		parsed, err := ParseTemplate(text)
		if err != nil {
			return
		}
		assert.Equal(t, text, parsed.String())
		if got, ok := parsed.Fixed(); ok {
			assert.Equal(t, text, got)
		}
		_, _ = parsed.Expand(&Message{Payload: payload}, nil)
	})
}
