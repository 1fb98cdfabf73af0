// Package redirect bounds the redirects that drivers over HTTP follow.
package redirect

import (
	"errors"
	"net/http"

	"github.com/conchmq/conch/internal/connect"
)

const maxRedirects = 10

// Follow is the CheckRedirect of drivers that follow redirects. What was requested over TLS is not requested without it.
// Credentials go to the host and the port of the address alone, and so does its query, which may have some.
func Follow(request *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return errors.New("the server redirects too often")
	case via[len(via)-1].URL.Scheme == "https" && request.URL.Scheme != "https":
		return &connect.Permanent{Err: errors.New("the server redirects from TLS to a URL without it")}
	case request.URL.Host != via[0].URL.Host:
		request.Header.Del("Authorization")
	}
	request.Header.Del("Referer")
	return nil
}
