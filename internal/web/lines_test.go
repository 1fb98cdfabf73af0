package web_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/protocol"
	"github.com/conchmq/conch/server"
)

var ndjson = header("Content-Type", "application/x-ndjson")

// answers are the lines of an answer: the topic and receivers of each, or its status.
func (a answer) answers(t *testing.T) (all []string) {
	t.Helper()
	for line := range strings.Lines(a.body) {
		var v struct {
			Topic     string
			Receivers *int
			Sequence  int
			Status    int
			Detail    string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &v), line)
		if v.Receivers == nil {
			all = append(all, fmt.Sprintf("%d %s", v.Status, v.Detail))
			continue
		}
		all = append(all, fmt.Sprintf("%s %d #%d", v.Topic, *v.Receivers, v.Sequence))
	}
	return all
}

// A line that is refused does not stop the rest.
func TestManyMessages(t *testing.T) {
	s := start(t, server.Options{Limits: protocol.Limits{Message: 16}}, web.Options{})
	c := s.Dial(t)
	c.Send("SUB news\n")
	c.Expect("OK SUB news\n")
	bytes := base64.StdEncoding.EncodeToString([]byte{0xff, '\n'})
	body := strings.Join([]string{
		`{"payload": "one"}`,
		``,
		`{"topic": "other", "payload": "two"}`,
		`three`,
		`{"payload": 3}`,
		`{"topic": "", "payload": "x"}`,
		`{"topic": "news"}`,
		"{\"payload\": \"\xff\"}",
		`{"payload": "seventeen bytes!!"}`,
		`{"payload_base64": "` + bytes + `"}`,
		`{"event": "message", "topic": "news", "payload": "as conch sub", "sequence": 7}`,
		`{"payload": ""}`,
	}, "\n")
	a := s.request("POST", "/topics/news", body, ndjson)
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	assert.Equal(t, "application/x-ndjson", a.Header.Get("Content-Type"))
	got := a.answers(t)
	require.Len(t, got, 11)
	assert.Equal(t, []string{"news 1 #1", "other 0 #2"}, got[:2])
	for i, want := range []string{
		"400 line 4: no JSON object", "400 line 5: no JSON object", "400 line 6: there is no topic", "400 line 7: there is no payload",
		"400 line 8: it is not UTF-8", "413 line 9: a message has at most 16 bytes",
	} {
		assert.True(t, strings.HasPrefix(got[2+i], want), got[2+i])
	}
	assert.Equal(t, []string{"news 1 #3", "news 1 #4", "news 1 #5"}, got[8:])
	c.Expect("UPDATE news one\nUPDATE news \\xff\\n\nUPDATE news as conch sub\nUPDATE news \n")
}

// A message that JSON cannot hold is refused: it would be published as another one.
func TestHalfCharacters(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	for text, ok := range map[string]bool{
		`\ud83d\ude00`: true, `\uD83D\uDE00`: true, `\ufffd`: true, "\ufffd": true, `\\ud83d`: true, `\u00e4`: true, `\u0d83\udbff\udfff`: true,
		`\ud83d`: false, `\ude00`: false, `\ud83dx`: false, `\ud83d\u0041`: false, `\ude00\ud83d`: false, `\ud83d\ud83d\ude00`: false, `\ud83d\n`: false,
	} {
		a := s.request("POST", "/topics/news", `{"payload": "`+text+`"}`, ndjson)
		assert.Equal(t, ok, strings.Contains(a.body, "receivers"), "%s: %s", text, a.body)
	}
	for _, line := range []string{`{"payload": "a", "payload_base64": "YQ=="}`, `{"topic": "a", "topic_base64": "YQ==", "payload": ""}`} {
		assert.Contains(t, s.request("POST", "/topics/news", line, ndjson).body, "exclude each other")
	}
}

func TestManyMessagesAtOneInstant(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Send("SUB news\n")
	c.Expect("OK SUB news\n")
	var body strings.Builder
	for i := range 3000 { // more than what is sent before replies are received
		fmt.Fprintf(&body, `{"payload": "%d"}`+"\n", i)
	}
	a := s.request("POST", "/events?topic=news&atomic=1", body.String(), ndjson)
	require.Equal(t, http.StatusOK, a.StatusCode, a.body)
	got := a.answers(t)
	require.Len(t, got, 3000)
	assert.Equal(t, "news 1 #3000", got[2999])
	for i := range 3000 {
		c.Expect(fmt.Sprintf("UPDATE news %d\n", i))
	}
	// One refused line, and none is published.
	a = s.request("POST", "/topics/news?atomic=1", body.String()+"nonsense\n", ndjson)
	assert.Contains(t, s.expectProblem(a, http.StatusBadRequest), "line 3001")
	s.expectProblem(s.request("POST", "/topics/news?atomic=yes", "", ndjson), http.StatusBadRequest)
	a = s.request("POST", "/topics/news?atomic=1", "", ndjson)
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Empty(t, a.body)
	s.request("POST", "/topics/news", "last")
	c.Expect("UPDATE news last\n")
}

// Each line is answered when it has come, not at the end of the body.
func TestAnswersComeWhileTheBodyDoes(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	body, in := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/topics/news", body)
	require.NoError(t, err)
	ndjson(r)
	go func() { _, _ = io.WriteString(in, `{"payload": "first"}`+"\n") }()
	response, err := s.client.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	answers := bufio.NewReader(response.Body)
	for i := range 3 {
		line, err := answers.ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, fmt.Sprintf(`"sequence":%d`, i+1))
		if i < 2 {
			_, err = io.WriteString(in, `{"payload": "next"}`+"\n")
			require.NoError(t, err)
		}
	}
	require.NoError(t, in.Close())
	rest, err := io.ReadAll(answers)
	require.NoError(t, err)
	assert.Empty(t, rest)
}

func TestALineThatIsTooLong(t *testing.T) {
	s := start(t, server.Options{Limits: protocol.Limits{Message: 64, Topic: 64, Command: 2048}}, web.Options{})
	long := `{"payload": "` + strings.Repeat(" ", 10_000) + `"}`
	a := s.request("POST", "/topics/news", long+"\n"+`{"payload": "x"}`+"\n"+long, ndjson)
	got := a.answers(t)
	require.Len(t, got, 3)
	assert.Contains(t, got[0], "413 line 1: a line has at most 2048 bytes")
	assert.Equal(t, "news 0 #1", got[1])
	assert.Contains(t, got[2], "413 line 3")
}

func TestTopicsThatFitNoSegment(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	c := s.Dial(t)
	c.Command("SUBSCRIBE", "..")
	_, err := c.Frame()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, s.request("POST", "/events?topic=..", "hi").StatusCode)
	got, err := c.Frame()
	require.NoError(t, err)
	assert.Contains(t, string(got), "hi")
	for _, query := range []string{"", "?topic=", "?topic=a&topic=b"} {
		s.expectProblem(s.request("POST", "/events"+query, "hi"), http.StatusBadRequest)
	}
}
