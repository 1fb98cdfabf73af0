package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/command"
	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// The console comes whole from conch, to everybody, under a policy that lets nothing else run.
func TestFilesOfTheConsole(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	files := map[string]string{"": "text/html; charset=utf-8"}
	for _, path := range consoleFiles(t) {
		files["console/"+filepath.Base(path)] = map[string]string{
			".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".html": "text/html; charset=utf-8",
			".svg": "image/svg+xml", ".LICENSE": "text/plain; charset=utf-8",
		}[filepath.Ext(path)]
	}
	files["console/uplot.js"], files["console/uplot.css"] = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
	for path, kind := range files {
		a := s.request("GET", "/"+path, "")
		require.Equal(t, http.StatusOK, a.StatusCode, path)
		assert.Equal(t, kind, a.Header.Get("Content-Type"), path)
		assert.Contains(t, a.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
		assert.Contains(t, a.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		assert.NotContains(t, a.Header.Get("Content-Security-Policy"), "unsafe")
		assert.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		again := s.request("GET", "/"+path, "", header("If-None-Match", a.Header.Get("ETag")))
		assert.Equal(t, http.StatusNotModified, again.StatusCode)
		assert.Empty(t, again.body)
		for _, used := range regexp.MustCompile(`(?:from "\./|="/console/)([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
			assert.Contains(t, files, "console/"+used[1], "%s uses it", path)
		}
	}
	s.expectProblem(s.request("GET", "/console/nothing.js", ""), http.StatusNotFound)
	s.expectProblem(s.request("GET", "/console/..%2Fconsole.go", ""), http.StatusNotFound)
}

func consoleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("console/*")
	require.NoError(t, err)
	require.Greater(t, len(files), 10)
	return files
}

// A view is a file that is read at once. Nothing in it makes HTML of a text, or names another host. What others have written is as
// they have published it.
func TestSourceOfTheConsole(t *testing.T) {
	for _, path := range consoleFiles(t) {
		text := string(must(os.ReadFile(path)))
		if name := filepath.Base(path); name == "preact.js" || strings.HasSuffix(name, ".LICENSE") {
			continue
		}
		assert.LessOrEqual(t, strings.Count(text, "\n"), 300, path)
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://", "localStorage"} {
			assert.NotContains(t, text, word, path)
		}
	}
	page := string(must(os.ReadFile("console/index.html")))
	assert.NotRegexp(t, `<script>|<style| on[a-z]+=| style=`, page, "the policy would stop it")
	for path, sum := range map[string]string{
		"console/preact.js":          "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7", // htm 3.1.1, preact/standalone.module.js
		"../uplot/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"../uplot/uPlot.min.css":     "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
	} {
		got := sha256.Sum256(must(os.ReadFile(path)))
		assert.Equal(t, sum, hex.EncodeToString(got[:]), path)
	}
}

// ownPage makes a request one of the console's.
var ownPage = header("Sec-Fetch-Site", "same-origin")

// signIn makes a session, and returns an option that sends its cookie.
func (s *site) signIn(credentials option) option {
	s.t.Helper()
	a := s.request("POST", "/session", "", credentials, ownPage)
	require.Equal(s.t, http.StatusCreated, a.StatusCode, a.body)
	cookies := a.Cookies()
	require.Len(s.t, cookies, 1)
	return header("Cookie", cookies[0].Name+"="+cookies[0].Value)
}

func TestSessions(t *testing.T) {
	both(t, server.Options{RequirePassword: "secret"}, func(t *testing.T, s *site) {
		a := s.request("POST", "/session", "", basic("", "secret"), ownPage)
		require.Equal(t, http.StatusCreated, a.StatusCode)
		assert.Equal(t, map[string]any{"user": "default", "signed_in": true}, map[string]any{"user": a.json["user"], "signed_in": a.json["signed_in"]})
		set := a.Header.Get("Set-Cookie")
		assert.Regexp(t, `^conch_session=[A-Z2-7]{26}; Path=/; Max-Age=43200; HttpOnly; (Secure; )?SameSite=Strict$`, set)
		assert.Equal(t, strings.HasPrefix(s.url, "https:"), strings.Contains(set, "Secure"))

		cookie := s.signIn(basic("", "secret"))
		me := s.request("GET", "/session", "", cookie, ownPage)
		assert.Equal(t, true, me.json["signed_in"])
		assert.Equal(t, true, me.json["may"].(map[string]any)["publish"])
		assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "hi", cookie, ownPage).StatusCode)
		assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "hi", cookie, header("Origin", s.url)).StatusCode, "an older browser")
		assert.Equal(t, http.StatusOK, s.request("GET", "/stats", "", cookie, header("Sec-Fetch-Site", "none")).StatusCode, "a link")
		for _, from := range map[string]option{
			"another origin":        header("Sec-Fetch-Site", "cross-site"),
			"another host of it":    header("Sec-Fetch-Site", "same-site"),
			"a form without origin": func(*http.Request) {},
			"a bookmark":            header("Sec-Fetch-Site", "none"),
		} {
			s.expectProblem(s.request("POST", "/topics/news", "hi", cookie, from), http.StatusForbidden)
			s.expectProblem(s.request("DELETE", "/connections/1", "", cookie, from), http.StatusForbidden)
			s.expectProblem(s.request("POST", "/session", "", basic("", "secret"), from), http.StatusForbidden)
		}
		wrong := s.request("POST", "/session", "", basic("", "guess"), ownPage, header("Conch-Console", "1"))
		s.expectProblem(wrong, http.StatusUnauthorized)
		assert.Equal(t, []string{`Session realm="conch"`}, wrong.Header.Values("WWW-Authenticate"), "a browser opens no window of its own")
		assert.Empty(t, wrong.Cookies())

		other := s.signIn(basic("", "secret"))
		assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/session", "", cookie, ownPage).StatusCode)
		ended := s.request("GET", "/stats", "", cookie, ownPage)
		s.expectProblem(ended, http.StatusUnauthorized)
		assert.Equal(t, -1, ended.Cookies()[0].MaxAge, "the browser forgets it")
		assert.Equal(t, http.StatusOK, s.request("GET", "/stats", "", other, ownPage).StatusCode)
		s.expectProblem(s.request("GET", "/session", "", ownPage), http.StatusUnauthorized)
	})
}

// A session has the rights that its user has now, and none once its credentials are void.
func TestASessionEndsWithItsCredentials(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	rules := func(rules string) {
		t.Helper()
		require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/ann", `{"rules": [`+rules+`]}`, asJSON).StatusCode)
	}
	rules(`"on", ">pw", "&news", "+publish"`)
	secret := s.request("POST", "/tokens", `{"user": "ann", "token": "t", "seconds": 3600}`, asJSON).json["secret"].(string)
	cookie, token := s.signIn(basic("ann", "pw")), s.signIn(bearer(secret))
	may := s.request("GET", "/session", "", cookie, ownPage).json["may"].(map[string]any)
	assert.Equal(t, true, may["publish"])
	assert.Equal(t, false, may["acl|list"])
	s.expectProblem(s.request("GET", "/users", "", cookie, ownPage), http.StatusForbidden)
	assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "hi", token, ownPage).StatusCode)
	require.Equal(t, http.StatusNoContent, s.request("DELETE", "/tokens/ann/t", "").StatusCode)
	s.expectProblem(s.request("POST", "/topics/news", "hi", token, ownPage), http.StatusUnauthorized)
	rules(`"resetpass", ">other"`)
	s.expectProblem(s.request("POST", "/topics/news", "hi", cookie, ownPage), http.StatusUnauthorized)
}

// A stream ends with the session that it belongs to, and says so.
func TestAStreamEndsWithItsSession(t *testing.T) {
	both(t, server.Options{RequirePassword: "secret"}, func(t *testing.T, s *site) {
		cookie := s.signIn(basic("", "secret"))
		e := s.events("/topics/news", cookie, ownPage)
		assert.Equal(t, http.StatusOK, s.request("POST", "/topics/news", "hi", cookie, ownPage).StatusCode)
		assert.Contains(t, e.next(), "data: hi\n")
		assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/session", "", cookie, ownPage).StatusCode)
		assert.Contains(t, e.next(), `{"event":"closing","reason":"session"`)
		_, err := io.Copy(io.Discard, e.in)
		require.NoError(t, err)
		s.await("it is counted", func() bool { return s.Service().Counts.Closes[command.CloseReasonSession].Load() == 1 })
	})
}

// A user has a hundred sessions: one more ends the oldest.
func TestSessionsOfAUserAreBounded(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	first := s.signIn(basic("", "secret"))
	second := s.signIn(basic("", "secret"))
	for range 99 {
		s.signIn(basic("", "secret"))
	}
	s.expectProblem(s.request("GET", "/stats", "", first, ownPage), http.StatusUnauthorized)
	assert.Equal(t, http.StatusOK, s.request("GET", "/stats", "", second, ownPage).StatusCode)
	s.expectProblem(s.request("POST", "/session", "", basic(strings.Repeat("u", 1024), "secret"), ownPage), http.StatusUnauthorized)
}

// Wrong passwords make no sessions, however many come. A flood of cookies is a wrong cookie. The session of another page goes on.
func TestFloodsOfSignInsAndCookies(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	own := s.signIn(basic("", "secret"))
	for range 200 {
		s.expectProblem(s.request("POST", "/session", "", basic("", "guess"), ownPage), http.StatusUnauthorized)
	}
	assert.Equal(t, 1, s.web.Sessions())
	for cookies, status := range map[string]int{
		"conch_session=": http.StatusUnauthorized,
		"conch_session=" + strings.Repeat("x", 32<<10): http.StatusUnauthorized,
		strings.Repeat("conch_session=x; ", 1000):      http.StatusUnauthorized,
		"a=b; conch_session=x; conch_session=y":        http.StatusUnauthorized,
		strings.Repeat("other=x; ", 1000):              http.StatusUnauthorized,
	} {
		assert.Equal(t, status, s.request("GET", "/stats", "", header("Cookie", cookies), ownPage).StatusCode, "%.40s", cookies)
	}
	assert.Equal(t, http.StatusOK, s.request("GET", "/stats", "", own, ownPage).StatusCode)
}

// Without a password everybody is the default user, and needs no session.
func TestSessionOfAnOpenServer(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	a := s.request("GET", "/session", "")
	assert.Equal(t, "default", a.json["user"])
	a = s.request("POST", "/session", "", ownPage)
	assert.Equal(t, http.StatusCreated, a.StatusCode)
	assert.Empty(t, a.Cookies())
	assert.Equal(t, http.StatusNoContent, s.request("DELETE", "/session", "", ownPage).StatusCode)
}

func TestListOfStreams(t *testing.T) {
	s := start(t, server.Options{}, web.Options{})
	assert.JSONEq(t, `{"streams":[],"more":false}`, s.request("GET", "/streams", "").body)
	c := s.Dial(t)
	for _, name := range []string{"b", "a", "\xff"} {
		s.xadd(c, name, "1-0", "message", "hi")
	}
	assert.JSONEq(t, `{"streams":[{"stream":"a","length":1,"added":1,"last_id":"1-0","groups":0,"bytes":27}],"more":false}`, s.request("GET", "/streams?match=a*", "").body)
	assert.Contains(t, s.request("GET", "/streams", "").body, `{"stream_base64":"/w==","length":1`)

	for i := range 2 * 50 { // more than what goes to the core at once
		s.xadd(c, fmt.Sprintf("many.%03d", i), "1-0", "message", "hi")
	}
	var want []string
	for i := range 100 {
		want = append(want, fmt.Sprintf(`{"stream":"many.%03d","length":1,"added":1,"last_id":"1-0","groups":0,"bytes":27}`, i))
	}
	assert.JSONEq(t, `{"streams":[`+strings.Join(want, ",")+`],"more":false}`, s.request("GET", "/streams?match=many.*", "").body)
	require.Equal(t, http.StatusNoContent, s.request("PATCH", "/users/ann", `{"rules": ["on", ">pw", "~a", "+scan", "+xinfo"]}`, asJSON).StatusCode)
	assert.JSONEq(t, `{"streams":[{"stream":"a","length":1,"added":1,"last_id":"1-0","groups":0},{"stream":"b"}],"more":false}`,
		s.request("GET", "/streams?match=[ab]", "", basic("ann", "pw")).body, "what the user may not read is left out")
}
