package web_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/conchmq/conch/internal/web"
	"github.com/conchmq/conch/server"
)

// document is openapi.yaml, and valid.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	for _, kind := range []string{
		"application/x-ndjson", "text/event-stream", "application/yaml", "text/html", "application/octet-stream", "text/javascript", "text/css", "text/plain", "image/svg+xml"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.PlainBodyDecoder)
	}
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	return doc, doc.Validate(context.Background())
})

// checkAnswer holds an answer to what the document has for its route. Without a route it must be a problem.
func checkAnswer(t testing.TB, method, path string, a answer) {
	t.Helper()
	if method == http.MethodHead {
		return // as GET, without a body
	}
	doc, err := document()
	require.NoError(t, err)
	operation := operationOf(doc, method, path)
	if operation == nil {
		if a.StatusCode == http.StatusNoContent { // OPTIONS
			assert.Empty(t, a.body)
			return
		}
		checkSchema(t, doc, "problem", a.body)
		return
	}
	err = openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: &http.Request{Method: method, Header: http.Header{}},
			Route:   &routers.Route{Spec: doc, Operation: operation, Method: method},
		},
		Status: a.StatusCode, Header: a.Header, Body: io.NopCloser(strings.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	assert.NoError(t, err, "%s %s: %d %s", method, path, a.StatusCode, a.body)
	if a.Header.Get("Content-Type") == "application/x-ndjson" {
		for i, line := range slices.Collect(strings.Lines(a.body)) {
			if i == 20 {
				break // a schema takes milliseconds
			}
			switch {
			case strings.Contains(line, `"receivers"`):
				checkSchema(t, doc, "published", line)
			case strings.HasPrefix(line, `{"event":"entry"`):
				checkSchema(t, doc, "entry", line)
			case strings.HasPrefix(line, `{"event":"end"`):
				checkSchema(t, doc, "end", line)
			default:
				checkSchema(t, doc, "problem", line)
			}
		}
	}
}

// checkSchema holds a text to a schema of the document.
func checkSchema(t testing.TB, doc *openapi3.T, name, text string) {
	t.Helper()
	schema := doc.Components.Schemas[name]
	require.NotNil(t, schema, name)
	assert.NoError(t, schema.Value.VisitJSON(decoded(t, text), openapi3.EnableJSONSchema2020()), text)
}

// operationOf finds the operation of a request, nil if there is none.
func operationOf(doc *openapi3.T, method, path string) *openapi3.Operation {
	path, _, _ = strings.Cut(path, "?")
	got := strings.Split(path, "/")
	for pattern, item := range doc.Paths.Map() {
		want := strings.Split(pattern, "/")
		same := len(want) == len(got)
		for i := 0; same && i < len(want); i++ {
			same = want[i] == got[i] || strings.HasPrefix(want[i], "{")
		}
		if same {
			return item.GetOperation(method)
		}
	}
	return nil
}

// The document has each route of the table, and no other.
func TestTheDocumentHasAllRoutes(t *testing.T) {
	doc, err := document()
	require.NoError(t, err)
	var documented, routes []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			documented = append(documented, method+" "+path)
		}
	}
	for _, r := range web.Routes() {
		routes = append(routes, r[0]+" "+r[1])
	}
	assert.ElementsMatch(t, routes, documented)
}

func TestTheDocumentIsServed(t *testing.T) {
	s := start(t, server.Options{RequirePassword: "secret"}, web.Options{})
	a := s.request("GET", "/openapi.yaml", "")
	assert.Equal(t, http.StatusOK, a.StatusCode)
	assert.Equal(t, "application/yaml", a.Header.Get("Content-Type"))
	text, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	assert.Equal(t, string(text), a.body)
}

// The check sees what is wrong.
func TestTheCheckOfAnswersCanFail(t *testing.T) {
	doc, err := document()
	require.NoError(t, err)
	schema := doc.Components.Schemas["published"].Value
	for _, text := range []string{
		`{}`, `{"topic": "a", "receivers": -1, "epoch": "a000000000000000", "sequence": 1}`, `{"topic": "a", "receivers": 1, "epoch": "x", "sequence": 1}`,
		`{"receivers": 1, "epoch": "a000000000000000", "sequence": 1}`, `{"topic": "a", "receivers": 1, "epoch": "a000000000000000", "sequence": 1, "more": 1}`,
	} {
		assert.Error(t, schema.VisitJSON(decoded(t, text), openapi3.EnableJSONSchema2020()), text)
	}
	assert.NoError(t, schema.VisitJSON(decoded(t, `{"topic": "a", "receivers": 1, "epoch": "a000000000000000", "sequence": 1}`), openapi3.EnableJSONSchema2020()))
}
