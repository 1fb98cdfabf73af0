package redirect

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/conchmq/conch/internal/connect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRedirects(t *testing.T) {
	type seen struct{ authorization, referer string }
	var got []seen
	routes := http.NewServeMux()
	serve := func(start func(http.Handler) *httptest.Server) *httptest.Server {
		s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = append(got, seen{r.Header.Get("Authorization"), r.Referer()})
			routes.ServeHTTP(w, r)
		}))
		t.Cleanup(s.Close)
		return s
	}
	plain, safe, other := serve(httptest.NewServer), serve(httptest.NewTLSServer), serve(httptest.NewServer)
	routes.Handle("/end", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for path, to := range map[string]string{
		"/here": "/end", "/other": other.URL + "/end", "/other-and-back": other.URL + "/back", "/back": plain.URL + "/end", "/tls": safe.URL + "/end",
		"/no-tls": plain.URL + "/end", "/tls-and-back": safe.URL + "/no-tls", "/for-ever": "/for-ever",
	} {
		routes.Handle(path, http.RedirectHandler(to, http.StatusTemporaryRedirect))
	}
	client := safe.Client()
	client.CheckRedirect = Follow
	get := func(url string) error {
		got = nil
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"?secret=x", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer t")
		response, err := client.Do(request)
		if response != nil {
			require.NoError(t, response.Body.Close())
		}
		return err
	}
	with, without := seen{"Bearer t", ""}, seen{}
	for path, want := range map[string][]seen{
		"/here": {with, with}, "/other": {with, without}, "/tls": {with, without},
	} {
		require.NoError(t, get(plain.URL+path), path)
		assert.Equal(t, want, got, path)
	}
	require.NoError(t, get(plain.URL+"/other-and-back"))
	assert.Equal(t, without, got[1], "on the way")
	for _, url := range []string{safe.URL + "/no-tls", plain.URL + "/tls-and-back"} {
		require.ErrorAs(t, get(url), new(*connect.Permanent), url)
		assert.LessOrEqual(t, len(got), 2, "what is not over TLS is not requested: %s", url)
	}
	require.ErrorContains(t, get(plain.URL+"/for-ever"), "too often")
	assert.Len(t, got, maxRedirects)
}
