package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one row of the table: a method and a path, and what answers them.
type route struct {
	method string
	// path has segments such as {topic}, which match any one segment.
	path string
	// right is the command that the user must be allowed to run; empty if there is none. The
	// command itself checks it.
	right  string
	handle func(x *exchange) error
}

// whileLoading are the paths for which a node answers that catches up with its cluster.
var whileLoading = []string{"/", "/console/{file}", "/openapi.yaml", "/metrics", "/healthz", "/debug/pprof/{profile}", "/cluster"}

// table is the table of routes. docs/http.md has the same rows.
func (s *Server) table() []route {
	return []route{
		{http.MethodPost, "/topics/{topic}", "publish", (*exchange).postTopic},
		{http.MethodPost, "/events", "publish", (*exchange).postEvents},
		{http.MethodGet, "/topics/{topic}", "subscribe", (*exchange).getTopic},
		{http.MethodGet, "/events", "subscribe", (*exchange).getEvents},
		{http.MethodGet, "/streams", "scan", (*exchange).getStreams},
		{http.MethodPost, "/streams/{stream}", "xadd", (*exchange).postStream},
		{http.MethodGet, "/streams/{stream}", "xrange", (*exchange).getStream},
		{http.MethodGet, "/streams/{stream}/entries/{id}", "xrange", (*exchange).getEntry},
		{http.MethodGet, "/streams/{stream}/groups", "xinfo|groups", (*exchange).getGroups},
		{http.MethodPut, "/streams/{stream}/groups/{group}", "xgroup|create", (*exchange).putGroup},
		{http.MethodDelete, "/streams/{stream}/groups/{group}", "xgroup|destroy", (*exchange).deleteGroup},
		{http.MethodPost, "/streams/{stream}/groups/{group}/read", "xreadgroup", (*exchange).postGroupRead},
		{http.MethodPost, "/streams/{stream}/groups/{group}/ack", "xack", (*exchange).postAck},
		{http.MethodPost, "/streams/{stream}/groups/{group}/release", "xnack", (*exchange).postRelease},
		{http.MethodPost, "/streams/{stream}/groups/{group}/claim", "xclaim", (*exchange).postClaim},
		{http.MethodGet, "/streams/{stream}/groups/{group}/pending", "xpending", (*exchange).getPending},
		{http.MethodGet, "/streams/{stream}/groups/{group}/consumers", "xinfo|consumers", (*exchange).getConsumers},
		{http.MethodDelete, "/streams/{stream}/groups/{group}/consumers/{consumer}", "xgroup|delconsumer", (*exchange).deleteConsumer},
		{http.MethodGet, "/read", "read", (*exchange).getRead},
		{http.MethodGet, "/ws", "", (*exchange).getWebSocket},
		{http.MethodGet, "/topics", "pubsub|stats", (*exchange).getTopics},
		{http.MethodGet, "/topics/{topic}/subscribers", "pubsub|who", (*exchange).getSubscribers},
		{http.MethodGet, "/topics/{topic}/why", "pubsub|why", (*exchange).getWhy},
		{http.MethodGet, "/stats", "pubsub|stats", (*exchange).getStats},
		{http.MethodGet, "/endings", "info", (*exchange).getEndings},
		{http.MethodGet, "/cluster", "info", (*exchange).getCluster},
		{http.MethodGet, "/connectors", "info", (*exchange).getConnectors},
		{http.MethodPost, "/connectors/source/{name}/pause", "source|pause", (*exchange).postSourcePause},
		{http.MethodPost, "/connectors/source/{name}/resume", "source|resume", (*exchange).postSourceResume},
		{http.MethodPost, "/connectors/sink/{name}/pause", "sink|pause", (*exchange).postSinkPause},
		{http.MethodPost, "/connectors/sink/{name}/resume", "sink|resume", (*exchange).postSinkResume},
		{http.MethodGet, "/connections", "client|list", (*exchange).getConnections},
		{http.MethodDelete, "/connections/{id}", "client|kill", (*exchange).deleteConnection},
		{http.MethodGet, "/users", "acl|list", (*exchange).getUsers},
		{http.MethodPatch, "/users/{user}", "acl|setuser", (*exchange).patchUser},
		{http.MethodDelete, "/users/{user}", "acl|deluser", (*exchange).deleteUser},
		{http.MethodGet, "/tokens", "acl|token", (*exchange).getTokens},
		{http.MethodPost, "/tokens", "acl|token", (*exchange).postToken},
		{http.MethodDelete, "/tokens/{user}/{token}", "acl|token", (*exchange).deleteToken},
		{http.MethodPost, "/tickets", "", (*exchange).postTicket},
		{http.MethodGet, "/", "", (*exchange).getPage},
		{http.MethodGet, "/console/{file}", "", (*exchange).getAsset},
		{http.MethodPost, "/session", "", (*exchange).postSession},
		{http.MethodGet, "/session", "", (*exchange).getSession},
		{http.MethodDelete, "/session", "", (*exchange).deleteSession},
		{http.MethodGet, "/openapi.yaml", "", (*exchange).getOpenAPI},
		{http.MethodGet, "/metrics", "info", (*exchange).getMetrics},
		{http.MethodGet, "/healthz", "", (*exchange).getHealth},
		{http.MethodGet, "/readyz", "", (*exchange).getReady},
		{http.MethodGet, "/debug/pprof/{profile}", "config|get", (*exchange).getProfile},
	}
}

// match finds the route of a request, and stores its parameters. Without one the error is 404 or
// 405. OPTIONS is answered here: then there is neither.
//
// A parameter is one percent-encoded segment. The path is not cleaned: a topic may hold a slash,
// or be two dots.
func (s *Server) match(x *exchange) (*route, error) {
	segments := strings.Split(x.request.URL.EscapedPath(), "/")
	var methods []string
	for i := range s.routes {
		r := &s.routes[i]
		params, ok := r.params(segments)
		switch {
		case !ok:
		case r.method == x.request.Method, r.answersHead() && x.request.Method == http.MethodHead:
			x.params = params
			return r, nil
		default:
			methods = append(methods, r.method)
			if r.answersHead() {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	if methods == nil {
		return nil, &problem{Status: http.StatusNotFound, Detail: "there is nothing at this path; /openapi.yaml has all paths"}
	}
	slices.Sort(methods)
	allow := strings.Join(append(methods, http.MethodOptions), ", ")
	x.writer.Header().Set("Allow", allow)
	if x.request.Method == http.MethodOptions {
		x.writer.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	return nil, &problem{Status: http.StatusMethodNotAllowed, Detail: "this path takes " + allow}
}

// answersHead reports whether HEAD is as GET, without the body. A stream of messages has no end to wait for, and the entries
// of a READ would be looked for in vain.
func (r *route) answersHead() bool {
	return r.method == http.MethodGet && r.right != "subscribe" && r.right != "read"
}

// params matches a path, and returns the values of its parameters by name.
func (r *route) params(segments []string) (map[string]string, bool) {
	want := strings.Split(r.path, "/")
	if len(want) != len(segments) {
		return nil, false
	}
	var params map[string]string
	for i, segment := range segments {
		name, isParam := strings.CutPrefix(want[i], "{")
		if !isParam {
			if want[i] != segment {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segment)
		if err != nil {
			return nil, false
		}
		if params == nil {
			params = make(map[string]string)
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return params, true
}
